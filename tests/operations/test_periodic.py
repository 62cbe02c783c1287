"""Work that comes round: once per period over all processes, and never twice in the queue."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from tests.operations.conftest import no_drivers
from yun.base.config import Settings
from yun.base.db import Database
from yun.operations.engine import Engine
from yun.operations.flow import REGISTRY, Op, operation, periodic
from yun.operations.intent import Subject
from yun.operations.model import Operation, Periodic

RUNS: list[str] = []


@pytest.fixture(autouse=True)
def clockwork() -> Iterator[None]:
    RUNS.clear()
    others = {k: r for k, r in REGISTRY.recipes.items() if r.every is not None}
    for kind in others:
        del REGISTRY.recipes[kind]

    @periodic("toy.tick", every=60.0)
    @operation("toy.tick")
    def tick(op: Op) -> None:
        RUNS.append(op.id)

    yield
    del REGISTRY.recipes["toy.tick"]
    REGISTRY.recipes.update(others)


def test_a_period_runs_once_however_many_processes_ask(database: Database, settings: Settings) -> None:
    engines = [Engine(database, no_drivers(), settings) for _n in range(3)]
    for engine in engines * 3:
        engine.submit_periodic()
    engines[0].drain()
    assert len(RUNS) == 1
    with database.write() as session:
        session.execute(sa.update(Periodic).values(next=Periodic.next - 61))
    for engine in engines * 3:
        engine.submit_periodic()
    engines[1].drain()
    assert len(RUNS) == 2


def test_a_clock_that_jumped_back_does_not_silence_periodic_work(database: Database, settings: Settings) -> None:
    engine = Engine(database, no_drivers(), settings)
    engine.submit_periodic()
    engine.drain()
    with database.write() as session:
        session.execute(sa.update(Periodic).values(next=Periodic.next + 86400))
    engine.submit_periodic()
    engine.drain()
    assert len(RUNS) == 2


def test_nudges_do_not_pile_up(database: Database, settings: Settings) -> None:
    engine = Engine(database, no_drivers(), settings)
    for _n in range(5):
        engine.nudge("toy.tick", Subject("toy", "x", "x"))
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Operation)) == 1
    assert engine.drain() == 1
