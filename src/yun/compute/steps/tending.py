"""Steps that look at what machines really do, write it down, and find out what must be mended."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import SYSTEM, Context
from yun.base.errors import DriverError
from yun.base.log import logger
from yun.base.messages import Message, _
from yun.compute import hardware as parts
from yun.compute.model import LIVE, REASONS, SETTLED, Instance, State
from yun.compute.reality import GAVE_UP, HOST_REBOOT, MISSING, WINDOW, Known, Seen, Verdict, judge
from yun.compute.service.guest import learn_intent
from yun.compute.service.tending import TEND, tend_intent
from yun.compute.steps.power import start_now
from yun.compute.steps.removal import unsettled
from yun.compute.steps.room import note_places
from yun.compute.steps.shared import boot_of, nothing_runs, notice_key
from yun.drivers.hypervisor.port import DomainState
from yun.hosts.model import Host
from yun.operations.events import emit, raise_notice, resolve_notice
from yun.operations.flow import Op, step
from yun.operations.intent import Subject
from yun.operations.model import Operation
from yun.operations.model import State as OperationState
from yun.operations.service import submit, surface

log = logger(__name__)


def known(row: Any, boot_id: str) -> Known:
    """What the row (an `Instance`, or its columns) says, for the judge."""
    return Known(
        state=row.state, reason=row.reason, agent=row.agent, on_crash=row.on_crash, autostart=row.autostart,
        same_boot=not row.boot_id or not boot_id or row.boot_id == boot_id,
        mended_at=[datetime.fromisoformat(text) for text in row.mended_at],
    )  # fmt: skip


def seen_of(state: DomainState) -> Seen:
    """What the hypervisor says, for the judge."""
    return Seen(str(state.power), state.reason, state.agent)


@step(retries=0)
def look(op: Op, instance_id: str) -> dict[str, Any] | None:
    """Look at one machine; where the row was wrong it is right afterwards, told and dated. What is to be mended, or
    None where nothing was news. A hypervisor that does not answer is no news: it will be asked again."""
    with op.read() as session:
        row = session.get(Instance, instance_id)
    if row is None or row.state not in SETTLED:
        return None
    try:
        state = op.drivers.on(row.host_id).hypervisor.state(row.uuid)
        boot_id = boot_of(op, row.host_id)
    except DriverError as error:
        log.info("could not look at %s: %s", instance_id, error)
        return None
    with op.write() as session:
        again = session.get(Instance, instance_id)
        if again is None:
            return None
        verdict = judge(known(again, boot_id), seen_of(state), op.clock.now())
        if verdict is None:
            return None
        _write(op, session, again, verdict, boot_id)
        if verdict.event == "instance.agent":
            if verdict.agent:
                submit(Context(SYSTEM, session, op.settings, clock=op.clock), learn_intent(again))
            return None
        surface(session, op.id, title=_headline(again, verdict), project_id=again.project_id)
    if verdict.event == "instance.started":
        note_places(op, instance_id)
    return {"state": verdict.state, "reason": verdict.reason, "define": verdict.define, "start": verdict.start}


def _headline(row: Instance, verdict: Verdict) -> Message:
    """What the history says of the news."""
    if verdict.event == "instance.mending":
        return _("Bring instance {name} back", name=row.name)
    if verdict.event == "instance.lost":
        return _("Instance {name} was unknown to the hypervisor", name=row.name)
    reason = REASONS.get(verdict.reason, Message(verdict.reason))
    return _("Instance {name} is {state}: {reason}", name=row.name, state=_(verdict.state), reason=reason)


def _write(op: Op, session: Session, row: Instance, verdict: Verdict, boot_id: str) -> None:
    row.state, row.reason, row.agent = verdict.state, verdict.reason, verdict.agent
    if verdict.state == State.RUNNING and verdict.event == "instance.started":
        row.started_at = op.clock.now()
        row.boot_id = boot_id
        row.running_vcpus, row.running_memory_mib = row.vcpus, row.memory_mib
    elif verdict.state not in LIVE:
        nothing_runs(session, row)
    if verdict.start:
        cutoff = op.clock.now() - WINDOW
        recent = [text for text in row.mended_at if datetime.fromisoformat(text) > cutoff]
        row.mended_at = [*recent, op.clock.now().isoformat()]
    subject = Subject("instance", row.id, row.name)
    if verdict.event:
        data = {"state": verdict.state, "reason": verdict.reason, "mends": verdict.start, "agent": verdict.agent}
        emit(session, verdict.event, subject=subject, project_id=row.project_id, data=data, operation_id=op.id)
    key = notice_key(row.id)
    if verdict.reason == GAVE_UP:
        raise_notice(
            session, key, subject=subject,
            message=_("The instance {name} keeps going down; it is no longer started by itself.", name=row.name),
            hint=_("Look at its console, then start it."),
        )  # fmt: skip
    elif verdict.state == State.PAUSED and verdict.reason == "io_error":
        raise_notice(
            session, key, subject=subject,
            message=_("The instance {name} stands still: its disk cannot be written.", name=row.name),
            hint=_("Make space in its storage pool, then resume it."),
        )  # fmt: skip
    elif verdict.state == State.RUNNING:
        resolve_notice(session, key)


@step(retries=2)
def bring_back(op: Op, instance_id: str) -> None:
    """A machine that went down unasked runs again."""
    start_now(op, instance_id, event="instance.mended")


@step()
def wait(op: Op, seconds: int) -> None:
    """So much time has passed."""
    op.sleep(seconds)


@step(retries=0)
def look_at_all(op: Op) -> int:
    """Compare all rows with what the hypervisors say, one call a host, and order a closer look where they differ.

    Returns how many were ordered. Hosts that do not answer are left out; their machines keep their rows.
    """
    with op.read() as session:
        hosts = list(session.scalars(sa.select(Host.id)))
    ordered = 0
    for host_id in hosts:
        try:
            states = op.drivers.on(host_id).hypervisor.states()
            boot_id = boot_of(op, host_id)
        except DriverError as error:
            log.info("could not look at the machines of %s: %s", host_id, error)
            continue
        odd = _odd(op, host_id, boot_id, states)
        odd += [(identifier, None) for identifier in unsettled(op, host_id) if identifier not in dict(odd)]
        for start in range(0, len(odd), 100):
            ordered += _order(op, odd[start : start + 100])
    return ordered


def _odd(op: Op, host_id: str, boot_id: str, states: dict[str, DomainState]) -> list[tuple[str, int | None]]:
    """The ids of the host's instances that are not as their rows say; those that start one by one after a reboot of the
    host come in their order, with the seconds that each waits (None: it needs not wait for others)."""
    now, found, starting = op.clock.now(), [], []
    query = sa.select(
        Instance.id, Instance.uuid, Instance.state, Instance.reason, Instance.agent, Instance.on_crash,
        Instance.autostart, Instance.boot_id, Instance.mended_at, Instance.hardware,
    ).where(Instance.host_id == host_id, Instance.state.in_(SETTLED))  # fmt: skip
    with op.read() as session:
        rows = session.execute(query).all()
    for row in rows:
        state = states.get(row.uuid)
        if state is not None and state.power == row.state == State.RUNNING and state.agent == row.agent:
            continue
        seen = seen_of(state) if state is not None else Seen(MISSING)
        verdict = judge(known(row, boot_id), seen, now)
        if verdict is not None and verdict.start and verdict.reason == HOST_REBOOT:
            starting.append((row.id, parts.of(row.hardware)))
        elif verdict is not None:
            found.append(row.id)
    if not any(h.start_order or h.start_delay for _id, h in starting):
        return [(identifier, None) for identifier in (*found, *(i for i, _h in starting))]
    starting.sort(key=lambda entry: (entry[1].start_order == 0, entry[1].start_order, entry[0]))
    turns = [(identifier, h.start_delay if n else 0) for n, (identifier, h) in enumerate(starting)]
    return [*((identifier, None) for identifier in found), *turns]


def _order(op: Op, odd: list[tuple[str, int | None]]) -> int:
    """Submit a look at each, in this order, unless one waits already."""
    count, waits = 0, dict(odd)
    ids = list(waits)
    with op.write() as session:
        waiting = sa.select(Operation.subject_id).where(
            Operation.kind == TEND, Operation.state == OperationState.QUEUED,
            Operation.subject_id.in_(ids),
        )  # fmt: skip
        queued = set(session.scalars(waiting))
        ctx = Context(SYSTEM, session, op.settings, clock=op.clock)
        rows = session.scalars(sa.select(Instance).where(Instance.id.in_(set(ids) - queued)))
        for row in sorted(rows, key=lambda row: ids.index(row.id)):
            delay = waits[row.id]
            submit(ctx, tend_intent(row, turn=delay is not None, delay=delay or 0))
            count += 1
    return count
