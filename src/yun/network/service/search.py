"""What networks, subnets, routers, ports, security groups and floating IPs can be searched by, in the query language
(`yun.base.query`)."""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session

from yun.base import query as language
from yun.base.query import Condition, Field
from yun.identity.model import Project
from yun.network.model import (
    ACTIVE,
    BLOCK,
    BYPASS,
    CAPTURE_STATES,
    DOWN,
    TRASHED,
    UP,
    AddressSet,
    Capture,
    FloatingIp,
    LoadBalancer,
    Network,
    Port,
    PortAddress,
    PortForwarding,
    PortSecurityGroup,
    Router,
    SecurityGroup,
    SecurityRule,
    ServiceChain,
    Subnet,
)

STATES: dict[type[Any], tuple[str, ...]] = {Port: (UP, DOWN, TRASHED), Capture: CAPTURE_STATES}


def conditions(session: Session, model: type[Any], query: str) -> list[Condition]:
    """What a row of ``model`` must fulfil to match every term of ``query``. Raises `Invalid` naming ``q``."""
    return language.conditions(session, query, FIELDS[model], lambda _session, value: _text(model, value))


def asks_for_trash(model: type[Any], query: str) -> bool:
    """Whether the query names the state ``trashed``, which lists leave out otherwise."""
    return language.asks_for(query, FIELDS[model], "state", TRASHED)


def _text(model: type[Any], value: str) -> Condition:
    found = [language.contains(value, *WORDS[model]), model.id == value]
    if model is Network:
        found.append(_in_subnet(value))
    if model is Port:
        found.append(Port.instance_id == value)
    return sa.or_(*found)


def _project(column: InstrumentedAttribute[Any]) -> Field:
    def make(_session: Session, value: str) -> Condition:
        return sa.or_(column == value, column.in_(sa.select(Project.id).where(Project.name == value)))

    return language.same(make)


def _in_subnet(value: str) -> Condition:
    near = sa.select(Subnet.network_id).where(Subnet.cidr.startswith(value, autoescape=True))
    return Network.id.in_(near)


def _of_network(column: InstrumentedAttribute[Any]) -> Field:
    def make(_session: Session, value: str) -> Condition:
        return sa.or_(column == value, column.in_(sa.select(Network.id).where(Network.name == value)))

    return language.same(make)


def _in_group(_session: Session, value: str) -> Condition:
    groups = sa.select(SecurityGroup.id).where(sa.or_(SecurityGroup.id == value, SecurityGroup.name == value))
    return Port.id.in_(sa.select(PortSecurityGroup.port_id).where(PortSecurityGroup.group_id.in_(groups)))


def _has_address(_session: Session, value: str) -> Condition:
    more = sa.select(PortAddress.port_id).where(PortAddress.address.startswith(value, autoescape=True))
    return sa.or_(Port.address.startswith(value, autoescape=True), Port.id.in_(more))


def _beginning(column: InstrumentedAttribute[Any]) -> Field:
    return language.same(lambda _session, value: column.startswith(value, autoescape=True))


def _lets_in(_session: Session, value: str) -> Condition:
    """Groups with a rule that lets this port in, by TCP or UDP, from anybody or a range; not from their own alone."""
    if not re.fullmatch(r"\d{1,5}", value):
        raise language.no_number(value)
    number = int(value)
    anywhere = sa.or_(SecurityRule.protocol == "any", SecurityRule.port_min.is_(None))
    near = sa.and_(SecurityRule.port_min <= number, SecurityRule.port_max >= number)
    rules = sa.select(SecurityRule.group_id).where(
        SecurityRule.direction == "ingress", SecurityRule.remote_group_id.is_(None),
        SecurityRule.protocol.in_(("any", "tcp", "udp")), sa.or_(anywhere, near),
    )  # fmt: skip
    return SecurityGroup.id.in_(rules)


def _outside_port(_session: Session, value: str) -> Condition:
    if not re.fullmatch(r"\d{1,5}", value):
        raise language.no_number(value)
    number = int(value)
    return sa.and_(PortForwarding.outside_port <= number, PortForwarding.outside_port_max >= number)


