"""Steps that ask guests what they are, and keep the answers."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import DriverError
from yun.base.log import logger
from yun.compute.guest.model import InstanceFreeze, InstanceGuest
from yun.compute.model import Instance, State
from yun.compute.service.guest import FACTS
from yun.drivers.hypervisor.port import GuestFacts
from yun.operations.events import emit
from yun.operations.flow import Op, step
from yun.operations.intent import Subject

log = logger(__name__)
STALE = timedelta(seconds=120)
ROUND_SECONDS = 10.0
"""How long one round of questions may take: with very many guests each is asked less often."""


@step(retries=0)
def learn(op: Op, instance_id: str) -> None:
    """Ask one guest what it is; its row tells it. One that does not answer keeps what it told before."""
    ask_guest(op, instance_id)


@step(retries=0)
def learn_all(op: Op) -> None:
    """Ask the guests that were not asked for long, those that wait longest first, for at most `ROUND_SECONDS`."""
    begin = op.clock.monotonic()
    for instance_id in _stale(op):
        ask_guest(op, instance_id)
        if op.clock.monotonic() - begin > ROUND_SECONDS:
            return


def _stale(op: Op) -> list[str]:
    """Running instances with an agent whose answer is old; a frozen guest's agent answers nothing of this."""
    query = (
        sa.select(Instance.id)
        .outerjoin(InstanceGuest, InstanceGuest.instance_id == Instance.id)
        .outerjoin(InstanceFreeze, InstanceFreeze.instance_id == Instance.id)
        .where(
            Instance.state == State.RUNNING, Instance.agent.is_(True), InstanceFreeze.instance_id.is_(None),
            sa.or_(InstanceGuest.asked_at.is_(None), InstanceGuest.asked_at < op.clock.now() - STALE),
        )
        .order_by(InstanceGuest.asked_at.is_not(None), InstanceGuest.asked_at)
        .limit(1000)
    )  # fmt: skip
    with op.read() as session:
        return list(session.scalars(query))


def ask_guest(op: Op, instance_id: str) -> None:
    """Ask and write down. Nothing happens to an instance that is gone, off, without agent, or frozen."""
    with op.read() as session:
        row = session.get(Instance, instance_id)
        frozen = session.get(InstanceFreeze, instance_id) is not None
    if row is None or frozen or row.state != State.RUNNING or not row.agent:
        return
    told: GuestFacts | None = None
    try:
        told = op.drivers.on(row.host_id).hypervisor.guest(row.uuid)
    except DriverError as error:
        log.info("the guest of %s tells nothing: %s", instance_id, error)
    with op.write() as session:
        _write(op, session, instance_id, told)


def _write(op: Op, session: Session, instance_id: str, told: GuestFacts | None) -> None:
    instance = session.get(Instance, instance_id)
    if instance is None:
        return
    row = session.get(InstanceGuest, instance_id)
    if row is None:
        row = InstanceGuest(instance_id=instance_id, seen_at=None)
        session.add(row)
    row.asked_at = op.clock.now()
    if told is None:
        return
    facts = plain(told)
    news = row.seen_at is None or lasting(facts) != lasting({name: getattr(row, name) for name in FACTS})
    row.seen_at = row.asked_at
    for name, value in facts.items():
        setattr(row, name, value)
    if news:
        subject = Subject("instance", instance.id, instance.name)
        emit(session, "instance.guest", subject=subject, project_id=instance.project_id, operation_id=op.id)


def plain(told: GuestFacts) -> dict[str, Any]:
    """The facts as the row keeps them: no longer than its columns, whatever a guest may tell."""
    facts = asdict(told)
    facts["file_systems"] = [{k: list(v) if isinstance(v, tuple) else v for k, v in f.items()}
                             for f in facts["file_systems"][:200]]  # fmt: skip
    facts["cards"] = [{**card, "addresses": list(card["addresses"])[:100]} for card in facts["cards"][:100]]
    limits = {"os_id": 100, "time_zone": 100}
    return {k: text(v)[: limits.get(k, 300)] if isinstance(v, str) else v for k, v in facts.items()}


def text(told: str) -> str:
    """Text from a guest without what cannot be kept or shown."""
    return "".join(c for c in told if c.isprintable())


def lasting(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts without how full the file systems are, which is no news."""
    return {**facts, "file_systems": [{**f, "used_bytes": None} for f in facts["file_systems"]]}
