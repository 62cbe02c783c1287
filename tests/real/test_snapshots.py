"""Snapshots of real machines: with memory, back and forth, forked, and a random walk against a model of it all."""

from __future__ import annotations

import os
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.real.cloud import STATE, Desk, until

pytestmark = [pytest.mark.real, pytest.mark.timeout(7200)]
STEPS = int(os.environ.get("YUN_WALK_STEPS", "14"))
SEED = int(os.environ.get("YUN_WALK_SEED", "5"))
IN_MEMORY = "mkdir -p /m; grep -q ' /m tmpfs' /proc/mounts || mount -t tmpfs none /m; "


def inside(desk: Desk, name: str, command: str) -> str:
    """What a command prints in the guest, once its agent answers."""
    until(lambda: desk.shown(name)["agent"], 120)
    done = desk.yun("instance", "run", name, "sh", "-c", f"{command}\ntrue")["operation"]["result"]
    return str(done["stdout"]).strip()


def machine(desk: Desk, name: str) -> dict[str, Any]:
    """A machine whose agent answers."""
    made: dict[str, Any] = desk.yun("instance", "create", name, "--image", "tiny", "--flavor", "tiny")
    until(lambda: desk.shown(name)["agent"], 240)
    return made


def test_a_guest_goes_back_with_its_memory_and_forks_go_on_with_it(desk: Desk) -> None:
    """One test, since each part needs the one before."""
    desk.clear()
    machine(desk, "web")
    count = "n=0; while :; do n=$((n+1)); echo $n >/m/n; usleep 50000; done"
    inside(desk, "web", f"{IN_MEMORY} setsid sh -c '{count}' >/dev/null 2>&1 & sleep 1")
    inside(desk, "web", "mkfifo /m/in; (tail -f /m/in | nc -l -p 7000 >/m/heard) >/dev/null 2>&1 & sleep 1; "
                        "(tail -f /dev/null | nc 127.0.0.1 7000 >/m/told) >/dev/null 2>&1 &")  # fmt: skip
    inside(desk, "web", "echo before >/root/d; sync")
    taken = desk.yun("snapshot", "create", "web", "first", "--with-memory")
    assert 0 < taken["operation"]["result"]["pause_ms"] < 2000
    then = int(inside(desk, "web", "cat /m/n"))
    inside(desk, "web", "echo after >/root/d; sync; rm -f /bin/busybox.none; echo broken >/m/state")
    time.sleep(3)
    later = int(inside(desk, "web", "cat /m/n"))
    assert later > then + 20
    restored = desk.yun("snapshot", "restore", "first")
    now = int(inside(desk, "web", "cat /m/n"))
    assert now < later, "it went on from the number of then"
    assert inside(desk, "web", "cat /root/d; cat /m/state 2>/dev/null") == "before"
    assert abs(int(inside(desk, "web", "date +%s")) - time.time()) < 5, "its clock is right"
    assert inside(desk, "web", "echo hello >/m/in; sleep 1; cat /m/told") == "hello", "its connection held"

    desk.yun("undo", restored["operation"]["id"])
    assert int(inside(desk, "web", "cat /m/n")) >= later, "the present is back"
    assert inside(desk, "web", "cat /root/d; cat /m/state") == "after\nbroken"
    forked(desk)
    as_new_ones(desk)
    desk.clear()
    until(lambda: not desk.yun("snapshot", "list"), 120)
    left = desk.host.run("sh", "-c", f"ls {STATE}/pool/heads {STATE}/pool/seeds | grep -v :", check=False).split()
    assert left == [], "nothing is left of them"


def forked(desk: Desk) -> None:
    """Two forks: same memory, other individuals, each with an address of its own; the source goes on."""
    count = int(inside(desk, "web", "cat /m/n"))
    done = desk.yun("snapshot", "fork", "web", "twin-{n}", "--count", "2")["operation"]["result"]
    assert done["renewed"] == [True, True]
    assert 0 < done["pause_ms"] < 2000
    for name in ("twin-1", "twin-2"):
        assert int(inside(desk, name, "cat /m/n")) >= count
        assert inside(desk, name, "hostname; cat /root/d").split() == [name, "after"]
        address = desk.shown(name)["addresses"][0]
        until(lambda n=name, a=address: a in inside(desk, n, "ip -4 address show dev eth0"), 30)
        inside(desk, name, f"echo {name} >/root/own; sync")
    assert inside(desk, "web", "cat /root/own 2>/dev/null; hostname") == "web"
    ours, *theirs = (desk.shown(n) for n in ("web", "twin-1", "twin-2"))
    assert len({row["uuid"] for row in (ours, *theirs)}) == 3
    assert "fork-" not in str(desk.yun("snapshot", "list")), "the moment is let go of"


def as_new_ones(desk: Desk) -> None:
    """An old node becomes a new machine in another pool, and one of its disks a volume."""
    desk.yun("pool", "create", "other", f"{STATE}/other")
    desk.yun("snapshot", "restore", "first", "--as", "fresh", "--pool", "other")
    assert inside(desk, "fresh", "cat /root/d; hostname").split() == ["before", "fresh"]
    desk.yun("snapshot", "take-disk", "first", "vda", "--name", "rescue")
    desk.yun("volume", "delete", "rescue")
    desk.yun("trash", "purge", "rescue", "--yes")
    desk.yun("instance", "delete", "fresh", "--force")
    desk.yun("instance", "purge", "fresh", "--yes")
    desk.yun("pool", "delete", "other")


