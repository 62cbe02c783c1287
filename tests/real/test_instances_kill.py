"""The cloud's process is killed at random moments of real machines' lives: afterwards rows and reality agree."""

from __future__ import annotations

import random
import time

import pytest

from tests.real.cloud import Desk

pytestmark = [pytest.mark.real, pytest.mark.timeout(1500)]
TIMES = 20


class Person:
    """Who asks the cloud for one thing after the other."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.chance = random.Random(20)
        self.made = 0

    def ask(self) -> str:
        """Ask for something that makes sense now, without waiting for it; what it was."""
        machines = self.desk.yun("instance", "list")
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
        self.desk.yun(*words, "--no-wait", check=False)
        return " ".join(words)

    def differences(self) -> list[str]:
        """Where rows and reality disagree."""
        rows = {i["id"]: i["state"] for i in self.desk.yun("instance", "list")}
        trashed = {i["id"] for i in self.desk.yun("instance", "list", "--state", "trashed")}
        domains = set(self.desk.host.run("virsh", "list", "--all", "--name").split())
        found = [f"no domain for {i}" for i in rows if i not in domains]
        found += [f"a domain of nobody: {d}" for d in domains - set(rows)]
        words = {"running": "running", "paused": "paused", "shut off": "stopped"}
        for identifier in set(rows) & domains:
            real = words.get(self.desk.host.run("virsh", "domstate", identifier).strip(), "?")
            if real != rows[identifier]:
                found.append(f"{identifier} is {real}, its row says {rows[identifier]}")
        heads = len(self.desk.host.run("ls", "/var/lib/yun/pool/heads").split())
        volumes = len(self.desk.yun("volume", "list"))
        if heads != volumes or volumes != len(rows) + len(trashed):
            found.append(f"{heads} files, {volumes} volumes, {len(rows)} + {len(trashed)} instances")
        return found


def test_a_process_killed_at_random_moments_loses_nothing(desk: Desk) -> None:
    desk.clear()
    person, asked = Person(desk), []
    for _time in range(TIMES):
        asked.append(person.ask())
        time.sleep(person.chance.uniform(0.0, 1.5))
        desk.signal_cloud("KILL")
        desk.up()
        desk.settle()
        end = time.monotonic() + 45
        while (wrong := person.differences()) and time.monotonic() < end:
            time.sleep(2)
        assert not wrong, (asked, wrong)
    desk.clear()
