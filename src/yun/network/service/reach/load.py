"""Rows → a picture: what a question needs, in a few queries whatever the size of the cloud."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.network.model import (
    ACTIVE,
    BLOCK,
    TRASHED,
    UP,
    AddressSet,
    FloatingIp,
    Network,
    NetworkPeering,
    Port,
    PortAddress,
    PortForwarding,
    PortSecurityGroup,
    Router,
    RouterInterface,
    RouterRoute,
    SecurityGroup,
    SecurityRule,
    ServiceChain,
    Subnet,
)
from yun.network.service import chaining
from yun.network.service.batch import group_names
from yun.network.service.reach.facts import (
    ChainFact,
    ForwarderFact,
    GroupFact,
    LegFact,
    NetworkFact,
    OutsideFact,
    PeerFact,
    Picture,
    PortFact,
    RouterFact,
    SubnetFact,
    rule_fact,
)

HOPS = 4
"""Routers that a way may lead through."""


def picture(session: Session, ports: Sequence[Port], *, also: Iterable[str] = (), ways: bool = True) -> Picture:
    """Everything about the ports: groups, networks, routers, outside addresses. ``also`` are further addresses for
    which it must be known in which groups they are; without ``ways`` it has the groups alone."""
    facts = port_facts(session, ports)
    groups = group_facts(session, {g for p in facts for g in p.groups})
    made = Picture(ports={p.id: p for p in facts}, groups=groups, names=set_names(session, groups.values()))
    if not ways:
        return with_members(session, made, ())
    made = replace(made, outside=outside_of(session, [p.id for p in facts]))
    made = with_networks(session, made, {p.network_id for p in facts})
    legs = [leg.address for router in made.routers.values() for leg in router.legs if leg.external]
    outer = [o.address for outs in made.outside.values() for o in outs]
    addresses = {*also, *legs, *outer, *(a for p in facts for a in p.addresses)}
    return with_members(session, made, addresses)


def port_facts(session: Session, ports: Sequence[Port]) -> list[PortFact]:
    """Ports with their addresses and groups."""
    ids = [p.id for p in ports]
    passing = chaining.passing(session, ids)
    groups: dict[str, set[str]] = {}
    living = sa.select(PortSecurityGroup.port_id, PortSecurityGroup.group_id).join(
        SecurityGroup, SecurityGroup.id == PortSecurityGroup.group_id
    )
    query = living.where(PortSecurityGroup.port_id.in_(ids), SecurityGroup.state == ACTIVE)
    for port_id, group_id in session.execute(query):
        groups.setdefault(port_id, set()).add(group_id)
    more: dict[str, list[tuple[str, str]]] = {}
    for row in session.scalars(sa.select(PortAddress).where(PortAddress.port_id.in_(ids))):
        more.setdefault(row.port_id, []).append((row.subnet_id, row.address))
    return [
        PortFact(
            id=p.id, name=p.hostname or p.name or p.address, project_id=p.project_id, network_id=p.network_id,
            places=((p.subnet_id, p.address), *more.get(p.id, [])), groups=frozenset(groups.get(p.id, ())),
            filtered=(p.port_security or bool(groups.get(p.id))) and p.id not in passing, link_up=p.link_up,
            up=p.state == UP, instance_id=p.instance_id, passing=p.id in passing,
        )
        for p in ports
    ]  # fmt: skip


def outside_of(session: Session, port_ids: list[str]) -> dict[str, tuple[OutsideFact, ...]]:
    """Port id → the outside addresses that lead to it."""
    found: dict[str, tuple[OutsideFact, ...]] = {}
    query = sa.select(FloatingIp).where(FloatingIp.port_id.in_(port_ids), FloatingIp.state == ACTIVE)
    for row in session.scalars(query):
        if row.port_id is not None:
            whole = OutsideFact(row.id, row.address, row.network_id, inner_address=row.inner_address or "")
            found[row.port_id] = (whole,)
    for port_id, forwarded in _forwarded(session, port_ids):
        found[port_id] = (*found.get(port_id, ()), forwarded)
    return found


def _forwarded(session: Session, port_ids: list[str]) -> Iterator[tuple[str, OutsideFact]]:
    """The ports of outside addresses that lead to these ports: of floating IPs, and of routers' own."""
    mine = sa.select(PortForwarding).where(PortForwarding.port_id.in_(port_ids), PortForwarding.state == ACTIVE)
    for row in session.scalars(mine):
        if row.floating_ip_id is not None:
            floating = session.get_one(FloatingIp, row.floating_ip_id)
            address, network_id = floating.address, floating.network_id
        else:
            outer = sa.select(RouterInterface).where(
                RouterInterface.router_id == row.router_id, RouterInterface.external.is_(True),
                RouterInterface.state == ACTIVE,
            )  # fmt: skip
            leg = session.scalars(outer).first()
            if leg is None:
                continue
            address, network_id = leg.address.partition("/")[0], leg.network_id
        yield row.port_id, OutsideFact(
            row.id, address, network_id, "port_forwarding", row.protocol, row.outside_port, row.outside_port_max,
            row.inner_port, row.inner_address or "",
        )  # fmt: skip


