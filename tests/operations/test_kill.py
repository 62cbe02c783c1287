"""kill -9 and SIGSTOP at random moments: nothing is lost, nothing runs twice at once, failures end clean."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from yun.base.config import Settings
from yun.base.context import SYSTEM, Context
from yun.base.db import Database
from yun.base.messages import _
from yun.operations import service
from yun.operations.intent import Intent, Subject
from yun.operations.model import CLAIMABLE, Operation, State

CHILD = Path(__file__).with_name("child.py")


def launch(url: str, folder: Path, pause: float) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, str(CHILD), url, str(folder), str(pause)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(CHILD.parent.parent.parent)},
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def end(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.wait()
    assert child.stdout is not None
    child.stdout.close()


def submit(database: Database, settings: Settings, name: str, *, steps: int, **values: bool) -> None:
    with database.write() as session:
        ctx = Context(actor=SYSTEM, session=session, settings=settings)
        service.submit(
            ctx,
            Intent(
                kind="child.build", title=_("Build"), subject=Subject("machine", name),
                arguments={"name": name, "steps": steps, **values},
            ),
        )  # fmt: skip


def open_count(database: Database) -> int:
    with database.read() as session:
        return session.scalar(sa.select(sa.func.count()).where(Operation.state.in_(CLAIMABLE))) or 0


def wait_until_idle(database: Database, seconds: float = 60.0) -> None:
    limit = time.monotonic() + seconds
    while open_count(database):
        assert time.monotonic() < limit, "operations are left open"
        time.sleep(0.05)


@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "side by side"])
@pytest.mark.parametrize("fail", [False, True], ids=["building", "failing and undoing"])
def test_a_process_killed_again_and_again_loses_nothing(
    database_url: str, settings: Settings, tmp_path: Path, fail: bool, at_once: bool
) -> None:
    database = Database(database_url)
    database.create()
    world = tmp_path / "world"
    world.mkdir()
    names = [f"m{n}" for n in range(12)]
    for name in names:
        submit(database, settings, name, steps=5, fail=fail, at_once=at_once)
    chance = random.Random(7)
    for _round in range(8):
        child = launch(database_url, world, 0.02)
        time.sleep(chance.uniform(0.02, 0.25))
        end(child)
        for inside in world.glob("inside.*"):
            inside.unlink()
    child = launch(database_url, world, 0.0)
    try:
        wait_until_idle(database)
    finally:
        end(child)
    with database.read() as session:
        states = set(session.scalars(sa.select(Operation.state)))
    left = {p.name for p in world.iterdir() if p.name.startswith("m")}
    if fail:
        assert states == {State.FAILED}
        assert left == set(), "what a failed operation made is gone"
    else:
        assert states == {State.SUCCEEDED}
        assert left == {f"{name}.{n}" for name in names for n in range(5)}
    database.close()


@pytest.mark.postgresql
def test_three_processes_never_overlap_on_a_machine_and_keep_the_order(
    postgres: Callable[[], str], settings: Settings, tmp_path: Path
) -> None:
    url = postgres()
    database = Database(url)
    database.create()
    world = tmp_path / "world"
    world.mkdir()
    children = [launch(url, world, 0.005) for _n in range(3)]
    try:
        for n in range(60):
            submit(database, settings, f"m{n % 8}", steps=3)
        wait_until_idle(database)
    finally:
        for child in children:
            end(child)
    assert not list(world.glob("overlap.*"))
    order = [line.split()[:2] for line in (world / "order").read_text().splitlines()]
    with database.read() as session:
        accepted = list(session.scalars(sa.select(Operation.id).order_by(Operation.seq)))
    for machine in {name for name, _id in order}:
        ran = [identifier for name, identifier in order if name == machine]
        first_seen = list(dict.fromkeys(ran))
        assert first_seen == [i for i in accepted if i in set(ran)], "first come, first served"
    database.close()


@pytest.mark.postgresql
def test_a_stopped_process_is_replaced_and_fenced_when_it_wakes(
    postgres: Callable[[], str], settings: Settings, tmp_path: Path
) -> None:
    url = postgres()
    database = Database(url)
    database.create()
    world = tmp_path / "world"
    world.mkdir()
    zombie = launch(url, world, 0.3)
    submit(database, settings, "m0", steps=6)
    limit = time.monotonic() + 10
    while not (world / "m0.1").exists():
        assert time.monotonic() < limit
        time.sleep(0.02)
    zombie.send_signal(signal.SIGSTOP)
    for inside in world.glob("inside.*"):
        inside.unlink()
    second = launch(url, world, 0.0)
    try:
        wait_until_idle(database)
        zombie.send_signal(signal.SIGCONT)
        time.sleep(1.0)
    finally:
        end(zombie)
        end(second)
    lines = [line.split()[2] for line in (world / "order").read_text().splitlines()]
    assert sorted(set(lines)) == [str(n) for n in range(6)]
    assert len(lines) <= 7, "at most the interrupted step ran twice"
    with database.read() as session:
        assert session.scalar(sa.select(Operation.state)) == State.SUCCEEDED
        assert (session.scalar(sa.select(Operation.fence)) or 0) >= 2
    database.close()
