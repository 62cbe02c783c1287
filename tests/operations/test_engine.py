"""The engine's guarantees, on both databases: order, journal, undo of failure, retries, fences, cancel, stuck."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from tests.operations.conftest import FINAL, RETRYABLE, Toy, no_drivers
from yun.base.config import Settings
from yun.base.context import SYSTEM, Context
from yun.base.db import Database
from yun.base.errors import Conflict
from yun.operations import service
from yun.operations.engine import Engine
from yun.operations.model import Event, Notice, Operation, OperationKey, OperationStep, State

Submit = Callable[..., str]
LookUp = Callable[[str], Operation]


def wait_until(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def context(database: Database, settings: Settings, session: Any) -> Context:
    return Context(actor=SYSTEM, session=session, settings=settings)


def test_an_operation_walks_its_steps_and_ends_with_its_result(
    engine: Engine, submit: Submit, look_up: LookUp, toy: Toy
) -> None:
    identifier = submit()
    assert engine.drain() == 1
    done = look_up(identifier)
    assert done.state == State.SUCCEEDED
    assert done.result == {"value": {"built": "a"}}
    assert done.undo_until is not None
    assert done.progress == 1.0
    assert toy.things == {"a0", "a1", "a2"}


def test_a_finished_operation_holds_no_keys_and_told_its_story(
    engine: Engine, submit: Submit, database: Database
) -> None:
    submit()
    engine.drain()
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(OperationKey)) == 0
        kinds = list(session.scalars(sa.select(Event.kind).order_by(Event.seq)))
    assert kinds[0] == "operation.queued"
    assert kinds[-1] == "operation.succeeded"


def test_a_failing_step_takes_back_what_was_done_in_reverse(
    engine: Engine, submit: Submit, look_up: LookUp, toy: Toy
) -> None:
    toy.fail["put2"] = [FINAL]
    identifier = submit()
    engine.drain()
    failed = look_up(identifier)
    assert failed.state == State.FAILED
    assert failed.error is not None
    assert failed.error["code"] == "driver_error"
    assert toy.things == set()
    assert toy.log[-3:] == ["unput a2", "unput a1", "unput a0"], "the half-run step is taken back too"


def test_a_retryable_error_is_tried_again_until_it_passes(
    engine: Engine, submit: Submit, look_up: LookUp, toy: Toy
) -> None:
    toy.fail["put1"] = [RETRYABLE, RETRYABLE]
    identifier = submit()
    engine.drain()
    assert look_up(identifier).state == State.SUCCEEDED
    assert toy.log.count("put a1") == 3
    assert toy.log.count("put a0") == 1, "a finished step is not run again"


def test_a_retryable_error_that_stays_fails_after_the_steps_number_of_retries(
    engine: Engine, submit: Submit, look_up: LookUp, toy: Toy
) -> None:
    toy.fail["put1"] = [RETRYABLE] * 10
    identifier = submit()
    engine.drain()
    assert look_up(identifier).state == State.FAILED
    assert toy.log.count("put a1") == 4, "once, and three retries"
    assert toy.things == set()


def test_a_waiting_retry_lets_its_thread_go_and_keeps_its_place(
    engine: Engine, submit: Submit, look_up: LookUp, toy: Toy
) -> None:
    toy.fail["put0"] = [RETRYABLE]
    first, second = submit(), submit()
    taken = engine.claim(4)
    assert [o.id for o in taken] == [first]
    engine.run(taken[0])
    engine.active.clear()
    waiting = look_up(first)
    assert waiting.state == State.RUNNING
    assert waiting.node_id is None
    assert waiting.not_before > 0
    assert engine.claim(4) == [], "the second still stands behind the waiting first"
    engine.drain()
    assert look_up(first).state == look_up(second).state == State.SUCCEEDED


def test_an_undo_that_fails_backs_off_and_is_then_stuck_until_an_operator_retries(
    engine: Engine, submit: Submit, look_up: LookUp, toy: Toy, database: Database, settings: Settings
) -> None:
    toy.fail = {"put2": [FINAL], "unput1": [FINAL] * 8}
    identifier = submit()
    behind = submit()
    engine.drain()
    assert look_up(identifier).state == State.STUCK
    assert look_up(behind).state == State.QUEUED, "keys are held while stuck"
    with database.read() as session:
        ctx = context(database, settings, session)
        assert [o.id for o in service.waits_for(ctx, service.get(ctx, behind))] == [identifier]
        assert service.waits_for(ctx, service.get(ctx, identifier)) == []
    with database.read() as session:
        assert session.scalar(sa.select(Notice.level).where(Notice.key == f"stuck:{identifier}")) == "error"
    with database.write() as session:
        service.retry(context(database, settings, session), identifier)
    engine.drain()
    assert look_up(identifier).state == State.FAILED
    assert look_up(behind).state == State.SUCCEEDED
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Notice)) == 0


def test_a_stuck_operation_can_be_abandoned_and_releases_its_keys(
    engine: Engine, submit: Submit, look_up: LookUp, toy: Toy, database: Database, settings: Settings
) -> None:
    toy.fail = {"put2": [FINAL], "unput1": [FINAL] * 99}
    identifier, behind = submit(), submit()
    engine.drain()
    with database.write() as session:
        service.abandon(context(database, settings, session), identifier)
    toy.fail = {}
    engine.drain()
    assert look_up(identifier).state == State.ABANDONED
    assert look_up(behind).state == State.SUCCEEDED


def test_past_the_point_of_no_return_a_failure_rolls_forward_and_never_back(
    engine: Engine, submit: Submit, look_up: LookUp, toy: Toy
) -> None:
    toy.fail["put1"] = [FINAL] * 3
    identifier = submit("toy.final")
    engine.drain()
    assert look_up(identifier).state == State.SUCCEEDED
    assert toy.things == {"a0", "a1"}
    assert not [entry for entry in toy.log if entry.startswith("unput")]


def test_a_queued_operation_is_cancelled_without_having_begun(
    engine: Engine, submit: Submit, look_up: LookUp, toy: Toy, database: Database, settings: Settings
) -> None:
    identifier = submit()
    with database.write() as session:
        service.cancel(context(database, settings, session), identifier)
    engine.drain()
    assert look_up(identifier).state == State.CANCELLED
    assert toy.log == []


def test_a_running_operation_notices_a_cancel_and_takes_back_what_it_did(
    engine: Engine, submit: Submit, look_up: LookUp, toy: Toy, database: Database, settings: Settings
) -> None:
    engine.start()
    try:
        toy.hold.clear()
        identifier = submit("toy.enter")
        assert toy.entered.wait(5)
        with database.write() as session:
            service.cancel(context(database, settings, session), identifier)
        wait_until(lambda: look_up(identifier).state == State.CANCELLED)
    finally:
        engine.stop()


def test_what_has_ended_cannot_be_cancelled(
    engine: Engine, submit: Submit, database: Database, settings: Settings
) -> None:
    identifier = submit()
    engine.drain()
    with pytest.raises(Conflict), database.write() as session:
        service.cancel(context(database, settings, session), identifier)


def test_operations_of_one_key_run_one_after_another_in_order(
    engine: Engine, submit: Submit, toy: Toy, look_up: LookUp
) -> None:
    ids = [submit("toy.enter", key="machine:1") for _n in range(12)]
    engine.start()
    try:
        wait_until(lambda: all(look_up(i).state == State.SUCCEEDED for i in ids))
    finally:
        engine.stop()
    assert toy.most["a"] == 1
    assert [line.split()[2] for line in toy.log] == ids, "first come, first served"


def test_a_key_with_slots_lets_so_many_in_and_no_more(
    engine: Engine, submit: Submit, toy: Toy, look_up: LookUp
) -> None:
    toy.hold.clear()
    ids = [submit("toy.enter", key="host:1", slots=3, arguments={"name": "h"}) for _n in range(9)]
    engine.start()
    try:
        wait_until(lambda: toy.inside.get("h") == 3)
        time.sleep(0.5)
        assert toy.inside["h"] == 3, "the fourth waits"
        toy.hold.set()
        wait_until(lambda: all(look_up(i).state == State.SUCCEEDED for i in ids))
    finally:
        toy.hold.set()
        engine.stop()
    assert toy.most["h"] == 3


def test_a_blocked_operation_is_not_looked_at_again_until_its_key_moves(
    engine: Engine, submit: Submit, database: Database
) -> None:
    first = submit(key="k")
    for _n in range(200):
        submit(key="k")
    taken = engine.claim(8)
    assert [o.id for o in taken] == [first]
    with database.read() as session:
        ready = session.scalar(sa.select(sa.func.count()).where(Operation.ready.is_(True), Operation.state == "queued"))
    assert ready is not None
    assert ready <= 200 - 63
    engine.run(taken[0])
    engine.active.clear()
    assert len(engine.claim(8)) == 1


def test_a_killed_process_loses_nothing_another_claim_goes_on_where_it_stood(
    engine: Engine, submit: Submit, look_up: LookUp, toy: Toy, database: Database, settings: Settings
) -> None:
    class Died(BaseException):
        pass

    identifier = submit()
    toy.fail["put1"] = [Died()]  # type: ignore[list-item]
    taken = engine.claim(1)
    with pytest.raises(Died):
        engine.run(taken[0])
    after = Engine(database, no_drivers(), settings)
    if database.sqlite:
        assert after.drain() == 1, "on SQLite whoever starts is the only one left"
    else:
        engine.beat()
        assert after.drain() == 0, "its node still lives"
        with database.write() as session:
            session.execute(sa.text("UPDATE node SET beat = beat - 100"))
        assert after.drain() == 1
    assert look_up(identifier).state == State.SUCCEEDED
    assert toy.log == ["put a0", "put a1", "put a1", "put a2"]


def test_a_process_that_was_replaced_stops_at_its_next_write(
    engine: Engine, submit: Submit, look_up: LookUp, toy: Toy, database: Database, settings: Settings
) -> None:
    toy.hold.clear()
    identifier = submit("toy.enter")
    zombie = engine.claim(1)[0]
    thread = threading.Thread(target=engine.run, args=(zombie,))
    thread.start()
    assert toy.entered.wait(5)
    with database.write() as session:
        session.execute(sa.update(Operation).values(node_id="nod_gone"))
    after = Engine(database, no_drivers(), settings)
    taken = after.claim(1)
    assert [o.id for o in taken] == [identifier]
    toy.hold.set()
    thread.join(10)
    assert look_up(identifier).state == State.RUNNING, "the zombie's end did not count"
    after.run(taken[0])
    assert look_up(identifier).state == State.SUCCEEDED


def test_a_bug_in_a_step_is_undone_and_gives_the_person_a_number(
    engine: Engine, submit: Submit, look_up: LookUp, toy: Toy
) -> None:
    toy.fail["put1"] = [ZeroDivisionError("x")]
    identifier = submit()
    engine.drain()
    failed = look_up(identifier)
    assert failed.state == State.FAILED
    assert failed.error is not None
    assert failed.error["code"] == "internal"
    assert failed.error["message"]["params"]["id"].startswith("bug_")
    assert "ZeroDivision" not in str(failed.error)
    assert toy.things == set()


def test_an_instant_operation_is_done_when_submit_returns(submit: Submit, look_up: LookUp, database: Database) -> None:
    identifier = submit("toy.rename", instant=True)
    done = look_up(identifier)
    assert done.state == State.SUCCEEDED
    assert done.result == {"value": "a"}
    with database.read() as session:
        assert session.scalar(sa.select(OperationStep.name)) == "tests.operations.conftest.name_it"


def test_an_instant_operations_error_reaches_the_caller_and_writes_nothing(submit: Submit, database: Database) -> None:
    with pytest.raises(Conflict):
        submit("toy.rename", subject="taken", instant=True)
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Operation)) == 0


def test_an_instant_operation_queues_behind_an_open_one_of_its_key(
    engine: Engine, submit: Submit, look_up: LookUp
) -> None:
    submit(key="k")
    late = submit("toy.rename", key="k", instant=True)
    assert look_up(late).state == State.QUEUED
    engine.drain()
    assert look_up(late).state == State.SUCCEEDED


def test_a_quiet_operation_that_found_nothing_leaves_no_trace(
    engine: Engine, submit: Submit, database: Database
) -> None:
    submit("toy.look", quiet=True)
    submit("toy.look", quiet=True, subject="b", arguments={"changed": True})
    engine.drain()
    with database.read() as session:
        assert list(session.scalars(sa.select(Operation.subject_id))) == ["b"]


def test_a_missed_deadline_raises_a_notice_and_kills_nothing(
    engine: Engine, submit: Submit, look_up: LookUp, database: Database
) -> None:
    identifier = submit(deadline=-1.0)
    taken = engine.claim(1)
    engine.beat()
    with database.read() as session:
        assert session.get(Notice, f"deadline:{identifier}") is not None
    engine.run(taken[0])
    assert look_up(identifier).state == State.SUCCEEDED
    with database.read() as session:
        assert session.get(Notice, f"deadline:{identifier}") is None


def test_two_engines_on_one_sqlite_database_are_refused(engine: Engine, database: Database, settings: Settings) -> None:
    if not database.sqlite:
        assert engine.node_id != Engine(database, no_drivers(), settings).node_id
        return
    engine.start()
    try:
        with pytest.raises(Conflict) as caught:
            Engine(database, no_drivers(), settings).start()
        assert caught.value.hint is not None
    finally:
        engine.stop()
    again = Engine(database, no_drivers(), settings)
    again.start()
    again.stop()


def test_a_clock_that_jumped_back_does_not_hold_a_retry_for_hours(
    engine: Engine, submit: Submit, look_up: LookUp, toy: Toy, database: Database
) -> None:
    toy.fail["put0"] = [RETRYABLE]
    identifier = submit()
    taken = engine.claim(1)
    engine.run(taken[0])
    engine.active.clear()
    with database.write() as session:
        session.execute(sa.update(Operation).values(not_before=Operation.not_before + 7200))
    assert [o.id for o in engine.claim(1)] == [identifier]
