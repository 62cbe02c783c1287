"""Brief steps: written down once, when done; a failing one is written down as begun; death before that is harmless."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from tests.operations.conftest import FINAL, RETRYABLE, TOY, Toy, name_it
from yun.base.db import Database
from yun.operations.engine import Engine
from yun.operations.flow import Op, operation, step
from yun.operations.model import Operation, OperationStep, State

Submit = Callable[..., str]


def unmark(op: Op, output: Any, name: str) -> None:
    TOY.log.append(f"unmark {name} {output}")


@step(undo=unmark, brief=True)
def mark(op: Op, name: str) -> str:
    TOY.log.append(f"mark {name}")
    return "marked"


@step(retries=2, brief=True)
def glance(op: Op, name: str) -> int:
    TOY.log.append(f"glance {name}")
    with op.read() as session:
        seen = session.scalar(sa.select(sa.func.count()).select_from(OperationStep))
    TOY.strike("glance")
    return seen or 0


@operation("toy.brief")
def brief(op: Op, name: str) -> Any:
    op.step(mark, name)
    op.step(name_it, name)
    return op.step(glance, name)


def steps(database: Database) -> list[tuple[str, str, int]]:
    with database.read() as session:
        rows = session.scalars(sa.select(OperationStep).order_by(OperationStep.position))
        return [(r.name.rpartition(".")[2], r.state, r.attempts) for r in rows]


def test_a_brief_step_is_written_down_once_when_it_is_done(engine: Engine, submit: Submit, database: Database) -> None:
    identifier = submit("toy.brief")
    engine.drain()
    with database.read() as session:
        done = session.scalars(sa.select(Operation).where(Operation.id == identifier)).one()
    assert done.state == State.SUCCEEDED
    assert done.result == {"value": 2}, "its own row was not there yet"
    assert steps(database) == [("mark", "done", 0), ("name_it", "done", 0), ("glance", "done", 0)]
    with database.read() as session:
        row = session.scalars(sa.select(OperationStep).where(OperationStep.position == 2)).one()
    assert row.ended_at is not None
    assert row.begun_at <= row.ended_at


def test_one_that_fails_for_now_is_written_down_and_tried_again(
    engine: Engine, submit: Submit, toy: Toy, database: Database
) -> None:
    toy.fail["glance"] = [RETRYABLE, RETRYABLE]
    submit("toy.brief")
    engine.drain()
    assert steps(database)[2] == ("glance", "done", 2)
    assert toy.log.count("glance a") == 3


def test_one_that_fails_for_good_is_taken_back_with_what_was_before_it(
    engine: Engine, submit: Submit, toy: Toy, database: Database
) -> None:
    toy.fail["glance"] = [FINAL]
    identifier = submit("toy.brief")
    engine.drain()
    assert toy.log == ["mark a", "glance a", "unmark a marked"]
    with database.read() as session:
        assert session.scalar(sa.select(Operation.state).where(Operation.id == identifier)) == State.FAILED


def test_one_whose_process_dies_before_it_is_written_down_is_walked_again(
    engine: Engine, submit: Submit, toy: Toy, database: Database
) -> None:
    submit("toy.brief")

    class Death(BaseException):
        pass

    toy.fail["glance"] = [Death()]  # type: ignore[list-item]
    taken = engine.claim(1)
    try:
        engine.run(taken[0])
    except Death:
        engine.active.clear()
    assert [name for name, _state, _attempts in steps(database)] == ["mark", "name_it"]
    engine.drain()
    assert toy.log == ["mark a", "glance a", "glance a"]
    assert steps(database)[2] == ("glance", "done", 0)
