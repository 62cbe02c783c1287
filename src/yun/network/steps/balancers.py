"""Steps of load balancers: listeners and members that come, go and change, and the look at how members are."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import Conflict, DriverError
from yun.base.log import logger
from yun.base.messages import _
from yun.network import rows
from yun.network.model import (
    ACTIVE,
    TRASHED,
    Listener,
    LoadBalancer,
    Member,
    MemberHealth,
    Port,
    Reservation,
    Subnet,
)
from yun.network.service import balancing, look
from yun.network.service.balancer_parts import values_of
from yun.network.steps import PATIENCE, bring
from yun.operations.flow import Op, step, tx_step

log = logger(__name__)
MODELS: dict[str, type[Any]] = {"listener": Listener, "member": Member}


def _touch(session: Session, balancer_id: str) -> None:
    """The load balancer has changed: its revision moves on, and everybody is told."""
    balancer = session.get(LoadBalancer, balancer_id)
    if balancer is not None:
        balancer.updated_at = datetime.now(balancer.updated_at.tzinfo)
    session.flush()
    rows.tell(session, "load_balancer", balancer_id, "changed")


def _drop_balancer(op: Op, session: Session, output: Any, load_balancer_id: str, floating_ip_id: str | None) -> None:
    rows.forget(session, "load_balancer", load_balancer_id)
    if floating_ip_id:
        rows.forget(session, "floating_ip", floating_ip_id)


@tx_step(undo=_drop_balancer)
def keep_balancer(op: Op, session: Session, load_balancer_id: str, floating_ip_id: str | None) -> None:
    """The load balancer that came with the operation is there for good, and the floating IP that came with it."""
    rows.tell(session, "load_balancer", load_balancer_id, "created")
    if floating_ip_id:
        rows.tell(session, "floating_ip", floating_ip_id, "created")


# ── what it is called and where it is reached ──


def _set(session: Session, balancer_id: str, values: dict[str, Any]) -> dict[str, Any]:
    balancer = session.get_one(LoadBalancer, balancer_id)
    before = {name: getattr(balancer, name) for name in values}
    for name, value in values.items():
        setattr(balancer, name, value)
    session.flush()
    rows.tell(session, "load_balancer", balancer_id, "changed")
    return before


def _set_back(op: Op, session: Session, output: Any, load_balancer_id: str, values: dict[str, Any]) -> None:
    if output is not None and session.get(LoadBalancer, load_balancer_id) is not None:
        _set(session, load_balancer_id, output)


@tx_step(undo=_set_back)
def update_balancer(op: Op, session: Session, load_balancer_id: str, values: dict[str, Any]) -> dict[str, Any]:
    """Name, description and floating IP are as in ``values``; returns what they were."""
    return _set(session, load_balancer_id, values)


# ── listeners and members ──


def _insert(session: Session, noun: str, values: dict[str, Any]) -> None:
    if session.get(MODELS[noun], values["id"]) is None:
        session.add(MODELS[noun](**values))
        _touch(session, values["load_balancer_id"])


def _delete(session: Session, noun: str, identifier: str) -> dict[str, Any] | None:
    row = session.get(MODELS[noun], identifier)
    if row is None:
        return None
    values = values_of(row)
    session.execute(sa.delete(MemberHealth).where(MemberHealth.listener_id == identifier))
    session.delete(row)
    _touch(session, values["load_balancer_id"])
    return values


def _remove_part(op: Op, session: Session, output: Any, noun: str, values: dict[str, Any]) -> None:
    _delete(session, noun, values["id"])


@tx_step(undo=_remove_part)
def add_part(op: Op, session: Session, noun: str, values: dict[str, Any]) -> str:
    """The listener or member is there; returns its id."""
    _insert(session, noun, values)
    return str(values["id"])


def _put_part_back(op: Op, session: Session, output: Any, noun: str, identifier: str) -> None:
    if output:
        _insert(session, noun, output)


@tx_step(undo=_put_part_back)
def remove_part(op: Op, session: Session, noun: str, identifier: str) -> dict[str, Any] | None:
    """The listener or member is not there; returns what it was."""
    return _delete(session, noun, identifier)


def _relisten(session: Session, values: dict[str, Any]) -> dict[str, Any] | None:
    row = session.get(Listener, values["id"])
    if row is None:
        return None
    before = values_of(row)
    for name, value in values.items():
        setattr(row, name, value)
    session.execute(sa.delete(MemberHealth).where(MemberHealth.listener_id == row.id))
    _touch(session, row.load_balancer_id)
    return before


def _listen_as_before(op: Op, session: Session, output: Any, values: dict[str, Any]) -> None:
    if output:
        _relisten(session, output)


@tx_step(undo=_listen_as_before)
def change_listener(op: Op, session: Session, values: dict[str, Any]) -> dict[str, Any] | None:
    """The listener is as in ``values``; returns what it was."""
    before = _relisten(session, values)
    if before is None:
        raise Conflict(_("The listener is gone."))
    return before


# ── the checks ──


def _give_probes_back(op: Op, session: Session, output: Any, load_balancer_id: str) -> None:
    for subnet_id in output or []:
        session.execute(
            sa.delete(Reservation).where(Reservation.subnet_id == subnet_id, Reservation.owner_kind == balancing.PROBE)
        )


@tx_step(undo=_give_probes_back)
def take_probes(op: Op, session: Session, load_balancer_id: str) -> list[str]:
    """Each subnet with members to be looked at has an address from which they are asked; returns those that got one
    now."""
    balancer = session.get_one(LoadBalancer, load_balancer_id)
    if not any(row.check_seconds for row in balancing.listeners_of(session, load_balancer_id)):
        return []
    subnets = {p.subnet_id for p in balancing.backends_of(session, balancer)} | {balancer.subnet_id}
    wanted = [session.get_one(Subnet, i) for i in sorted(subnets)]
    return [s.id for s in wanted if ":" not in s.cidr and balancing.take_probe(session, s)]


@step(retries=0)
def look_at_members(op: Op) -> int:
    """Rows say how each checked member is; returns how many changed."""
    try:
        seen: dict[tuple[str, int, str], str] = {
            (h.port_id, h.port, h.protocol): h.state for h in op.drivers.network.backend_health()
        }
    except DriverError as error:
        if not error.retryable:
            raise
        log.info("the look at members waits for the network engine: %s", error)
        return 0
    with op.read() as session:
        wanted = _expected(session, seen)
        have = {(h.listener_id, h.port_id): h.state for h in session.scalars(sa.select(MemberHealth))}
    changed = {k: v for k, v in wanted.items() if have.get(k) != v}
    stale = have.keys() - wanted.keys()
    if not changed and not stale:
        return 0
    now = op.clock.now()
    with op.write() as session:
        told = set()
        for (listener_id, port_id), state in changed.items():
            listener = session.get(Listener, listener_id)
            if listener is None or session.get(Port, port_id) is None:
                continue
            row = session.get(MemberHealth, (listener_id, port_id))
            if row is None:
                row = MemberHealth(listener_id=listener_id, port_id=port_id, state=state, since=now)
                session.add(row)
            row.state, row.since = state, now
            told.add(listener.load_balancer_id)
        for key in stale:
            if (row := session.get(MemberHealth, key)) is not None:
                session.delete(row)
        session.flush()
        for identifier in sorted(told):
            rows.tell(session, "load_balancer", identifier, "members_changed")
    return len(changed) + len(stale)


def _expected(session: Session, seen: dict[tuple[str, int, str], str]) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    query = (
        sa.select(Listener)
        .join(LoadBalancer, LoadBalancer.id == Listener.load_balancer_id)
        .where(LoadBalancer.state == ACTIVE, Listener.check_seconds > 0)
    )
    for listener in session.scalars(query):
        balancer = session.get_one(LoadBalancer, listener.load_balancer_id)
        for port in balancing.backends_of(session, balancer):
            if port.plugged and port.state != TRASHED:
                key = (port.id, listener.member_port, listener.protocol)
                found[listener.id, port.id] = seen.get(key, "unknown")
    return found


# ── tags ──


def _follow_labels(op: Op, instance_id: str, labels: set[str]) -> None:
    with op.read() as session:
        ports = look.ports_of(session, instance_id)
        tags = labels | {label for p in ports for label in p.labels}
        projects = {p.project_id for p in ports}
        found = sorted({b for project in projects for b in balancing.balancers_of_labels(session, project, tags)})
    bring(op, [("balancer", i) for i in found])


def _follow_after_undo(op: Op, output: Any, instance_id: str, labels: list[str]) -> None:
    _follow_labels(op, instance_id, set(labels))


@step(undo=_follow_after_undo)
def before_labels(op: Op, instance_id: str, labels: list[str]) -> None:
    """Nothing yet: its undo brings the load balancers in line after the ports' tags have been put back."""


def _unlabel(op: Op, session: Session, output: Any, instance_id: str, labels: list[str]) -> None:
    for port_id, before in (output or {}).items():
        if (port := session.get(Port, port_id)) is not None:
            port.labels = before


@tx_step(undo=_unlabel)
def label_ports(op: Op, session: Session, instance_id: str, labels: list[str]) -> dict[str, list[str]]:
    """The instance's ports carry its tags; returns what each carried before."""
    ports = look.ports_of(session, instance_id)
    before = {p.id: list(p.labels) for p in ports}
    for port in ports:
        port.labels = labels
    return before


@step(retries=PATIENCE)
def follow_labels(op: Op, instance_id: str, labels: list[str], before: dict[str, list[str]]) -> None:
    """The load balancers whose members are told by tag follow the instance's old and new ones."""
    _follow_labels(op, instance_id, {*labels, *(label for old in before.values() for label in old)})
