"""Instances on real libvirt and OVN, in a private host: made, reached, killed, stopped, deleted, back, purged."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real.private_host import PrivateHost
from tests.real.test_host_cloud import YUN
from tests.real.test_host_cloud import box as bare  # noqa: F401

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]
NAME = '网站 <web> & "co" $(id)'


class Desk:
    """A person at the private host's terminal, with an SSH key."""

    def __init__(self, host: PrivateHost) -> None:
        self.host = host
        self.key = host.directory / "id"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)
        (host.directory / "password").write_text("geheim 密码 1\n")

    def yun(self, *words: str, timeout: float = 240) -> Any:
        """A command's JSON document."""
        return json.loads(self.host.run(YUN, "-o", "json", *words, timeout=timeout))

    def shown(self, reference: str = NAME) -> dict[str, Any]:
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


def until(call: Callable[[], Any], seconds: float) -> Any:
    """The first true answer of ``call``."""
    end = time.monotonic() + seconds
    while not (found := call()):
        assert time.monotonic() < end, "it did not come to be so in time"
        time.sleep(0.2)
    return found


@pytest.fixture(scope="module")
def desk(bare: PrivateHost) -> Iterator[Desk]:  # noqa: F811
    """The cloud is up, and the tiny image is there."""
    bare.run(YUN, "up", "--no-hello", timeout=600)
    made = Desk(bare)
    if not made.yun("image", "list"):
        made.yun("image", "build", "tiny", timeout=600)
    yield made
    bare.run(YUN, "down", "--guests", timeout=120, check=False)


def test_the_whole_life_of_a_machine(desk: Desk) -> None:
    """One test, since each part needs the one before."""
    made = desk.yun(
        "instance", "create", NAME, "--hostname", "web", "--image", "tiny", "--flavor", "tiny", "--floating-ip",
        "--key", f"{desk.key}.pub", "--password-file", str(desk.host.directory / "password"),
    )  # fmt: skip
    assert made["state"] == "running"
    identifier, address = made["id"], made["floating_ips"][0]
    assert "密码" not in json.dumps(made, ensure_ascii=False)
    assert until(lambda: desk.ssh(address, "hostname"), 120) == "web"
    assert NAME in desk.host.run("virsh", "desc", "--title", identifier)
    before = desk.definition(identifier)
    desk.ssh(address, "echo mark > /root/mark; sync")

    killed_is_noticed_and_mended(desk, identifier)
    pulled_plug_is_noticed(desk, identifier)
    power(desk, identifier)

    assert until(lambda: desk.ssh(address, "cat /root/mark"), 120) == "mark"
    deletion = desk.yun("instance", "delete", NAME)
    assert identifier not in desk.host.run("virsh", "list", "--all", "--name")
    assert desk.shown(identifier)["state"] == "trashed"
    desk.yun("undo", deletion["operation"]["id"])
    assert desk.shown()["state"] == "running"
    assert desk.shown()["floating_ips"] == [address]
    assert desk.definition(identifier) == before
    assert until(lambda: desk.ssh(address, "cat /root/mark"), 120) == "mark"

    heads = Path("/var/lib/yun/pool/heads")
    assert desk.host.run("ls", str(heads)).split()
    desk.yun("instance", "delete", NAME, "--force")
    desk.yun("instance", "purge", NAME)
    assert desk.host.run("ls", str(heads)).split() == []
    assert desk.host.run("ls", str(heads.parent / "seeds")).split() == []
    assert desk.yun("instance", "list", "--state", "trashed") == []


def process(desk: Desk, identifier: str) -> int:
    """The machine's QEMU, as a process of the private host."""
    return int(desk.host.run("pgrep", "-f", f"guest={identifier}").split()[0])


def killed_is_noticed_and_mended(desk: Desk, identifier: str) -> None:
    """Seen in the history within two seconds of libvirt's own event, and running again without anybody's doing."""
    old = process(desk, identifier)
    desk.host.run("kill", "-9", str(old))
    until(lambda: desk.host.run("pgrep", "-f", f"guest={identifier}", check=False).split() not in ([], [str(old)]), 30)
    until(lambda: desk.shown(identifier)["state"] == "running" and not desk.shown(identifier)["task"], 20)
    titles = [o["kind"] for o in desk.yun("history", "instance", identifier)]
    assert "instance.tend" in titles


def pulled_plug_is_noticed(desk: Desk, identifier: str) -> None:
    """Left down where the policy says so."""
    desk.yun("instance", "update", identifier, "--on-crash", "leave")
    desk.host.run("virsh", "destroy", identifier)
    until(lambda: desk.shown(identifier)["state"] == "stopped", 10)
    assert desk.shown(identifier)["reason"] == "destroyed"
    desk.yun("instance", "start", identifier)


def power(desk: Desk, identifier: str) -> None:
    """Every verb of power, and the metrics of what runs."""
    desk.yun("instance", "pause", identifier)
    assert "paused" in desk.host.run("virsh", "domstate", identifier)
    desk.yun("instance", "resume", identifier)
    until(lambda: desk.yun("instance", "metrics", identifier)["points"], 40)
    desk.yun("instance", "reboot", identifier, "--timeout", "60")
    stopped = desk.yun("instance", "stop", identifier, "--timeout", "90")
    assert stopped["operation"]["result"]["how"] in ("agent", "acpi", "cut")
    assert "shut off" in desk.host.run("virsh", "domstate", identifier)
    desk.yun("instance", "start", identifier)
    assert desk.shown(identifier)["state"] == "running"