# ── the walk ──


@dataclass
class Moment:
    """What a machine holds: on its disk, and in its memory alone."""

    disk: str = ""
    memory: str = ""


@dataclass
class Walk:
    """A machine, a model of it, and steps that do the same to both."""

    desk: Desk
    dice: random.Random
    now: Moment = field(default_factory=Moment)
    nodes: dict[str, tuple[Moment, bool]] = field(default_factory=dict)
    number: int = 0
    done: list[str] = field(default_factory=list)

    def next(self) -> str:
        """A word that was never used."""
        self.number += 1
        return f"w{self.number}"

    def check(self, name: str, wanted: Moment) -> None:
        """A machine holds what the model says."""
        found = inside(self.desk, name, "cat /root/d 2>/dev/null; echo /; cat /m/w 2>/dev/null; true").split("/")
        assert Moment(found[0].strip(), found[1].strip()) == wanted, (name, self.done)

    def write_disk(self) -> None:
        """The guest writes, and waits until it is on the disk."""
        self.now = Moment(self.next(), self.now.memory)
        inside(self.desk, "walk", f"echo {self.now.disk} >/root/d; sync")

    def write_memory(self) -> None:
        """The guest keeps something in memory alone."""
        self.now = Moment(self.now.disk, self.next())
        inside(self.desk, "walk", f"{IN_MEMORY} echo {self.now.memory} >/m/w")

    def snapshot(self) -> None:
        """A node, with memory or without."""
        name, memory = self.next(), self.dice.random() < 0.6
        self.desk.yun("snapshot", "create", "walk", name, *(["--with-memory"] if memory else []))
        self.nodes[name] = (Moment(self.now.disk, self.now.memory if memory else ""), memory)

    def restore(self) -> None:
        """To any node; the present is kept."""
        if not self.nodes:
            return
        name = self.dice.choice(sorted(self.nodes))
        before = {row["name"] for row in self.desk.yun("snapshot", "list", "--instance", "walk")}
        self.act("snapshot", "restore", name)
        new = {row["name"] for row in self.desk.yun("snapshot", "list", "--instance", "walk")} - before
        (kept,) = new
        self.nodes[kept] = (Moment(self.now.disk, self.now.memory), True)
        there, memory = self.nodes[name]
        self.now = Moment(there.disk, there.memory if memory else "")

    def act(self, *words: str) -> None:
        """A command; sometimes the cloud dies in its middle and comes back."""
        if self.dice.random() < 0.4:
            started = threading.Thread(
                target=self.desk.yun, args=(*words, "--no-wait"), kwargs={"check": False}
            )  # fmt: skip
            started.start()
            started.join()
            time.sleep(self.dice.random() * 3)
            self.done.append("killed")
            self.desk.signal_cloud("KILL")
            self.desk.up()
            self.desk.settle(300)
        else:
            self.desk.yun(*words)

    def delete(self) -> None:
        """Into the trash, and sometimes for good."""
        if len(self.nodes) < 3:
            return
        name = self.dice.choice(sorted(self.nodes))
        self.desk.yun("snapshot", "delete", f"walk/{name}")
        if self.dice.random() < 0.7:
            self.desk.yun("trash", "purge", name, "--yes")
        del self.nodes[name]

    def fork(self) -> None:
        """A fork holds the same, and what it writes is its own."""
        name = self.next()
        self.desk.yun("snapshot", "fork", "walk", name)
        self.check(name, self.now)
        inside(self.desk, name, "echo other >/root/d; sync")
        self.desk.yun("instance", "delete", name, "--force")
        self.desk.yun("instance", "purge", name, "--yes")

    def anew(self) -> None:
        """A node as a new machine."""
        if not self.nodes:
            return
        node, name = self.dice.choice(sorted(self.nodes)), self.next()
        self.desk.yun("snapshot", "restore", f"walk/{node}", "--as", name)
        self.check(name, Moment(self.nodes[node][0].disk, ""))
        self.desk.yun("instance", "delete", name, "--force")
        self.desk.yun("instance", "purge", name, "--yes")

    def crash(self) -> None:
        """The machine's process dies: the cloud starts it again, with an empty memory."""
        pid = self.desk.process(self.desk.shown("walk")["id"])
        self.desk.host.run("kill", "-9", str(pid))
        until(lambda: not self.desk.shown("walk")["agent"], 60)
        until(lambda: self.desk.shown("walk")["agent"], 240)
        self.now = Moment(self.now.disk, "")


def test_a_random_walk_agrees_with_its_model(desk: Desk) -> None:
    desk.clear()
    machine(desk, "walk")
    walk = Walk(desk, random.Random(SEED))
    kinds = [walk.write_disk] * 3 + [walk.write_memory] * 3 + [walk.snapshot] * 4 + [walk.restore] * 4
    kinds += [walk.delete] * 2 + [walk.fork, walk.anew, walk.crash]
    first = [walk.write_disk, walk.write_memory, walk.snapshot]
    for number in range(STEPS):
        step = first[number] if number < len(first) else walk.dice.choice(kinds)
        walk.done.append(step.__name__)
        step()
        desk.settle()
        walk.check("walk", walk.now)
    for name, (moment, memory) in sorted(walk.nodes.items())[:6]:
        desk.yun("snapshot", "restore", f"walk/{name}", "--no-keep")
        walk.done.append(f"restore {name}")
        walk.check("walk", Moment(moment.disk, moment.memory if memory else ""))
    desk.clear()
