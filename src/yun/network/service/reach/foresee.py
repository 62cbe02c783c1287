"""Pictures of what a change concerns, for previews: before as it is, after as it would be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.messages import Message
from yun.network.model import TRASHED, Network, Port, PortSecurityGroup, Router, RouterInterface
from yun.network.service.reach.difference import difference
from yun.network.service.reach.facts import LegFact, Picture, RouterFact
from yun.network.service.reach.load import group_facts, picture, with_members, with_networks

MOST_PORTS = 2000
"""A preview looks at so many ports; beyond them it tells of these alone."""


def of_group(session: Session, group_id: str) -> Picture:
    """The ports of a group with all their groups; the ways are left out."""
    mine = sa.select(PortSecurityGroup.port_id).where(PortSecurityGroup.group_id == group_id)
    query = sa.select(Port).where(Port.id.in_(mine), Port.state != TRASHED).order_by(Port.id).limit(MOST_PORTS)
    found = picture(session, list(session.scalars(query)), ways=False)
    if group_id not in found.groups:
        groups = {**found.groups, **group_facts(session, [group_id])}
        found = with_members(session, Picture(ports=found.ports, groups=groups, names=found.names), [])
    return found


def of_networks(session: Session, network_ids: Sequence[str]) -> Picture:
    """The ports of networks with the ways that they have."""
    living = sa.select(Network.id).where(Network.id.in_(network_ids))
    query = sa.select(Port).where(Port.network_id.in_(living), Port.state != TRASHED).order_by(Port.id)
    return picture(session, list(session.scalars(query.limit(MOST_PORTS))))


def of_router(session: Session, router_id: str) -> Picture:
    """The ports behind a router with the ways that they have; the router is in it even where nothing is behind it."""
    inner = sa.select(RouterInterface.network_id).where(
        RouterInterface.router_id == router_id, RouterInterface.external.is_(False)
    )
    ids = [*session.scalars(inner)] if session.get(Router, router_id) is not None else []
    return of_networks(session, ids)


def rerouted(
    session: Session, router_id: str, then: Callable[[RouterFact], RouterFact], network_ids: Sequence[str] = ()
) -> tuple[Message, ...]:
    """Which machines gain and lose which ways where a router becomes what ``then`` makes of it. ``network_ids`` are
    networks that it has no leg in yet."""
    inner = sa.select(RouterInterface.network_id).where(
        RouterInterface.router_id == router_id, RouterInterface.external.is_(False)
    )
    before = with_networks(session, of_networks(session, [*session.scalars(inner), *network_ids]), network_ids)
    router = before.routers.get(router_id)
    if router is None:
        row = session.get_one(Router, router_id)
        router = RouterFact(row.id, row.name, row.snat)
        before = before.with_router(router)
    return difference(before, before.with_router(then(router)))


def with_leg(leg: RouterInterface) -> Callable[[RouterFact], RouterFact]:
    """The router with one leg more."""
    fact = LegFact(leg.subnet_id, leg.network_id, leg.address.partition("/")[0], leg.external)
    return lambda router: replace(router, legs=(*router.legs, fact))


def without_subnets(subnet_ids: Sequence[str]) -> Callable[[RouterFact], RouterFact]:
    """The router without its legs in these subnets."""
    gone = set(subnet_ids)
    return lambda router: replace(router, legs=tuple(leg for leg in router.legs if leg.subnet_id not in gone))


def with_route(destination: str, next_hop: str) -> Callable[[RouterFact], RouterFact]:
    """The router with one static route more."""
    return lambda router: replace(router, routes=(*router.routes, (destination, next_hop)))


def without_route(destination: str) -> Callable[[RouterFact], RouterFact]:
    """The router without its static route to there."""
    return lambda router: replace(router, routes=tuple(way for way in router.routes if way[0] != destination))


def regrouped(session: Session, port: Port, group_ids: Sequence[str]) -> tuple[Message, ...]:
    """What a port gains and loses where it is in other groups."""
    before = picture(session, [port], ways=False)
    groups = {**before.groups, **group_facts(session, group_ids)}
    both = with_members(session, Picture(ports=before.ports, groups=groups, names=before.names), [])
    fact = before.ports[port.id]
    filtered = port.port_security or bool(group_ids)
    return difference(both, both.with_port(replace(fact, groups=frozenset(group_ids), filtered=filtered)))
