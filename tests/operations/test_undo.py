"""Undo of a success: newest first, conflicts explained, resumable, and never twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from tests.operations.conftest import FINAL, RETRYABLE, Toy, no_drivers
from yun.base.config import Settings
from yun.base.context import SYSTEM, Actor, Context
from yun.base.db import Database
from yun.base.errors import Conflict, Forbidden, NotFound
from yun.base.messages import _
from yun.operations import service
from yun.operations.engine import Engine
from yun.operations.model import Operation, OperationStep, State

Submit = Callable[..., str]
LookUp = Callable[[str], Operation]


@pytest.fixture
def undo(database: Database, settings: Settings) -> Callable[..., str]:
    def call(reference: str | None = None, *, through: bool = False, actor: Actor = SYSTEM) -> str:
        with database.write() as session:
            ctx = Context(actor=actor, session=session, settings=settings)
            return service.submit(ctx, service.undo(ctx, reference, through=through)).id

    return call


def test_a_finished_operation_is_taken_back_step_by_step(
    engine: Engine, submit: Submit, look_up: LookUp, undo: Submit, toy: Toy
) -> None:
    built = submit()
    engine.drain()
    back = undo(built)
    engine.drain()
    assert look_up(back).state == State.SUCCEEDED
    assert look_up(built).state == State.UNDONE
    assert look_up(built).undone_by == back
    assert toy.things == set()
    assert toy.log[-3:] == ["unput a2", "unput a1", "unput a0"]


def test_without_a_name_the_newest_undoable_one_of_mine_is_meant(
    engine: Engine, submit: Submit, look_up: LookUp, undo: Submit
) -> None:
    first = submit(subject="a")
    second = submit(subject="b")
    engine.drain()
    undo()
    engine.drain()
    assert look_up(second).state == State.UNDONE
    undo()
    engine.drain()
    assert look_up(first).state == State.UNDONE
    with pytest.raises(Conflict):
        undo()


def test_what_stands_on_it_is_named_and_undone_first_on_request(
    engine: Engine, submit: Submit, look_up: LookUp, undo: Submit, toy: Toy
) -> None:
    first = submit(subject="a")
    second = submit(subject="a")
    third = submit(subject="c")
    engine.drain()
    with pytest.raises(Conflict) as caught:
        undo(first)
    assert [b["id"] for b in caught.value.details["blockers"]] == [second]
    assert second in caught.value.message.render()
    toy.log.clear()
    undo(first, through=True)
    engine.drain()
    assert look_up(second).state == look_up(first).state == State.UNDONE
    assert look_up(third).state == State.SUCCEEDED
    assert len(toy.log) == 6


def test_a_transparent_operation_never_stands_in_the_way(
    engine: Engine, submit: Submit, look_up: LookUp, undo: Submit
) -> None:
    first = submit(subject="a")
    submit("toy.enter", subject="a", transparent=True, undoable=False)
    engine.drain()
    undo(first)
    engine.drain()
    assert look_up(first).state == State.UNDONE


def test_what_cannot_be_undone_says_why(engine: Engine, submit: Submit, undo: Submit) -> None:
    identifier = submit(undoable=False, no_undo=_("The mail has been sent."))
    engine.drain()
    with pytest.raises(Conflict) as caught:
        undo(identifier)
    assert "The mail has been sent." in caught.value.message.render()


def test_a_closed_window_is_said(engine: Engine, submit: Submit, undo: Submit, database: Database) -> None:
    identifier = submit()
    engine.drain()
    with database.write() as session:
        session.execute(sa.update(Operation).values(undo_until=datetime.now(UTC) - timedelta(seconds=1)))
    with pytest.raises(Conflict):
        undo(identifier)


def test_nothing_is_undone_twice(engine: Engine, submit: Submit, undo: Submit) -> None:
    identifier = submit()
    engine.drain()
    undo(identifier)
    engine.drain()
    with pytest.raises(Conflict):
        undo(identifier)


def test_two_undos_at_once_end_with_one_done_and_nothing_taken_back_twice(
    engine: Engine, submit: Submit, look_up: LookUp, undo: Submit, toy: Toy
) -> None:
    identifier = submit()
    engine.drain()
    one = undo(identifier)
    with pytest.raises(Conflict):
        undo(identifier)
    two = submit("operation.undo", arguments={"targets": [identifier]}, undoable=False)
    engine.drain()
    assert look_up(one).state == State.SUCCEEDED
    assert look_up(two).state == State.FAILED
    with pytest.raises(Conflict):
        undo(identifier)
    assert toy.log.count("unput a0") == 1


def test_an_undo_that_is_killed_goes_on_where_it_stood(
    engine: Engine, submit: Submit, look_up: LookUp, undo: Submit, toy: Toy, database: Database, settings: Settings
) -> None:
    class Died(BaseException):
        pass

    identifier = submit()
    engine.drain()
    back = undo(identifier)
    toy.fail["unput1"] = [Died()]  # type: ignore[list-item]
    with pytest.raises(Died):
        engine.drain()
    with database.write() as session:
        session.execute(sa.text("UPDATE operation SET node_id = 'nod_dead' WHERE node_id IS NOT NULL"))
    Engine(database, no_drivers(), settings).drain()
    assert look_up(back).state == State.SUCCEEDED
    assert look_up(identifier).state == State.UNDONE
    assert toy.things == set()
    assert toy.log.count("unput a2") == 1


def test_an_undo_whose_daemon_is_away_waits_for_it(
    engine: Engine, submit: Submit, look_up: LookUp, undo: Submit, toy: Toy
) -> None:
    identifier = submit()
    engine.drain()
    toy.fail["unput2"] = [RETRYABLE] * 5
    toy.fail["unput0"] = [FINAL] * 2
    undo(identifier)
    engine.drain()
    assert look_up(identifier).state == State.UNDONE


def test_the_steps_of_an_operation_are_forgotten_when_its_window_has_closed(
    engine: Engine, submit: Submit, database: Database, look_up: LookUp
) -> None:
    identifier = submit()
    engine.drain()
    submit("operation.prune", arguments={}, subject="p", quiet=True)
    engine.drain()
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(OperationStep)) == 4, "still undoable"
    with database.write() as session:
        session.execute(sa.update(Operation).values(undo_until=datetime.now(UTC) - timedelta(days=1)))
    submit("operation.prune", arguments={}, subject="p", quiet=True)
    engine.drain()
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(OperationStep)) == 0
    assert look_up(identifier).state == State.SUCCEEDED, "the history stays"
    with database.write() as session:
        old = datetime.now(UTC) - timedelta(days=4000)
        session.execute(sa.update(Operation).values(finished_at=old))
    submit("operation.prune", arguments={}, subject="p", quiet=True)
    engine.drain()
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Operation)) == 0


def test_another_projects_operation_does_not_exist_and_a_reader_may_not_undo(
    engine: Engine, submit: Submit, undo: Submit
) -> None:
    identifier = submit(project_id="prj_a")
    engine.drain()
    with pytest.raises(NotFound):
        undo(identifier, actor=Actor("user", "usr_x", "x", {"prj_b": "admin"}))
    with pytest.raises(Forbidden):
        undo(identifier, actor=Actor("user", "usr_y", "y", {"prj_a": "reader"}))
