"""The search language of the list: ``state:running tag:web -host:node2 "free text"`` as SQL conditions."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import Invalid
from yun.base.messages import _
from yun.compute.model import Instance, State
from yun.compute.names import is_id
from yun.hosts.model import Host
from yun.identity.model import Project
from yun.network.model import FloatingIp, Port

Condition = sa.ColumnElement[bool]
_TOKEN = re.compile(r'(-?)(?:([a-z]+):)?(?:"([^"]*)"?|([^\s"]+))', re.IGNORECASE)


@dataclass(frozen=True)
class Term:
    """One word of a query; an empty ``field`` is free text."""

    field: str
    value: str
    negative: bool = False


def parse(query: str) -> list[Term]:
    """The terms of a query. Raises `Invalid` for a field that the list does not know."""
    terms = []
    for minus, field, quoted, bare in _TOKEN.findall(query[:1000].replace("\0", " ")):
        name, value = field.lower(), quoted or bare
        if name and name not in FIELDS:
            known = ", ".join(sorted(FIELDS))
            raise Invalid(
                _("The list cannot be searched by {field}.", field=name), fields={"q": _("one of {names}", names=known)}
            )
        if value:
            terms.append(Term(name, value, bool(minus)))
    return terms


_UNFINISHED = re.compile(r'(?:^|(?<=\s))(-?)([a-z]+):([^\s"]*)$', re.IGNORECASE)


def finished(query: str) -> str:
    """``query`` with the word that is still being typed made whole: ``state:r`` means every state that begins so, and
    a field without a value asks for nothing yet. A query that is whole comes back as it is."""
    last = _UNFINISHED.search(query)
    if last is None or last[2].lower() not in FIELDS:
        return query
    minus, field, value = last.groups()
    if not value:
        return query[: last.start()]
    if field.lower() != "state":
        return query
    *whole, begun = value.lower().split(",")
    meant = [*whole, *(state for state in State if state.startswith(begun))]
    return f"{query[: last.start()]}{minus}state:{','.join(meant)}" if len(meant) > len(whole) else query


def conditions(session: Session, query: str) -> list[Condition]:
    """What a row must fulfil to match every term of ``query``."""
    found = []
    for term in parse(query):
        one = FIELDS[term.field](session, term.value) if term.field else _text(session, term.value)
        found.append(sa.not_(one) if term.negative else one)
    return found


def asks_for_trash(query: str) -> bool:
    """Whether the query names the state ``trashed``, which lists leave out otherwise."""
    return any(t.field == "state" and State.TRASHED in t.value.lower().split(",") for t in parse(query))


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


def _state(_session: Session, value: str) -> Condition:
    states = value.lower().split(",")
    for state in states:
        if state not in list(State):
            raise Invalid(
                _("There is no state {state}.", state=state[:40]),
                fields={"q": _("one of {names}", names=", ".join(State))},
            )
    return Instance.state.in_(states)


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


FIELDS: dict[str, Callable[[Session, str], Condition]] = {
    "state": _state,
    "tag": _tag,
    "name": lambda _session, value: Instance.name.icontains(value, autoescape=True),
    "id": lambda _session, value: Instance.id == value,
    "address": _address,
    "ip": _address,
    "host": _host,
    "project": _project,
    "flavor": _flavor,
    "image": _image,
}
