"""The cloud's process is killed at random moments of real machines' lives: afterwards rows and reality agree."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.real.private_host import PrivateHost
from tests.real.test_host_cloud import YUN
from tests.real.test_host_cloud import box as bare  # noqa: F401

pytestmark = [pytest.mark.real, pytest.mark.timeout(1500)]
TIMES = 20
OPEN = ("queued", "running", "undoing", "stuck")


class Room:
    """The cloud in a private host, and what is asked of it."""

    def __init__(self, host: PrivateHost) -> None:
        self.host = host
        self.chance = random.Random(20)
        self.made = 0

    def yun(self, *words: str, check: bool = True) -> Any:
        """A command's JSON document; None where it has none."""
        said = self.host.run(YUN, "-o", "json", *words, check=check, timeout=240)
        return json.loads(said) if said.strip() else None

    def up(self) -> None:
        """The cloud runs and answers."""
        self.host.run(YUN, "up", "--no-hello", timeout=300)

    def kill(self) -> None:
        """kill -9 of the cloud's process."""
        self.host.run("sh", "-c", "kill -9 $(pgrep -f 'yun serv[e]')", check=False)

    def ask(self) -> str:
        """Ask for something that makes sense now, without waiting for it; what it was."""
        machines = self.yun("instance", "list")
        choices: list[tuple[str, ...]] = []
        for machine in machines:
            one, state = machine["id"], machine["state"]
            choices += [("instance", "delete", one, "--force")]
            choices += [("instance", "start", one)] if state in ("stopped", "crashed") else []
            choices += [("instance", "stop", one, "--force"), ("instance", "pause", one)] if state == "running" else []
            choices += [("instance", "resume", one)] if state == "paused" else []
        choices += [("undo",)] if self.made else []
        self.made += 1
        new = ("instance", "create", f"m{self.made}", "--image", "tiny", "--flavor", "nano")
        words = self.chance.choice([*choices, new]) if len(machines) < 2 else self.chance.choice(choices)
        if not machines:
            words = new
        self.yun(*words, "--no-wait", check=False)
        return " ".join(words)

    def settle(self) -> None:
        """Every operation has ended, none is stuck."""
        end = time.monotonic() + 120
        while True:
            under_way = [o for o in self.yun("operation", "list") if o["state"] in OPEN]
            stuck = [o for o in under_way if o["state"] == "stuck"]
            assert not stuck, stuck
            if not under_way:
                return
            assert time.monotonic() < end, under_way
            time.sleep(0.5)

    def differences(self) -> list[str]:
        """Where rows and reality disagree."""
        rows = {i["id"]: i["state"] for i in self.yun("instance", "list")}
        trashed = {i["id"] for i in self.yun("instance", "list", "--state", "trashed")}
        domains = set(self.host.run("virsh", "list", "--all", "--name").split())
        found = [f"no domain for {i}" for i in rows if i not in domains]
        found += [f"a domain of nobody: {d}" for d in domains - set(rows)]
        words = {"running": "running", "paused": "paused", "shut off": "stopped"}
        for identifier in set(rows) & domains:
            real = words.get(self.host.run("virsh", "domstate", identifier).strip(), "?")
            if real != rows[identifier]:
                found.append(f"{identifier} is {real}, its row says {rows[identifier]}")
        heads = len(self.host.run("ls", "/var/lib/yun/pool/heads").split())
        volumes = len(self.yun("volume", "list"))
        if heads != volumes or volumes != len(rows) + len(trashed):
            found.append(f"{heads} files, {volumes} volumes, {len(rows)} + {len(trashed)} instances")
        return found


@pytest.fixture(scope="module")
def room(bare: PrivateHost) -> Iterator[Room]:  # noqa: F811
    """The cloud is up, and the tiny image is there."""
    made = Room(bare)
    made.up()
    if not made.yun("image", "list"):
        made.yun("image", "build", "tiny")
    yield made
    bare.run(YUN, "down", "--guests", timeout=120, check=False)


def test_a_process_killed_at_random_moments_loses_nothing(room: Room) -> None:
    asked = []
    for _time in range(TIMES):
        asked.append(room.ask())
        time.sleep(room.chance.uniform(0.0, 1.5))
        room.kill()
        room.up()
        room.settle()
        end = time.monotonic() + 45
        while (wrong := room.differences()) and time.monotonic() < end:
            time.sleep(2)
        assert not wrong, (asked, wrong)
