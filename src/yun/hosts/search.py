"""What the list of hosts can be searched by, in the query language (`yun.base.query`)."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base import query as language
from yun.base.query import Condition, Field
from yun.base.units import MIB
from yun.hosts.model import SERVICE_TITLES, STATES, Host, HostService


def conditions(session: Session, query: str) -> list[Condition]:
    """What a host must fulfil to match every term of ``query``. Raises `Invalid` naming ``q``."""
    return language.conditions(session, query, FIELDS, _text)


def _text(_session: Session, value: str) -> Condition:
    return sa.or_(language.contains(value, Host.name, Host.description), Host.id == value)


def _without(service: sa.ColumnElement[bool]) -> Condition:
    away = sa.select(HostService.host_id).where(service, HostService.state != "running")
    return Host.id.in_(away)


FIELDS: dict[str, Field] = {
    "name": language.text(Host.name),
    "description": language.text(Host.description),
    "state": language.choice(Host.state, STATES),
    "id": language.exact(Host.id),
    "accel": language.choice(Host.accel, ("kvm", "tcg")),
    "accepts": language.flag(Host.accepts),
    "cpus": language.number(Host.cpus),
    "memory": language.number(Host.memory_mib, unit=MIB),
    "without": Field(
        language.SAME, lambda _session, _operator, value: _without(HostService.name == value), tuple(SERVICE_TITLES)
    ),
    "seen": language.moment(Host.seen_at),
}
