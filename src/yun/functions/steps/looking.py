"""Steps that ask functions how they do, and order that those that are not as they shall be are put right."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import SYSTEM, Context
from yun.base.errors import DriverError
from yun.base.log import logger
from yun.compute.guest.model import InstanceFreeze
from yun.compute.model import Instance, State
from yun.functions.kinds import digest
from yun.functions.model import FunctionState, NetworkFunction
from yun.functions.service import follow_intent, kind_of, wanted
from yun.functions.steps.asking import STATE, run
from yun.operations.events import emit
from yun.operations.flow import Op, step
from yun.operations.intent import Subject
from yun.operations.model import OperationKey
from yun.operations.service import submit

log = logger(__name__)
STALE = timedelta(seconds=20)
ROUND_SECONDS = 10.0
"""How long one round of questions may take: with very many functions each is asked less often."""
ANSWER_SECONDS = 8.0


@step(retries=0)
def look_at_all(op: Op) -> None:
    """Ask those that were not asked for long, those that wait longest first, for at most `ROUND_SECONDS`."""
    begin = op.clock.monotonic()
    for function_id in _stale(op):
        look(op, function_id)
        if op.clock.monotonic() - begin > ROUND_SECONDS:
            return


def _stale(op: Op) -> list[str]:
    """Functions that run, have an agent, and whose answer is old; a frozen guest's agent answers nothing of this."""
    query = (
        sa.select(NetworkFunction.id)
        .join(Instance, Instance.id == NetworkFunction.instance_id)
        .outerjoin(FunctionState, FunctionState.function_id == NetworkFunction.id)
        .outerjoin(InstanceFreeze, InstanceFreeze.instance_id == Instance.id)
        .where(
            Instance.state == State.RUNNING, Instance.agent.is_(True), InstanceFreeze.instance_id.is_(None),
            sa.or_(FunctionState.asked_at.is_(None), FunctionState.asked_at < op.clock.now() - STALE),
        )
        .order_by(FunctionState.asked_at.is_not(None), FunctionState.asked_at)
        .limit(1000)
    )  # fmt: skip
    with op.read() as session:
        return list(session.scalars(query))


@step(retries=0)
def look_now(op: Op, function_id: str) -> str:
    """Ask one function how it does; the word of what is wrong with it, empty where nothing is."""
    return look(op, function_id)


def look(op: Op, function_id: str) -> str:
    """Ask, write down, and have it put right where it does not do what it shall. What is wrong, in a word of
    `FAULTS`; empty where nothing is, and where there is nobody to ask."""
    with op.read() as session:
        function = session.get(NetworkFunction, function_id)
        instance = session.get(Instance, function.instance_id) if function else None
    if function is None or instance is None or instance.state != State.RUNNING or not instance.agent:
        return ""
    told = _ask(op, function, instance)
    with op.write() as session:
        return _write(op, session, function_id, told)


def _ask(op: Op, function: NetworkFunction, instance: Instance) -> dict[str, Any]:
    """What the guest says: ``digest``, ``fault`` and ``facts``; without ``facts`` where it says none."""
    try:
        code, said = run(op, instance, STATE, seconds=ANSWER_SECONDS)
    except DriverError as error:
        log.info("the function %s does not tell how it does: %s", function.id, error)
        return {"fault": "silent" if error.retryable else "strange"}
    head, _newline, body = said.partition("\n")
    words = head.split()
    if words == ["function", "none"]:
        return {"digest": "", "fault": "", "facts": {}}
    if len(words) != 3 or words[0] != "function" or len(words[2]) != 64:
        return {"fault": "strange"}
    if words[1] != function.kind:
        return {"digest": "", "fault": "", "facts": {}}
    if code:
        return {"digest": words[2], "fault": "stands", "facts": {}}
    try:
        return {"digest": words[2], "fault": "", "facts": kind_of(function).read(body)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        log.info("the function %s tells what nobody understands: %r", function.id, error)
        return {"fault": "strange"}


def _write(op: Op, session: Session, function_id: str, told: dict[str, Any]) -> str:
    function = session.get(NetworkFunction, function_id)
    instance = session.get(Instance, function.instance_id) if function else None
    if function is None or instance is None:
        return ""
    row = session.get(FunctionState, function_id)
    before = _news(function, row)
    if row is None:
        row = FunctionState(function_id=function_id, seen_at=None, digest="", fault="", facts={})
        session.add(row)
    row.asked_at = op.clock.now()
    refused = row.fault == "refused" and told.get("digest") == row.digest and not told["fault"]
    row.fault = "refused" if refused else told["fault"]
    if "facts" in told:
        row.seen_at, row.digest, row.facts = row.asked_at, told["digest"], told["facts"]
        current = told["digest"] == digest(wanted(session, function_id))
        if current and refused:
            row.fault = ""
        if not refused and (not current or told["fault"] == "stands"):
            _have_it_follow(op, session, function, instance)
    if _news(function, row) != before:
        emit(
            session, "function.seen", subject=Subject("function", function.id, instance.name),
            project_id=function.project_id, data={"fault": row.fault}, operation_id=op.id,
        )  # fmt: skip
    return row.fault


def _news(function: NetworkFunction, row: FunctionState | None) -> Any:
    """What of an answer is news when it changes."""
    return row and [row.fault, row.digest, row.seen_at is None, kind_of(function).lasting(row.facts)]


def _have_it_follow(op: Op, session: Session, function: NetworkFunction, instance: Instance) -> None:
    """Order that it gets its configuration again, unless something is being done to it already."""
    busy = sa.select(OperationKey.seq).where(OperationKey.key == f"instance:{instance.id}").limit(1)
    if session.scalar(busy) is None:
        submit(Context(SYSTEM, session, op.settings, clock=op.clock), follow_intent(function, instance))
