"""What the list of instances can be searched by, in the query language (`yun.base.query`)."""

from __future__ import annotations

import re

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base import query as language
from yun.base.query import Condition, Field
from yun.base.units import MIB
from yun.compute.model import Instance, State
from yun.compute.names import is_id
from yun.hosts.model import Host
from yun.identity.model import Project
from yun.network.model import FloatingIp, Network, Port


def finished(query: str) -> str:
    """``query`` with the word that is still being typed made whole (`yun.base.query.finished`)."""
    return language.finished(query, FIELDS)


def conditions(session: Session, query: str) -> list[Condition]:
    """What a row must fulfil to match every term of ``query``. Raises `Invalid` naming ``q``."""
    return language.conditions(session, query, FIELDS, _text)


def asks_for_trash(query: str) -> bool:
    """Whether the query names the state ``trashed``, which lists leave out otherwise."""
    return language.asks_for(query, FIELDS, "state", State.TRASHED)


def _text(session: Session, value: str) -> Condition:
    return sa.or_(
        language.contains(value, Instance.name, Instance.description, Instance.hostname, Instance.image_name),
        Instance.id == value,
        _address(session, value) if re.fullmatch(r"[0-9a-fA-F.:]{2,}", value) else sa.false(),
    )


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


def _network(_session: Session, value: str) -> Condition:
    ports = sa.select(Port.instance_id).where(Port.instance_id.is_not(None))
    if is_id(value, "net"):
        return Instance.id.in_(ports.where(Port.network_id == value))
    return Instance.id.in_(ports.join(Network, Network.id == Port.network_id).where(Network.name == value))


FIELDS: dict[str, Field] = {
    "state": language.choice(Instance.state, list(State)),
    "tag": language.tag(Instance.tags),
    "name": language.text(Instance.name),
    "description": language.text(Instance.description),
    "hostname": language.text(Instance.hostname),
    "id": language.exact(Instance.id),
    "address": language.same(_address),
    "ip": language.same(_address),
    "network": language.same(_network),
    "host": language.same(_host),
    "project": language.same(_project),
    "flavor": language.exact(Instance.flavor_name, Instance.flavor_id),
    "image": language.exact(Instance.image_name, Instance.image_id),
    "memory": language.number(Instance.memory_mib, unit=MIB),
    "vcpus": language.number(Instance.vcpus),
    "created": language.moment(Instance.created_at),
    "started": language.moment(Instance.started_at),
    "agent": language.flag(Instance.agent),
    "autostart": language.flag(Instance.autostart),
    "protected": language.flag(Instance.protected),
}
