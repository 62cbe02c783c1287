"""Cancels that come early, late and too late; undos that meet what only a person can mend; steps nobody can record."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from tests.operations.conftest import RETRYABLE, Toy
from yun.base.config import Settings
from yun.base.context import SYSTEM, Context
from yun.base.db import Database, DatabaseAway
from yun.base.errors import Conflict, Invalid
from yun.base.messages import _
from yun.operations import service
from yun.operations.engine import Engine
from yun.operations.flow import Op, operation
from yun.operations.model import Notice, Operation, OperationStep, State

Submit = Callable[..., str]
LookUp = Callable[[str], Operation]
Ask = Callable[[str], Operation]


@pytest.fixture
def cancel(database: Database, settings: Settings) -> Ask:
    def call(identifier: str) -> Operation:
        with database.write() as session:
            return service.cancel(Context(SYSTEM, session, settings), identifier)

    return call


@pytest.fixture
def undo(database: Database, settings: Settings) -> Submit:
    def call(identifier: str | None = None) -> str:
        with database.write() as session:
            ctx = Context(SYSTEM, session, settings)
            return service.submit(ctx, service.undo(ctx, identifier)).id

    return call


def test_a_purge_that_was_cancelled_while_it_waited_purges_nothing(
    engine: Engine, submit: Submit, cancel: Ask, look_up: LookUp, database: Database
) -> None:
    """Its first step is database work without a way back."""
    identifier = submit("toy.rename", undoable=False)
    cancel(identifier)
    engine.drain()
    assert look_up(identifier).state == State.CANCELLED
    with database.read() as session:
        assert list(session.scalars(sa.select(OperationStep.name))) == []


def test_rows_that_came_with_a_cancelled_operation_are_taken_away(
    engine: Engine, submit: Submit, cancel: Ask, look_up: LookUp
) -> None:
    identifier = submit("toy.rename", write=lambda _session: None)
    cancel(identifier)
    engine.drain()
    ended = look_up(identifier)
    assert ended.state == State.CANCELLED
    assert ended.address == "unnamed"  # the first step's undo was here


def test_a_cancelled_operation_does_not_wait_for_its_keys(
    engine: Engine, submit: Submit, cancel: Ask, look_up: LookUp, toy: Toy
) -> None:
    toy.fail["put0"] = [RETRYABLE]
    holder = submit(key="machine")
    engine.run(engine.claim(1)[0])
    assert look_up(holder).state == State.RUNNING
    waiting = submit(key="machine", subject="b")
    assert engine.claim(1) == []
    cancel(waiting)
    for taken in engine.claim(1):
        engine.run(taken)
        engine.active.clear()
    assert look_up(waiting).state == State.CANCELLED
    assert "put b0" not in toy.log


def test_an_undo_that_has_begun_goes_on_whoever_cancels_it(
    engine: Engine, submit: Submit, undo: Submit, cancel: Ask, look_up: LookUp, toy: Toy, database: Database
) -> None:
    built = submit()
    engine.drain()
    undoing = undo(built)
    toy.fail["unput0"] = [RETRYABLE]
    engine.run(engine.claim(1)[0])
    with pytest.raises(Conflict):
        cancel(undoing)
    with database.write() as session:  # the request that came in the moment before it began
        session.execute(sa.update(Operation).where(Operation.id == undoing).values(cancel_requested=True))
    engine.active.clear()
    engine.drain()
    assert (look_up(undoing).state, look_up(built).state) == (State.SUCCEEDED, State.UNDONE)
    assert toy.things == set()


def test_past_the_point_of_no_return_nothing_is_cancelled(
    engine: Engine, submit: Submit, cancel: Ask, look_up: LookUp, toy: Toy, database: Database
) -> None:
    toy.fail["put1"] = [RETRYABLE]
    identifier = submit("toy.final")
    engine.run(engine.claim(1)[0])
    with pytest.raises(Conflict):
        cancel(identifier)
    with database.write() as session:
        session.execute(sa.update(Operation).where(Operation.id == identifier).values(cancel_requested=True))
    engine.active.clear()
    engine.drain()
    assert look_up(identifier).state == State.SUCCEEDED
    assert toy.things == {"a0", "a1"}


def test_an_undo_that_only_a_person_can_clear_the_way_for_fails_and_holds_nothing(
    engine: Engine, submit: Submit, undo: Submit, look_up: LookUp, toy: Toy
) -> None:
    built = submit("toy.final", key="machine")
    engine.drain()
    toy.fail["unput1"] = [Conflict(_("The name {name} is taken.", name="a"))]
    refused = undo(built)
    engine.drain()
    ended = look_up(refused)
    assert ended.state == State.FAILED
    assert ended.error is not None
    assert "taken" in str(ended.error)
    assert look_up(built).state == State.SUCCEEDED
    again = undo(built)
    engine.drain()
    assert (look_up(again).state, look_up(built).state) == (State.SUCCEEDED, State.UNDONE)
    assert toy.things == set()


def test_an_undo_that_has_taken_something_back_waits_for_an_operator_instead(
    engine: Engine, submit: Submit, undo: Submit, look_up: LookUp, toy: Toy
) -> None:
    built = submit()
    engine.drain()
    toy.fail["unput0"] = [Conflict(_("The name {name} is taken.", name="a"))] * 20
    stuck = undo(built)
    engine.drain()
    assert look_up(stuck).state == State.STUCK


@operation("toy.unspeakable")
def unspeakable(op: Op, name: str) -> Any:
    return {"name": object()}


def test_an_operation_whose_end_cannot_be_recorded_is_stuck_and_not_run_for_ever(
    engine: Engine, submit: Submit, look_up: LookUp, database: Database
) -> None:
    identifier = submit("toy.unspeakable")
    assert engine.drain(limit=50) < 5
    assert look_up(identifier).state == State.STUCK
    with database.read() as session:
        assert session.scalars(sa.select(Notice)).one().key == f"stuck:{identifier}"


def test_words_that_no_database_keeps_are_told_as_far_as_they_can_be(
    engine: Engine, submit: Submit, look_up: LookUp, toy: Toy
) -> None:
    toy.fail["put0"] = [Invalid(_("No disk image: {reason}", reason="back\0ing \udcff/etc/shadow"))]
    identifier = submit()
    engine.drain()
    ended = look_up(identifier)
    assert ended.state == State.FAILED
    assert ended.error is not None
    assert "/etc/shadow" in str(ended.error)


def test_a_database_that_goes_away_in_the_middle_of_a_step_fails_nothing(
    engine: Engine, submit: Submit, look_up: LookUp, toy: Toy
) -> None:
    toy.fail["put1"] = [DatabaseAway(_("The database does not answer."))] * 6
    identifier = submit()
    engine.drain()
    assert look_up(identifier).state == State.SUCCEEDED
    assert toy.log.count("put a1") == 7


def test_a_process_that_cannot_prove_its_life_lets_go_between_two_steps(
    engine: Engine, submit: Submit, look_up: LookUp, toy: Toy
) -> None:
    engine._beating = True
    identifier = submit()
    taken = engine.claim(1)

    def hang(*_args: Any) -> None:
        engine._beaten = time.monotonic() - engine.settings.node_timeout

    toy.hook = hang
    engine.run(taken[0])
    assert toy.log == ["put a0"]
    assert look_up(identifier).state == State.RUNNING
    toy.hook = lambda *_args: None
    engine.beat()
    engine.active.clear()
    engine.drain()
    assert look_up(identifier).state == State.SUCCEEDED
