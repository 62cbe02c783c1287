"""Journaled steps of the hits of security groups: begin to note, read what was noted, end."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import DriverError
from yun.base.log import logger
from yun.drivers.host.port import Hit
from yun.hosts.model import Host
from yun.network import rows
from yun.network.model import SecurityGroup, SecurityHit, SecurityLogMark, SecurityRule
from yun.network.service.hits import moment_of
from yun.operations.flow import Op, step, tx_step

log = logger(__name__)
SAMPLES = 20
LATE = timedelta(seconds=5)
"""A controller writes a little after the packet; so long after the end its lines are still read."""


def _end_again(op: Op, session: Session, output: Any, group_id: str, until: str, now: str) -> None:
    end(session, group_id)


@tx_step(undo=_end_again)
def begin(op: Op, session: Session, group_id: str, until: str, now: str) -> None:
    """The group's hits are noted until then; what was noted before is forgotten."""
    group = session.get(SecurityGroup, group_id)
    if group is not None:
        for table in (SecurityHit, SecurityLogMark):
            session.execute(sa.delete(table).where(table.group_id == group_id))
        session.add(SecurityLogMark(group_id=group_id, host_id="", read_until=moment_of(now)))
        group.log_until = moment_of(until)
        session.flush()
        rows.tell(session, "security_group", group_id, "changed")


@tx_step()
def finish(op: Op, session: Session, group_ids: list[str]) -> None:
    """Nothing more is noted of these groups; what was noted stays."""
    for group_id in group_ids:
        end(session, group_id)


def end(session: Session, group_id: str) -> None:
    """Nothing more is noted of the group."""
    group = session.get(SecurityGroup, group_id)
    if group is not None and group.log_until is not None:
        session.execute(sa.delete(SecurityLogMark).where(SecurityLogMark.group_id == group_id))
        group.log_until = None
        session.flush()
        rows.tell(session, "security_group", group_id, "changed")


@step(retries=0)
def read(op: Op, only: list[str] | None = None) -> list[str]:
    """What hosts noted since the last reading is in the rows; returns the groups whose time is over."""
    with op.read() as session:
        query = sa.select(SecurityGroup).where(SecurityGroup.log_until.is_not(None))
        if only is not None:
            query = query.where(SecurityGroup.id.in_(only))
        groups = list(session.scalars(query))
        hosts = list(session.scalars(sa.select(Host.id))) if groups else []
        rules = {g.id: _rules(session, g.id) for g in groups}
        marks = {g.id: _marks(session, g.id) for g in groups}
    for group in groups:
        found: dict[str, list[Hit]] = {}
        for host_id in hosts:
            since = marks[group.id].get(host_id) or marks[group.id].get("") or op.clock.now()
            try:
                found[host_id] = op.drivers.on(host_id).machine.hits({group.id, *rules[group.id]}, since)
            except DriverError as error:
                log.info("the hits of %s wait for the host %s: %s", group.name, host_id, error)
        if any(found.values()):
            with op.write() as session:
                _note(session, group.id, found)
    now = op.clock.now()
    return [g.id for g in groups if g.log_until is not None and g.log_until + LATE <= now]


def _rules(session: Session, group_id: str) -> list[str]:
    return list(session.scalars(sa.select(SecurityRule.id).where(SecurityRule.group_id == group_id)))


def _marks(session: Session, group_id: str) -> dict[str, datetime]:
    query = sa.select(SecurityLogMark).where(SecurityLogMark.group_id == group_id)
    return {mark.host_id: mark.read_until for mark in session.scalars(query)}


def _note(session: Session, group_id: str, found: dict[str, list[Hit]]) -> None:
    """Counts and samples are in the rows, once: a host's mark moves on with them."""
    group = session.get(SecurityGroup, group_id)
    if group is None or group.log_until is None:
        return
    for host_id, hits in found.items():
        mark = session.get(SecurityLogMark, (group_id, host_id))
        new = [h for h in hits if mark is None or h.at > mark.read_until]
        if not new:
            continue
        latest = max(h.at for h in new)
        if mark is None:
            session.add(SecurityLogMark(group_id=group_id, host_id=host_id, read_until=latest))
        else:
            mark.read_until = latest
        for hit in new:
            key = "" if hit.name == group_id else hit.name
            row = session.get(SecurityHit, (group_id, key))
            if row is None:
                row = SecurityHit(group_id=group_id, rule_id=key, count=0, last_at=hit.at, samples=[])
                session.add(row)
            row.count += 1
            row.last_at = max(row.last_at, hit.at)
            row.samples = [_sample(hit), *row.samples][:SAMPLES]
    session.flush()
    rows.tell(session, "security_group", group_id, "changed")


def _sample(hit: Hit) -> dict[str, Any]:
    return {
        "at": hit.at.isoformat(), "direction": hit.direction, "protocol": hit.protocol, "source": hit.source,
        "target": hit.target, "source_port": hit.source_port, "target_port": hit.target_port,
    }  # fmt: skip