def with_networks(session: Session, made: Picture, network_ids: Collection[str]) -> Picture:
    """The same with networks, their subnets, and the routers that connect them, as far as a way may lead."""
    routers: dict[str, RouterFact] = dict(made.routers)
    wanted, seen = set(network_ids), set[str]()
    for _hop in range(HOPS):
        new = wanted - seen
        if not new:
            break
        seen |= new
        found = routers_at(session, new, set(routers))
        routers |= found
        wanted |= {leg.network_id for router in found.values() for leg in router.legs if not leg.external}
    everything = {*wanted, *(leg.network_id for router in routers.values() for leg in router.legs)}
    networks = session.scalars(sa.select(Network).where(Network.id.in_(everything), Network.state == ACTIVE))
    known = {n.id: NetworkFact(n.id, n.name, n.external, n.physical is not None) for n in networks}
    subnets = session.scalars(sa.select(Subnet).where(Subnet.network_id.in_(known), Subnet.state == ACTIVE))
    places = {s.id: SubnetFact(s.id, s.network_id, s.cidr, s.gateway) for s in subnets}
    living = {
        k: replace(r, legs=tuple(leg for leg in r.legs if leg.subnet_id in places)) for k, r in routers.items()
    }
    return replace(
        made, networks={**made.networks, **known}, subnets={**made.subnets, **places}, routers=living,
        forwarders=forwarders_of(session, living.values()),
    )  # fmt: skip


def routers_at(session: Session, network_ids: Collection[str], known: Collection[str]) -> dict[str, RouterFact]:
    """The living routers with an inner leg in one of the networks, but for those that are known."""
    inner = sa.select(RouterInterface.router_id).where(
        RouterInterface.network_id.in_(network_ids), RouterInterface.external.is_(False),
        RouterInterface.state == ACTIVE,
    )  # fmt: skip
    query = sa.select(Router).where(Router.id.in_(inner), Router.id.not_in(known), Router.state == ACTIVE)
    rows = {r.id: r for r in session.scalars(query)}
    legs: dict[str, list[LegFact]] = {}
    living = sa.select(RouterInterface).where(RouterInterface.router_id.in_(rows), RouterInterface.state == ACTIVE)
    for leg in session.scalars(living):
        fact = LegFact(leg.subnet_id, leg.network_id, leg.address.partition("/")[0], leg.external)
        legs.setdefault(leg.router_id, []).append(fact)
    routes: dict[str, list[tuple[str, str]]] = {}
    for route in session.scalars(sa.select(RouterRoute).where(RouterRoute.router_id.in_(rows))):
        routes.setdefault(route.router_id, []).append((route.destination, route.next_hop))
    peers, chains = _peers(session, rows), _chains(session, rows)
    return {
        k: RouterFact(
            k, r.name, r.snat, tuple(legs.get(k, ())), tuple(routes.get(k, ())), tuple(peers.get(k, ())),
            tuple(chains.get(k, ())),
        )
        for k, r in rows.items()
    }


def _peers(session: Session, router_ids: Collection[str]) -> dict[str, list[PeerFact]]:
    """Router id → its peerings to which both sides agree."""
    mine = sa.or_(NetworkPeering.router_id.in_(router_ids), NetworkPeering.peer_router_id.in_(router_ids))
    query = sa.select(NetworkPeering).where(
        mine, NetworkPeering.state == ACTIVE, NetworkPeering.agreed.is_(True), NetworkPeering.peer_agreed.is_(True)
    )
    found: dict[str, list[PeerFact]] = {}
    for row in session.scalars(query):
        ours, theirs, other = tuple(row.ranges), tuple(row.peer_ranges), row.peer_router_id or ""
        found.setdefault(row.router_id, []).append(PeerFact(row.id, row.name, ours, theirs, other))
        found.setdefault(other, []).append(PeerFact(row.id, row.name, theirs, ours, row.router_id))
    return found


def _chains(session: Session, router_ids: Collection[str]) -> dict[str, list[ChainFact]]:
    """Router id → its living service chains, with how their hops are."""
    query = sa.select(ServiceChain).where(ServiceChain.router_id.in_(router_ids), ServiceChain.state == ACTIVE)
    found: dict[str, list[ChainFact]] = {}
    for row in session.scalars(query.order_by(ServiceChain.name, ServiceChain.id)):
        hops = chaining.hops_of(session, row)
        first = next(iter(hops), None)
        found.setdefault(row.router_id, []).append(ChainFact(
            row.id, row.name, row.subnet_id, first.inner.leg.subnet.id if first and first.inner else "",
            tuple(h.name for h in hops), tuple(h.name for h in hops if h.state != chaining.RUNNING),
            row.on_failure == BLOCK, None if row.protocol == "any" else row.protocol, row.port_min or 0,
            row.port_max or 65535,
        ))  # fmt: skip
    return found


