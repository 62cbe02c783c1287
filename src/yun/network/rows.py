"""What steps do to rows, within the step's transaction: trash, restore, forget, and tell."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import Conflict
from yun.base.messages import _
from yun.network import addresses
from yun.network.model import (
    ACTIVE,
    TRASHED,
    AddressRange,
    AddressSet,
    DnsRecord,
    FloatingIp,
    Listener,
    LoadBalancer,
    Member,
    MemberHealth,
    Network,
    NetworkPeering,
    NetworkShare,
    Port,
    PortAddress,
    PortForwarding,
    PortSecurityGroup,
    Router,
    RouterInterface,
    RouterRoute,
    SecurityGroup,
    SecurityHit,
    SecurityLogMark,
    SecurityRule,
    ServiceChain,
    ServiceChainHop,
    Subnet,
)
from yun.network.service import look
from yun.network.service.groups import RULE_COLUMNS
from yun.operations.events import emit, resolve_notice
from yun.operations.intent import Subject

MODELS: dict[str, Any] = {
    "network": Network,
    "subnet": Subnet,
    "router": Router,
    "router_interface": RouterInterface,
    "security_group": SecurityGroup,
    "address_set": AddressSet,
    "floating_ip": FloatingIp,
    "load_balancer": LoadBalancer,
    "port_forwarding": PortForwarding,
    "network_peering": NetworkPeering,
    "service_chain": ServiceChain,
}


def tell(session: Session, noun: str, identifier: str, what: str, **data: Any) -> None:
    """Emit ``noun.what`` about a thing that has a row."""
    row = session.get(MODELS[noun], identifier)
    if row is None:
        return
    subject = Subject(noun, identifier, look.title_of(row))
    # A peering is a thing of two projects, and both are told.
    both = [row.project_id, row.peer_project_id] if isinstance(row, NetworkPeering) else [row.project_id]
    for project_id in both:
        emit(session, f"{noun}.{what}", subject=subject, project_id=project_id, data={"state": row.state, **data})


def trash(session: Session, noun: str, identifier: str, now: datetime) -> list[list[str]]:
    """The thing lies in the trash, a network with its subnets, a router with its legs; returns (noun, id) of what
    went."""
    things = [(noun, identifier)]
    if noun == "network":
        things += [("subnet", s.id) for s in look.subnets_of(session, identifier)]
    elif noun == "router":
        things += [("router_interface", leg.id) for leg in look.legs_of(session, identifier)]
    gone = []
    for kind, key in things:
        row = session.get(MODELS[kind], key)
        if row is not None and row.state == ACTIVE:
            row.state, row.trashed_at = TRASHED, now
            gone.append([kind, key])
    session.flush()
    return gone


def restore(session: Session, things: list[list[str]]) -> None:
    """The things are out of the trash."""
    for kind, key in things:
        row = session.get(MODELS[kind], key)
        if row is not None:
            row.state, row.trashed_at = ACTIVE, None
    session.flush()


def forget(session: Session, noun: str, identifier: str) -> None:
    """The thing has no row any more, nor has what hangs on it; its addresses are free.

    Raises `Conflict` where ports still stand on it or are in it, and where forwarded ports stand on a floating IP.
    """
    row = session.get(MODELS[noun], identifier)
    if row is None:
        return
    tell(session, noun, identifier, "gone")
    if noun == "network":
        for subnet in look.subnets_of(session, identifier, trashed=True):
            _forget_subnet(session, subnet)
        session.execute(sa.delete(DnsRecord).where(DnsRecord.network_id == identifier))
        session.execute(sa.delete(NetworkShare).where(NetworkShare.network_id == identifier))
    elif noun == "subnet":
        _forget_subnet(session, row)
        session.flush()
        return
    elif noun == "security_group":
        _refuse_group_used(session, row)
        for table in (SecurityHit, SecurityLogMark):
            session.execute(sa.delete(table).where(table.group_id == identifier))
        session.execute(sa.delete(SecurityRule).where(SecurityRule.group_id == identifier))
    elif noun == "router":
        session.execute(sa.delete(RouterRoute).where(RouterRoute.router_id == identifier))
        session.execute(sa.delete(PortForwarding).where(PortForwarding.router_id == identifier))
        mine = sa.or_(NetworkPeering.router_id == identifier, NetworkPeering.peer_router_id == identifier)
        session.execute(sa.delete(NetworkPeering).where(mine))
        _forget_chains(session, ServiceChain.router_id == identifier)
        for leg in look.legs_of(session, identifier, trashed=True):
            forget_leg(session, leg)
    elif noun == "floating_ip":
        forwarded = sa.select(PortForwarding.id).where(PortForwarding.floating_ip_id == identifier)
        if session.scalar(forwarded.where(PortForwarding.state == ACTIVE).limit(1)) is not None:
            raise Conflict(_("Ports of {address} are forwarded.", address=row.address))
        session.execute(sa.delete(PortForwarding).where(PortForwarding.floating_ip_id == identifier))
        addresses.give_back(session, identifier)
    elif noun in HANGING:
        HANGING[noun](session, identifier)
    session.flush()
    session.delete(row)
    session.flush()


def _refuse_group_used(session: Session, group: SecurityGroup) -> None:
    """Raise `Conflict` where ports are in the group, or rules of others name it."""
    joined = sa.select(PortSecurityGroup.port_id).where(PortSecurityGroup.group_id == group.id)
    if session.scalar(joined.limit(1)) is not None:
        raise Conflict(_("{name} is in use by ports.", name=group.name))
    naming = sa.select(SecurityGroup.name).join(SecurityRule, SecurityRule.group_id == SecurityGroup.id)
    others = naming.where(SecurityRule.remote_group_id == group.id, SecurityRule.group_id != group.id)
    if (name := session.scalar(others.limit(1))) is not None:
        raise Conflict(_("Rules of {names} name this group.", names=name))


def _forget_subnet(session: Session, subnet: Subnet) -> None:
    if session.scalar(sa.select(sa.func.count()).where(Port.subnet_id == subnet.id)):
        raise Conflict(_("{name} is in use by ports.", name=subnet.name))
    for more in session.scalars(sa.select(PortAddress).where(PortAddress.subnet_id == subnet.id)):
        addresses.give_one_back(session, subnet, more.address)
        session.delete(more)
    _forget_chains(session, ServiceChain.subnet_id == subnet.id)
    net = ipaddress.ip_network(subnet.cidr)
    for leg in session.scalars(sa.select(RouterInterface).where(RouterInterface.subnet_id == subnet.id)):
        for route in session.scalars(sa.select(RouterRoute).where(RouterRoute.router_id == leg.router_id)):
            if ipaddress.ip_address(route.next_hop) in net:
                session.delete(route)
        forget_leg(session, leg)
    addresses.give_back(session, subnet.id)
    session.execute(sa.delete(AddressRange).where(AddressRange.subnet_id == subnet.id))
    session.flush()
    session.delete(subnet)


def _forget_chains(session: Session, where: sa.ColumnElement[bool]) -> None:
    """These chains have no rows any more, nor have their hops."""
    for chain in session.scalars(sa.select(ServiceChain).where(where)).all():
        _forget_hops(session, chain.id)
        session.delete(chain)
    session.flush()


def notice_of(chain_id: str) -> str:
    """The key of the notice that a service chain blocks."""
    return f"network.chain_blocks.{chain_id}"


def forget_notice(session: Session, chain_id: str) -> None:
    """No notice says any more that the service chain blocks."""
    resolve_notice(session, notice_of(chain_id))


def _forget_hops(session: Session, chain_id: str) -> None:
    forget_notice(session, chain_id)
    session.execute(sa.delete(ServiceChainHop).where(ServiceChainHop.chain_id == chain_id))


def _forget_balancer(session: Session, balancer_id: str) -> None:
    """Whatever hangs on the load balancer has no row any more."""
    listeners = sa.select(Listener.id).where(Listener.load_balancer_id == balancer_id)
    session.execute(sa.delete(MemberHealth).where(MemberHealth.listener_id.in_(listeners)))
    session.execute(sa.delete(Listener).where(Listener.load_balancer_id == balancer_id))
    session.execute(sa.delete(Member).where(Member.load_balancer_id == balancer_id))
    addresses.give_back(session, balancer_id)


HANGING: dict[str, Callable[[Session, str], None]] = {
    "load_balancer": _forget_balancer, "service_chain": _forget_hops,
}  # fmt: skip
"""What forgets the rows that hang on a thing."""


def forget_leg(session: Session, leg: RouterInterface) -> None:
    """The leg has no row any more, and its own address is free; a subnet's gateway address stays the subnet's."""
    addresses.give_back(session, leg.id)
    session.delete(leg)
    session.flush()


def insert_rule(session: Session, group_id: str, values: dict[str, Any]) -> None:
    """The rule is there, once."""
    if session.get(SecurityRule, values["id"]) is None:
        session.add(SecurityRule(**{name: values.get(name) for name in RULE_COLUMNS}))
        _touch(session, group_id)


def replace_rule(session: Session, group_id: str, values: dict[str, Any]) -> None:
    """The rule with the id in ``values`` says this, where it is there."""
    rule = session.get(SecurityRule, values["id"])
    if rule is not None:
        for name in RULE_COLUMNS:
            setattr(rule, name, values.get(name))
        _touch(session, group_id)


def delete_rule(session: Session, group_id: str, rule_id: str) -> None:
    """The rule is not there."""
    rule = session.get(SecurityRule, rule_id)
    if rule is not None:
        session.delete(rule)
        _touch(session, group_id)


def _touch(session: Session, group_id: str) -> None:
    """A group whose rules changed has changed: its revision moves on."""
    group = session.get(SecurityGroup, group_id)
    if group is not None:
        group.updated_at = datetime.now(UTC)
    session.flush()
    tell(session, "security_group", group_id, "changed")


def link(session: Session, floating_ip_id: str, port_id: str | None, inner: str | None = None) -> dict[str, Any]:
    """The address leads to the port (at ``inner``, one of its further addresses), or nowhere; returns where it led
    before. Raises `Conflict` where another one leads to the port."""
    floating = session.get(FloatingIp, floating_ip_id)
    if floating is None:
        return {"before": None, "inner": None}
    if port_id is not None:
        others = sa.select(FloatingIp.address).where(FloatingIp.port_id == port_id, FloatingIp.id != floating_ip_id)
        if other := session.scalar(others.limit(1)):
            raise Conflict(_("The port has the floating IP {address} already.", address=other))
    before = {"before": floating.port_id, "inner": floating.inner_address}
    floating.port_id, floating.inner_address = port_id, inner
    session.flush()
    tell(session, "floating_ip", floating_ip_id, "changed", port_id=port_id)
    return before
