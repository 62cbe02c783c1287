"""Steps of one operation that do not depend on each other: walked some at a time, and journaled like all others."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import sqlalchemy as sa

from tests.operations.conftest import FINAL, RETRYABLE, Toy, no_drivers, put
from tests.operations.test_engine import wait_until
from yun.base.config import Settings
from yun.base.context import SYSTEM, Context
from yun.base.db import Database
from yun.operations import service
from yun.operations.engine import STEPS_AT_ONCE, Engine
from yun.operations.flow import Op, operation
from yun.operations.model import Operation, OperationStep, State

Submit = Callable[..., str]
LookUp = Callable[[str], Operation]
MANY = 2 * STEPS_AT_ONCE + 3


@operation("toy.crowd")
def crowd(op: Op, name: str) -> Any:
    op.step(put, name, 100)
    return op.together([(put, name, n) for n in range(MANY)])


class Gate:
    """Where steps that run side by side meet: counts them, and holds them until so many are there or it opens."""

    def __init__(self, toy: Toy) -> None:
        self.toy, self.opened = toy, threading.Event()
        self.lock, self.inside, self.most = threading.Lock(), 0, 0
        toy.hook = self.through

    def through(self, _name: str, n: int) -> None:
        if n == 100:
            return
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        assert self.opened.wait(30)
        with self.lock:
            self.inside -= 1


def ended(engine: Engine, look_up: LookUp, identifier: str) -> Operation:
    wait_until(lambda: look_up(identifier).state in (State.SUCCEEDED, State.FAILED, State.CANCELLED))
    return look_up(identifier)


def test_some_are_walked_at_once_and_their_outputs_come_in_order(
    engine: Engine, submit: Submit, look_up: LookUp, toy: Toy
) -> None:
    gate = Gate(toy)
    engine.start()
    try:
        identifier = submit("toy.crowd")
        wait_until(lambda: gate.inside == STEPS_AT_ONCE)
        gate.opened.set()
        done = ended(engine, look_up, identifier)
    finally:
        gate.opened.set()
        engine.stop()
    assert done.state == State.SUCCEEDED, done.error
    assert gate.most == STEPS_AT_ONCE
    assert done.result == {"value": [f"a{n}" for n in range(MANY)]}


def test_a_failure_among_them_begins_no_more_and_takes_all_back(
    engine: Engine, submit: Submit, look_up: LookUp, toy: Toy, database: Database
) -> None:
    gate = Gate(toy)

    def one_fails(name: str, n: int) -> None:
        if n == 2:
            wait_until(lambda: gate.inside == STEPS_AT_ONCE - 1)
            raise FINAL
        gate.through(name, n)

    def tried() -> bool:
        with database.read() as session:
            query = sa.select(OperationStep.attempts).where(OperationStep.position == 3)
            return bool(session.scalar(query))

    toy.hook = one_fails
    engine.start()
    try:
        identifier = submit("toy.crowd")
        wait_until(tried)
        threading.Event().wait(0.3)  # and it has been told to the others
        gate.opened.set()
        done = ended(engine, look_up, identifier)
    finally:
        gate.opened.set()
        engine.stop()
    assert done.state == State.FAILED
    assert toy.things == set()
    begun = {line for line in toy.log if line.startswith("put")}
    assert begun == {f"put a{n}" for n in (100, *range(STEPS_AT_ONCE))}, "what stood in line is not begun"
    assert {f"un{line}" for line in begun} <= set(toy.log), "those that were under way are taken back too"


def test_what_may_have_begun_is_written_down_at_once_and_each_says_when_it_really_did(
    engine: Engine, submit: Submit, look_up: LookUp, toy: Toy, database: Database
) -> None:
    seen: dict[int, list[str]] = {}

    def look(_name: str, n: int) -> None:
        with database.read() as session:
            seen[n] = list(session.scalars(sa.select(OperationStep.state).order_by(OperationStep.position)))

    toy.hook = look
    identifier = submit("toy.crowd")
    engine.drain()
    assert look_up(identifier).state == State.SUCCEEDED
    assert seen[0] == ["done"] + ["begun"] * MANY
    assert seen[MANY - 1] == ["done"] * MANY + ["begun"]
    with database.read() as session:
        rows = list(session.scalars(sa.select(OperationStep).order_by(OperationStep.position)))
    for one, other in pairwise(rows):
        assert one.ended_at is not None
        assert one.begun_at <= one.ended_at <= other.begun_at


def test_one_that_may_pass_is_tried_again_and_the_others_are_not(
    engine: Engine, submit: Submit, look_up: LookUp, toy: Toy
) -> None:
    toy.fail["put3"] = [RETRYABLE]
    engine.start()
    try:
        done = ended(engine, look_up, submit("toy.crowd"))
    finally:
        engine.stop()
    assert done.state == State.SUCCEEDED, done.error
    assert toy.things == {f"a{n}" for n in (100, *range(MANY))}
    assert sorted(toy.log) == sorted([f"put a{n}" for n in (100, *range(MANY))] + ["put a3"])


def test_a_cancel_is_heard_among_them(
    engine: Engine, submit: Submit, look_up: LookUp, toy: Toy, database: Database, settings: Settings
) -> None:
    gate = Gate(toy)

    def slowly(name: str, n: int) -> None:
        gate.through(name, n)
        threading.Event().wait(0.3)  # longer than an answer of the database is believed

    toy.hook = slowly
    engine.start()
    try:
        identifier = submit("toy.crowd")
        wait_until(lambda: gate.inside == STEPS_AT_ONCE)
        with database.write() as session:
            service.cancel(Context(actor=SYSTEM, session=session, settings=settings), identifier)
        wait_until(lambda: look_up(identifier).cancel_requested)
        threading.Event().wait(0.3)  # the next question may be asked of the database again
        gate.opened.set()
        done = ended(engine, look_up, identifier)
    finally:
        gate.opened.set()
        engine.stop()
    assert done.state == State.CANCELLED
    assert toy.things == set()
    assert len([line for line in toy.log if line.startswith("put")]) < MANY


def test_another_process_goes_on_with_those_that_are_not_done(
    database: Database, settings: Settings, submit: Submit, look_up: LookUp, toy: Toy
) -> None:
    """The first process stands still in the middle of some; the second finishes, and the first records nothing."""
    gate = Gate(toy)
    first = Engine(database, no_drivers(), settings)
    (operation,) = [submit("toy.crowd")] and first.claim(1)
    stuck = threading.Thread(target=first.run, args=(operation,), kwargs={"at_once": 3})
    stuck.start()
    try:
        wait_until(lambda: gate.inside == 3)
        toy.hook = lambda *_args: None
        with database.write() as session:
            session.execute(sa.update(Operation).values(node_id="nod_dead"))
        Engine(database, no_drivers(), settings).drain()
        assert look_up(operation.id).state == State.SUCCEEDED
    finally:
        gate.opened.set()
        stuck.join(30)
    assert not stuck.is_alive()
    assert look_up(operation.id).state == State.SUCCEEDED
    with database.read() as session:
        rows = list(session.scalars(sa.select(OperationStep).order_by(OperationStep.position)))
    assert [row.state for row in rows] == ["done"] * (MANY + 1)
    assert len(toy.log) == MANY + 1 + 3, "only those that had begun are repeated"


@pytest.mark.parametrize("fails", [False, True], ids=["succeeding", "failing"])
def test_alone_in_a_thread_they_are_walked_one_after_another(
    engine: Engine, submit: Submit, look_up: LookUp, toy: Toy, fails: bool
) -> None:
    if fails:
        toy.fail["put5"] = [FINAL]
    identifier = submit("toy.crowd")
    engine.drain()
    done = look_up(identifier)
    assert done.state == (State.FAILED if fails else State.SUCCEEDED)
    put_in_order = [line for line in toy.log if line.startswith("put")]
    assert put_in_order == [f"put a{n}" for n in (100, *range(6 if fails else MANY))]
    assert len(toy.things) == (0 if fails else MANY + 1)
