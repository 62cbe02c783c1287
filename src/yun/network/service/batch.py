"""What belongs together, read for a whole page of things at once."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.network import addresses
from yun.network.model import (
    ACTIVE,
    AddressSet,
    Port,
    PortAddress,
    PortSecurityGroup,
    Reservation,
    SecurityGroup,
    SecurityRule,
    Subnet,
)


def subnets_by_network(session: Session, network_ids: list[str]) -> dict[str, list[Subnet]]:
    """Network id → its living subnets, oldest first."""
    query = sa.select(Subnet).where(Subnet.network_id.in_(network_ids), Subnet.state == ACTIVE)
    found: dict[str, list[Subnet]] = {}
    for subnet in session.scalars(query.order_by(Subnet.created_at, Subnet.id)):
        found.setdefault(subnet.network_id, []).append(subnet)
    return found


def groups_by_port(session: Session, port_ids: list[str]) -> dict[str, list[SecurityGroup]]:
    """Port id → its groups, by name."""
    found: dict[str, list[SecurityGroup]] = {}
    for port_id, group in session.execute(_GROUPS, {"ports": port_ids}):
        found.setdefault(port_id, []).append(group)
    return found


_GROUPS = (
    sa.select(PortSecurityGroup.port_id, SecurityGroup)
    .join(SecurityGroup, SecurityGroup.id == PortSecurityGroup.group_id)
    .where(PortSecurityGroup.port_id.in_(sa.bindparam("ports", expanding=True)))
    .order_by(SecurityGroup.name)
)


def ports_by_id(session: Session, port_ids: list[str]) -> dict[str, Port]:
    """Port id → port, for those that exist."""
    return {p.id: p for p in session.scalars(sa.select(Port).where(Port.id.in_(port_ids)))}


def places_by_port(session: Session, port_ids: list[str]) -> dict[str, list[tuple[str, str]]]:
    """Port id → its addresses beside the first as (subnet id, address), of living subnets."""
    found: dict[str, list[tuple[str, str]]] = {}
    for port_id, subnet_id, address in session.execute(_PLACES, {"ports": port_ids}):
        found.setdefault(port_id, []).append((subnet_id, address))
    return found


_PLACES = (
    sa.select(PortAddress.port_id, PortAddress.subnet_id, PortAddress.address)
    .join(Subnet, Subnet.id == PortAddress.subnet_id)
    .where(PortAddress.port_id.in_(sa.bindparam("ports", expanding=True)), Subnet.state == ACTIVE)
    .order_by(Subnet.created_at, Subnet.id, PortAddress.address)
)


def group_names(session: Session, group_ids: list[str]) -> dict[str, str]:
    """Group id → name."""
    if not group_ids:
        return {}
    query = sa.select(SecurityGroup.id, SecurityGroup.name).where(SecurityGroup.id.in_(group_ids))
    return {identifier: name for identifier, name in session.execute(query)}  # noqa: C416


def remote_names(session: Session, rules: Iterable[SecurityRule]) -> dict[str, str]:
    """Id → name of the groups and address sets that rules name."""
    rules = list(rules)
    names = group_names(session, [r.remote_group_id for r in rules if r.remote_group_id])
    sets = [r.remote_set_id for r in rules if r.remote_set_id]
    query = sa.select(AddressSet.id, AddressSet.name).where(AddressSet.id.in_(sets))
    return {**names, **({identifier: name for identifier, name in session.execute(query)} if sets else {})}  # noqa: C416


def pool_use(session: Session, subnet: Subnet) -> tuple[int, int]:
    """How many addresses of the subnet's pool are free, and how many there are."""
    return addresses.free(session, subnet), addresses.total(subnet)


def taken(session: Session, subnet: Subnet) -> int:
    """How many addresses of the subnet somebody has, of its pool or not."""
    query = sa.select(sa.func.count()).where(Reservation.subnet_id == subnet.id)
    return session.scalar(query) or 0