_BALANCED = sa.exists().where(LoadBalancer.floating_ip_id == FloatingIp.id)


def _common(model: type[Any]) -> dict[str, Field]:
    return {
        "state": language.choice(model.state, STATES.get(model, (ACTIVE, TRASHED))),
        "id": language.exact(model.id),
        "project": _project(model.project_id),
        "created": language.moment(model.created_at),
    }


WORDS: dict[type[Any], tuple[InstrumentedAttribute[Any], ...]] = {
    Network: (Network.name, Network.description),
    Subnet: (Subnet.name, Subnet.cidr),
    Router: (Router.name, Router.description),
    Port: (Port.address, Port.mac, Port.hostname, Port.name),
    SecurityGroup: (SecurityGroup.name, SecurityGroup.description),
    AddressSet: (AddressSet.name, AddressSet.description),
    LoadBalancer: (LoadBalancer.name, LoadBalancer.address, LoadBalancer.description),
    Capture: (Capture.port_name, Capture.filter, Capture.made_by),
    FloatingIp: (FloatingIp.address, FloatingIp.name, FloatingIp.description),
    PortForwarding: (PortForwarding.description,),
    ServiceChain: (ServiceChain.name, ServiceChain.description),
}
FIELDS: dict[type[Any], dict[str, Field]] = {
    Network: {
        **_common(Network),
        "name": language.text(Network.name),
        "tag": language.tag(Network.tags),
        "description": language.text(Network.description),
        "external": language.flag(Network.external),
        "mtu": language.number(Network.mtu),
        "range": language.same(lambda _session, value: _in_subnet(value)),
    },
    Subnet: {
        **_common(Subnet),
        "name": language.text(Subnet.name),
        "range": _beginning(Subnet.cidr),
        "network": _of_network(Subnet.network_id),
        "dhcp": language.flag(Subnet.dhcp),
    },
    Router: {
        **_common(Router),
        "name": language.text(Router.name),
        "description": language.text(Router.description),
        "snat": language.flag(Router.snat),
    },
    Port: {
        **_common(Port),
        "name": language.text(Port.name),
        "hostname": language.text(Port.hostname),
        "address": language.same(_has_address),
        "mac": language.text(Port.mac),
        "model": language.exact(Port.model),
        "instance": language.exact(Port.instance_id),
        "network": _of_network(Port.network_id),
        "group": language.same(_in_group),
        "link": language.flag(Port.link_up),
    },
    SecurityGroup: {
        **_common(SecurityGroup),
        "name": language.text(SecurityGroup.name),
        "description": language.text(SecurityGroup.description),
        "port": language.same(_lets_in),
    },
    AddressSet: {
        **_common(AddressSet),
        "name": language.text(AddressSet.name),
        "description": language.text(AddressSet.description),
    },
    FloatingIp: {
        **_common(FloatingIp),
        "address": _beginning(FloatingIp.address),
        "name": language.text(FloatingIp.name),
        "description": language.text(FloatingIp.description),
        "used": language.flag(sa.case((FloatingIp.port_id.is_not(None), True), (_BALANCED, True), else_=False)),
    },
    LoadBalancer: {
        **_common(LoadBalancer),
        "name": language.text(LoadBalancer.name),
        "address": _beginning(LoadBalancer.address),
        "description": language.text(LoadBalancer.description),
        "network": _of_network(LoadBalancer.network_id),
    },
    Capture: {**_common(Capture), "port": language.exact(Capture.port_id), "by": language.text(Capture.made_by)},
    PortForwarding: {
        **_common(PortForwarding),
        "description": language.text(PortForwarding.description),
        "protocol": language.exact(PortForwarding.protocol),
        "outside": language.same(_outside_port),
        "inner": language.number(PortForwarding.inner_port),
    },
    ServiceChain: {
        **_common(ServiceChain),
        "name": language.text(ServiceChain.name),
        "description": language.text(ServiceChain.description),
        "failure": language.choice(ServiceChain.on_failure, (BLOCK, BYPASS)),
    },
}
