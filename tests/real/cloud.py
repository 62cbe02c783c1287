"""A whole cloud in a private host, and a person at that host's terminal: what the tests of real machines share."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yun
from tests.real.hypervisor_room import CACHE
from tests.real.private_host import PrivateHost
from yun.images import builders
from yun.setup.build import build

YUN = str(Path(sys.executable).with_name("yun"))
STATE = "/var/lib/yun"
SOURCES = Path(yun.__file__).resolve().parents[1]
OPEN = ("queued", "running", "undoing", "stuck")


@contextmanager
def bare_machine(name: str, directory: Path) -> Iterator[PrivateHost]:
    """A machine that has the distribution's packages and those the tiny image is made of, and no network."""
    CACHE.mkdir(exist_ok=True)
    builders.build("tiny", CACHE, lambda: None)
    box = PrivateHost(name, directory)
    try:
        box.run("cp", "-a", f"{CACHE}/.", f"{box.directory}/root{STATE}/builds")
        # The sources stand still for the machine, whatever happens to the work tree meanwhile.
        build()
        for folder in (SOURCES, SOURCES.parent / "assets"):
            copy = box.directory / folder.name
            shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("node_modules"))
            box.run("mount", "--bind", str(copy), str(folder))
        yield box
    finally:
        box.close()


def until(call: Callable[[], Any], seconds: float) -> Any:
    """The first true answer of ``call``."""
    end = time.monotonic() + seconds
    while not (found := call()):
        assert time.monotonic() < end, "it did not come to be so in time"
        time.sleep(0.2)
    return found


class Desk:
    """A person at the private host's terminal, with an SSH key; the cloud is up and has the tiny image."""

    def __init__(self, host: PrivateHost) -> None:
        self.host = host
        self.key = host.directory / "id"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)
        (host.directory / "password").write_text("geheim 密码 1\n")

    def yun(self, *words: str, timeout: float = 240, check: bool = True) -> Any:
        """A command's JSON document; None where it has none."""
        said = self.host.run(YUN, "-o", "json", *words, timeout=timeout, check=check)
        return json.loads(said) if said.strip() else None

    def up(self) -> None:
        """The cloud runs and answers, and what its daemons are is running."""
        self.host.run(YUN, "up", "--no-hello", timeout=600)

    def signal_cloud(self, name: str) -> None:
        """A signal to the cloud's own process."""
        self.host.run("sh", "-c", f"kill -{name} $(pgrep -f 'yun serv[e]')", check=False)

    def shown(self, reference: str) -> dict[str, Any]:
        """The instance as it is now."""
        found: dict[str, Any] = self.yun("instance", "show", reference)
        return found

    def ssh(self, address: str, command: str) -> str:
        """What a command prints in the guest; empty where nobody answers yet."""
        options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=3"]
        words = ["ssh", "-i", str(self.key), *options, "-o", "LogLevel=ERROR", f"root@{address}", command]
        return self.host.run("timeout", "10", *words, check=False).strip()

    def definition(self, identifier: str) -> list[str]:
        """UUID, MAC and port of the domain, from its XML."""
        xml = self.host.run("virsh", "dumpxml", identifier)
        return [line.strip() for line in xml.splitlines() if any(w in line for w in ("<uuid>", "<mac ", "interfaceid"))]

    def process(self, identifier: str) -> int:
        """The machine's QEMU, as a process of the private host."""
        return int(self.host.run("pgrep", "-f", f"guest={identifier}").split()[0])

    def settle(self, seconds: float = 120) -> None:
        """Wait until every operation has ended; none may be stuck."""
        end = time.monotonic() + seconds
        while True:
            under_way = [o for o in self.yun("operation", "list") if o["state"] in OPEN]
            stuck = [o for o in under_way if o["state"] == "stuck"]
            assert not stuck, stuck
            if not under_way:
                return
            assert time.monotonic() < end, under_way
            time.sleep(0.5)

    def clear(self) -> None:
        """Purge every instance, also those in the trash."""
        for row in self.yun("instance", "list"):
            self.yun("instance", "delete", row["id"], "--force")
        for row in self.yun("instance", "list", "--state", "trashed"):
            self.yun("instance", "purge", row["id"], "--yes")


@contextmanager
def living_cloud(name: str, directory: Path) -> Iterator[Desk]:
    """The cloud is up on a machine of its own, and the tiny image is there."""
    with bare_machine(name, directory) as box:
        desk = Desk(box)
        desk.up()
        assert [image["name"] for image in desk.yun("image", "list")] == ["tiny"]
        yield desk
        box.run(YUN, "down", "--guests", timeout=120, check=False)
