"""What the list of instances can be searched by, in the query language (`yun.base.query`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base import query as language
from yun.base.query import SAME, Condition, Field
from yun.base.units import MIB
from yun.compute.model import Instance, State
from yun.compute.names import is_id
from yun.hosts.model import Host
from yun.identity.model import Project
from yun.network.model import FloatingIp, Network, Port


def finished(query: str) -> str:
    """``query`` with the word that is still being typed made whole: ``state:r`` means every state that begins so, and
    a field without a value asks for nothing yet. A query that is whole comes back as it is."""
    found = language.last_word(query, FIELDS)
    if found is None:
        return query
    before, term = found
    if not term.value:
        return before
    if term.field != "state":
        return query
    *whole, begun = term.value.lower().split(",")
    meant = [*whole, *(state for state in State if state.startswith(begun))]
    minus = "-" if term.negative else ""
    return f"{before}{minus}state{term.operator}{','.join(meant)}" if len(meant) > len(whole) else query


def conditions(session: Session, query: str) -> list[Condition]:
    """What a row must fulfil to match every term of ``query``. Raises `Invalid` naming ``q``."""
    return language.conditions(session, query, FIELDS, _text)


def asks_for_trash(query: str) -> bool:
    """Whether the query names the state ``trashed``, which lists leave out otherwise."""
    return any(
        t.field == "state" and State.TRASHED in t.value.lower().split(",") and t.operator != "!=" and not t.negative
        for t in language.parse(query, FIELDS)
    )


def _text(session: Session, value: str) -> Condition:
    words: Sequence[Condition] = (
        Instance.name.icontains(value, autoescape=True),
        Instance.description.icontains(value, autoescape=True),
        Instance.hostname.icontains(value, autoescape=True),
        Instance.image_name.icontains(value, autoescape=True),
        Instance.id == value,
        _address(session, value) if re.fullmatch(r"[0-9a-fA-F.:]{2,}", value) else sa.false(),
    )
    return sa.or_(*words)


def _tag(session: Session, value: str) -> Condition:
    if session.get_bind().dialect.name == "sqlite":
        each = sa.func.json_each(Instance.tags).table_valued("value", name="each_tag")
        return sa.exists(sa.select(sa.literal(1)).select_from(each).where(each.c.value == value))
    return sa.cast(Instance.tags, sa.dialects.postgresql.JSONB).contains([value])


def _address(_session: Session, value: str) -> Condition:
    floating = (
        sa.select(Port.instance_id)
        .join(FloatingIp, FloatingIp.port_id == Port.id)
        .where(FloatingIp.address.startswith(value, autoescape=True))
    )
    fixed = sa.select(Port.instance_id).where(
        Port.instance_id.is_not(None), Port.address.startswith(value, autoescape=True)
    )
    return sa.or_(Instance.id.in_(fixed), Instance.id.in_(floating.where(Port.instance_id.is_not(None))))


def _host(_session: Session, value: str) -> Condition:
    if is_id(value, "hst"):
        return Instance.host_id == value
    return Instance.host_id.in_(sa.select(Host.id).where(Host.name == value))


def _project(_session: Session, value: str) -> Condition:
    if is_id(value, "prj"):
        return Instance.project_id == value
    return Instance.project_id.in_(sa.select(Project.id).where(Project.name == value))


def _flavor(_session: Session, value: str) -> Condition:
    return sa.or_(Instance.flavor_name == value, Instance.flavor_id == value)


def _image(_session: Session, value: str) -> Condition:
    return sa.or_(Instance.image_name == value, Instance.image_id == value)


def _network(_session: Session, value: str) -> Condition:
    ports = sa.select(Port.instance_id).where(Port.instance_id.is_not(None))
    if is_id(value, "net"):
        return Instance.id.in_(ports.where(Port.network_id == value))
    return Instance.id.in_(ports.join(Network, Network.id == Port.network_id).where(Network.name == value))


def _same(make: Callable[[Session, str], Condition]) -> Field:
    """A field that is so or not so."""
    return Field(SAME, lambda session, _operator, value: make(session, value))


FIELDS: dict[str, Field] = {
    "state": language.choice(Instance.state, list(State)),
    "tag": _same(_tag),
    "name": language.text(Instance.name),
    "description": language.text(Instance.description),
    "hostname": language.text(Instance.hostname),
    "id": _same(lambda _session, value: Instance.id == value),
    "address": _same(_address),
    "ip": _same(_address),
    "network": _same(_network),
    "host": _same(_host),
    "project": _same(_project),
    "flavor": _same(_flavor),
    "image": _same(_image),
    "memory": language.number(Instance.memory_mib, unit=MIB),
    "vcpus": language.number(Instance.vcpus),
    "created": language.moment(Instance.created_at),
    "started": language.moment(Instance.started_at),
    "agent": language.flag(Instance.agent),
    "autostart": language.flag(Instance.autostart),
    "protected": language.flag(Instance.protected),
}