def forwarders_of(session: Session, routers: Iterable[RouterFact]) -> dict[str, tuple[ForwarderFact, ...]]:
    """Address → the machines to which static routes of these routers lead."""
    hops = {hop for router in routers for _range, hop in router.routes}
    if not hops:
        return {}
    more = sa.select(PortAddress.port_id).where(PortAddress.address.in_(hops))
    at = list(session.scalars(
        sa.select(Port).where(sa.or_(Port.address.in_(hops), Port.id.in_(more)), Port.state != TRASHED)
    ))  # fmt: skip
    instances = {p.instance_id for p in at if p.instance_id}
    beside = sa.select(Port).where(Port.instance_id.in_(instances), Port.state != TRASHED)
    cards = {p.id: p for p in (*at, *session.scalars(beside))}
    facts = {f.id: f for f in port_facts(session, list(cards.values()))}
    found: dict[str, list[ForwarderFact]] = {}
    for port in at:
        own = [c for c in cards.values() if c.id == port.id or (c.instance_id and c.instance_id == port.instance_id)]
        arms = tuple((subnet, _lets(c, facts[c.id])) for c in own for subnet, _address in facts[c.id].places)
        for address in hops & set(facts[port.id].addresses):
            found.setdefault(address, []).append(
                ForwarderFact(port.id, facts[port.id].name, address, port.network_id, facts[port.id].up, arms)
            )
    return {address: tuple(machines) for address, machines in found.items()}


def _lets(port: Port, fact: PortFact) -> tuple[str, ...] | None:
    """The ranges of others for which a port may speak; None: for anybody."""
    if fact.passing or not port.port_security:
        return None
    return tuple(str(pair["cidr"]) for pair in port.allowed_pairs)


def group_facts(session: Session, group_ids: Collection[str]) -> dict[str, GroupFact]:
    """Security groups with their rules."""
    rules: dict[str, list[SecurityRule]] = {}
    query = sa.select(SecurityRule).where(SecurityRule.group_id.in_(group_ids)).order_by(SecurityRule.id)
    for rule in session.scalars(query):
        rules.setdefault(rule.group_id, []).append(rule)
    groups = session.scalars(sa.select(SecurityGroup).where(SecurityGroup.id.in_(group_ids)))
    sets = set_ranges(session, {r.remote_set_id for them in rules.values() for r in them if r.remote_set_id})
    return {
        g.id: GroupFact(
            g.id, g.name, tuple(rule_fact(r, sets.get(r.remote_set_id or "")) for r in rules.get(g.id, ())),
            stateless=g.stateless, is_default=g.is_default,
        )
        for g in groups
    }  # fmt: skip


def set_names(session: Session, groups: Iterable[GroupFact]) -> dict[str, str]:
    """Id → name of the address sets that rules of groups name."""
    sets = {r.remote_set_id for g in groups for r in g.rules if r.remote_set_id}
    if not sets:
        return {}
    query = sa.select(AddressSet.id, AddressSet.name).where(AddressSet.id.in_(sets))
    return {identifier: name for identifier, name in session.execute(query)}  # noqa: C416


def set_ranges(session: Session, set_ids: Collection[str]) -> dict[str, list[str]]:
    """Id → ranges of address sets; those of one in the trash count for nobody."""
    if not set_ids:
        return {}
    rows = session.scalars(sa.select(AddressSet).where(AddressSet.id.in_(set_ids)))
    return {r.id: r.ranges if r.state == ACTIVE else [] for r in rows}


def with_members(session: Session, made: Picture, addresses: Collection[str]) -> Picture:
    """The same, with which of the addresses are in the groups that rules name."""
    named = {r.remote_group_id for g in made.groups.values() for r in g.rules if r.remote_group_id}
    if not named:
        return made
    members: dict[str, set[str]] = {}
    sources = ((Port.address, Port), (PortAddress.address, PortAddress)) if addresses else ()
    for column, table in sources:
        query = (
            sa.select(PortSecurityGroup.group_id, column)
            .join(Port, Port.id == PortSecurityGroup.port_id)
            .where(
                PortSecurityGroup.group_id.in_(named), column.in_(addresses), Port.state != TRASHED,
                Port.plugged.is_(True),
            )
        )  # fmt: skip
        if table is PortAddress:
            query = query.join(PortAddress, PortAddress.port_id == Port.id)
        for group_id, address in session.execute(query):
            members.setdefault(group_id, set()).add(address)
    missing = named - set(made.groups)
    names = {**made.names, **group_names(session, list(missing))}
    return replace(made, members={g: frozenset(a) for g, a in members.items()}, names=names)
