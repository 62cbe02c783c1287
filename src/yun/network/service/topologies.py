"""Gathers the topology of what the actor sees, in a number of queries that does not grow with it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from yun.base.context import Context
from yun.network.model import (
    ACTIVE,
    TRASHED,
    UP,
    FloatingIp,
    Listener,
    LoadBalancer,
    Member,
    MemberHealth,
    Network,
    NetworkPeering,
    Port,
    PortAddress,
    PortForwarding,
    PortSample,
    PortSecurityGroup,
    Router,
    RouterInterface,
    SecurityGroup,
    ServiceChain,
    ServiceChainHop,
    Subnet,
)
from yun.network.model.balancers import OFFLINE
from yun.network.service import batch, look
from yun.network.topology.graph import (
    BALANCER,
    MACHINE,
    PORT,
    Bond,
    Leg,
    Net,
    Plug,
    Thing,
    Topology,
    Way,
)

NETWORKS, MOST_NETWORKS = 40, 200
FEW, FEWER, MANY_NETWORKS = 12, 5, 12
OPENED = 500
ROUTERS = 200
IDLE = 100
FORWARDED = 2000
COUNTED = 100_000
FRESH = timedelta(minutes=10)
"""Older measurements say nothing of now."""


def topology(
    ctx: Context, *, q: str = "", limit: int = NETWORKS, opened: Collection[str] = (), everything: bool = False
) -> Topology:
    """The networks that ``q`` finds (the query language of their list), at most ``limit`` by name, and what hangs on
    them: routers, machines, balancers, floating IPs, groups.

    Of a network with many machines only the first are given, unless its id is in ``opened`` or ``everything`` is
    asked for: then up to `OPENED` of it. Only the actor's own things are on it, and networks of the whole cloud.
    Raises `Invalid` for a query that means nothing.
    """
    if ctx.project_id is not None or ctx.actor.role_in(None) is not None or not ctx.actor.roles:
        ctx.may("network.topology")
    page = look.list_of(ctx, Network, sort="name", limit=limit, q=q)
    networks = {n.id: n for n in page.items}
    left = len(look.ids_of(ctx, Network, q, COUNTED)) - len(networks) if page.next else 0
    routers, legs, routers_left = _routers(ctx, q, networks)
    missing = {leg.network_id for leg in legs if leg.external} - set(networks)
    if missing:
        outside = sa.select(Network).where(Network.id.in_(missing), Network.state == ACTIVE)
        networks |= {n.id: n for n in ctx.session.scalars(outside)}
        left = max(0, left - len(missing)) if not q else left
    inner = [n.id for n in networks.values() if not n.external]
    few = FEW if len(inner) <= MANY_NETWORKS else FEWER
    ports = _ports(ctx, inner, inner if everything else [n for n in inner if n in opened], few)
    things, bonds, idle = _things(ctx, inner, ports, list(networks))
    peers, peerings = _peerings(ctx, [r.id for r in routers])
    chains, hops = _chains(ctx, [r.id for r in routers])
    return Topology(
        networks=_nets(ctx, networks), routers=tuple(
            replace(r, peers=peers.get(r.id, ()), chains=chains.get(r.id, ())) for r in routers
        ),
        legs=_legs(legs), bonds=(*bonds, *peerings),
        things=tuple(replace(t, chains=hops.get(t.id, ())) for t in things),
        groups=_groups(ctx, things), idle=idle, networks_left=left, routers_left=routers_left,
    )  # fmt: skip


def _own(ctx: Context, model: type[Any]) -> sa.ColumnElement[bool]:
    """Only what belongs to the project, or to the actor's projects where none is chosen."""
    if ctx.project_id is not None:
        return model.project_id == ctx.project_id
    if ctx.actor.role_in(None) is None:
        return model.project_id.in_(list(ctx.actor.roles))
    return sa.true()


def _nets(ctx: Context, networks: dict[str, Network]) -> tuple[Net, ...]:
    subnets = batch.subnets_by_network(ctx.session, list(networks))
    who = sa.func.coalesce(Port.instance_id, Port.id)
    count = (
        sa.select(Port.network_id, sa.func.count(sa.distinct(who)))
        .where(Port.network_id.in_(networks), Port.state != TRASHED, _own(ctx, Port))
        .group_by(Port.network_id)
    )
    machines: dict[str, int] = {network: number for network, number in ctx.session.execute(count)}  # noqa: C416
    ordered = sorted(networks.values(), key=lambda n: (not n.external, n.name, n.id))
    return tuple(
        Net(
            n.id, n.name, n.external, n.project_id is None or n.project_id != (ctx.project_id or n.project_id),
            tuple(s.cidr for s in subnets.get(n.id, [])), machines.get(n.id, 0),
        )
        for n in ordered
    )  # fmt: skip


def _routers(
    ctx: Context, q: str, networks: dict[str, Network]
) -> tuple[tuple[Way, ...], list[RouterInterface], int]:
    """The routers of the networks (all where nothing is searched for), their legs, and how many are left out."""
    mine = sa.select(Router).where(_own(ctx, Router), Router.state == ACTIVE)
    if q.strip():
        near = sa.select(RouterInterface.router_id).where(
            RouterInterface.network_id.in_([n.id for n in networks.values() if not n.external]),
            RouterInterface.state == ACTIVE,
        )
        mine = mine.where(Router.id.in_(near))
    rows = list(ctx.session.scalars(mine.order_by(Router.created_at, Router.id).limit(ROUTERS + 1)))
    left = 0
    if len(rows) > ROUTERS:
        total = ctx.session.scalar(sa.select(sa.func.count()).select_from(mine.subquery())) or 0
        rows, left = rows[:ROUTERS], total - ROUTERS
    living = sa.select(RouterInterface).where(
        RouterInterface.router_id.in_([r.id for r in rows]), RouterInterface.state == ACTIVE
    )
    legs = [
        leg
        for leg in ctx.session.scalars(living.order_by(RouterInterface.id))
        if leg.external or leg.network_id in networks
    ]
    out = {leg.router_id: leg for leg in legs if leg.external}
    ways = tuple(
        Way(
            r.id, r.name, r.snat, out[r.id].network_id if r.id in out else None,
            out[r.id].address.partition("/")[0] if r.id in out else None,
        )
        for r in rows
    )  # fmt: skip
    return ways, legs, left


def _legs(rows: list[RouterInterface]) -> tuple[Leg, ...]:
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if not row.external:
            found.setdefault((row.router_id, row.network_id), []).append(row.address.partition("/")[0])
    return tuple(Leg(router, network, tuple(addresses)) for (router, network), addresses in found.items())


def _ports(ctx: Context, networks: list[str], opened: list[str], few: int) -> list[Port]:
    """The ports of the first machines of each network, by host name."""
    who = sa.func.coalesce(Port.instance_id, Port.id)
    place = sa.func.dense_rank().over(partition_by=Port.network_id, order_by=(Port.hostname, who))
    ranked = (
        sa.select(Port.id, Port.network_id, place.label("place"))
        .where(Port.network_id.in_(networks), Port.state != TRASHED, _own(ctx, Port))
        .subquery()
    )
    shown = sa.or_(ranked.c.place <= few, sa.and_(ranked.c.network_id.in_(opened), ranked.c.place <= OPENED))
    query = sa.select(Port).join(ranked, ranked.c.id == Port.id).where(shown)
    return list(ctx.session.scalars(query.order_by(Port.hostname, who, Port.device_index, Port.id)))


@dataclass
class _Outside:
    """What of outside leads to ports and balancers, by their ids, and which floating IPs lead nowhere."""

    leading: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    forwarded: dict[str, list[tuple[str, str, str]]] = field(default_factory=dict)
    idle: list[tuple[str, str, str]] = field(default_factory=list)


def _things(
    ctx: Context, networks: list[str], ports: list[Port], all_networks: list[str]
) -> tuple[tuple[Thing, ...], tuple[Bond, ...], tuple[tuple[str, str, str], ...]]:
    balancers = list(ctx.session.scalars(
        sa.select(LoadBalancer)
        .where(LoadBalancer.network_id.in_(networks), LoadBalancer.state == ACTIVE, _own(ctx, LoadBalancer))
        .order_by(LoadBalancer.name, LoadBalancer.id)
    ))  # fmt: skip
    outside = _outside(ctx, [p.id for p in ports], balancers, all_networks)
    bonds, listening = _bonds(ctx, {b.id: b.project_id for b in balancers}, ports)
    shared = [
        Thing(
            b.id, BALANCER, b.name, (Plug(b.id, b.network_id, (b.address,)),), tuple(outside.leading.get(b.id, ())),
            listening.get(b.id, ""),
        )
        for b in balancers
    ]  # fmt: skip
    return (*shared, *_machines(ctx, ports, outside)), bonds, tuple(outside.idle[:IDLE])


def _outside(ctx: Context, ports: list[str], balancers: list[LoadBalancer], networks: list[str]) -> _Outside:
    rows = ctx.session.scalars(
        sa.select(FloatingIp).where(
            _own(ctx, FloatingIp), FloatingIp.state == ACTIVE,
            sa.or_(
                FloatingIp.port_id.in_(ports), FloatingIp.id.in_([b.floating_ip_id for b in balancers]),
                sa.and_(FloatingIp.port_id.is_(None), FloatingIp.network_id.in_(networks)),
            ),
        ).order_by(FloatingIp.address)
    )  # fmt: skip
    in_front = {b.floating_ip_id: b.id for b in balancers if b.floating_ip_id}
    forwarding, shown, found = _forwardings(ctx), set(ports), _Outside()
    for row in rows:
        if at := row.port_id or in_front.get(row.id):
            found.leading.setdefault(at, []).append((row.id, row.address))
        elif row.id not in forwarding:
            found.idle.append((row.id, row.address, row.network_id))
        for port_id, told in forwarding.get(row.id, ()):
            if port_id in shown:
                found.forwarded.setdefault(port_id, []).append((row.id, row.address, told))
    return found


def _machines(ctx: Context, ports: list[Port], outside: _Outside) -> list[Thing]:
    ids = [p.id for p in ports]
    more: dict[str, list[str]] = {}
    further = sa.select(PortAddress.port_id, PortAddress.address).where(PortAddress.port_id.in_(ids))
    for port_id, address in ctx.session.execute(further.order_by(PortAddress.address)):
        more.setdefault(port_id, []).append(address)
    groups: dict[str, list[str]] = {}
    members = sa.select(PortSecurityGroup.port_id, PortSecurityGroup.group_id).where(PortSecurityGroup.port_id.in_(ids))
    for port_id, group_id in ctx.session.execute(members.order_by(PortSecurityGroup.group_id)):
        groups.setdefault(port_id, []).append(group_id)
    rates = _rates(ctx, ids)
    made: dict[str, list[Port]] = {}
    for port in ports:
        made.setdefault(port.instance_id or port.id, []).append(port)
    return [
        Thing(
            key, MACHINE if own[0].instance_id else PORT, own[0].hostname or own[0].name or own[0].address,
            tuple(
                Plug(
                    p.id, p.network_id, (p.address, *more.get(p.id, ())), p.state == UP and p.link_up,
                    tuple(groups.get(p.id, ())), rates.get(p.id),
                )
                for p in own
            ),
            tuple(place for p in own for place in outside.leading.get(p.id, ())), "",
            tuple(place for p in own for place in outside.forwarded.get(p.id, ())),
        )
        for key, own in made.items()
    ]  # fmt: skip


def _rates(ctx: Context, ports: list[str]) -> dict[str, tuple[float, float]]:
    """What each port receives and sends by its last two measurements, bytes per second; none where they are old."""
    recent = ctx.clock.now() - FRESH
    newest = sa.func.row_number().over(partition_by=PortSample.port_id, order_by=PortSample.at.desc())
    ranked = (
        sa.select(PortSample.port_id, PortSample.at, PortSample.bytes_in, PortSample.bytes_out, newest.label("place"))
        .where(PortSample.port_id.in_(ports), PortSample.at >= recent)
        .subquery()
    )
    found: dict[str, tuple[float, float]] = {}
    last: dict[str, Any] = {}
    for row in ctx.session.execute(sa.select(ranked).where(ranked.c.place <= 2).order_by(ranked.c.place)):
        if row.place == 1:
            last[row.port_id] = row
            continue
        after = last[row.port_id]
        seconds = (after.at - row.at).total_seconds()
        into, out = after.bytes_in - row.bytes_in, after.bytes_out - row.bytes_out
        if seconds > 0 and into >= 0 and out >= 0:
            found[row.port_id] = (into / seconds, out / seconds)
    return found


def _forwardings(ctx: Context) -> dict[str, list[tuple[str, str]]]:
    """Floating IP → the ports to which single ports of it are led, with those outside ports."""
    query = sa.select(PortForwarding).where(
        _own(ctx, PortForwarding), PortForwarding.state == ACTIVE, PortForwarding.floating_ip_id.is_not(None)
    )
    found: dict[str, list[tuple[str, str]]] = {}
    for row in ctx.session.scalars(query.order_by(PortForwarding.outside_port, PortForwarding.id).limit(FORWARDED)):
        last = f"-{row.outside_port_max}" if row.outside_port_max != row.outside_port else ""
        found.setdefault(str(row.floating_ip_id), []).append((row.port_id, f"{row.outside_port}{last}"))
    return found


def _peerings(ctx: Context, routers: list[str]) -> tuple[dict[str, tuple[str, ...]], tuple[Bond, ...]]:
    """The names of each router's living peerings, and lines between those of which both routers are the actor's."""
    query = sa.select(NetworkPeering).where(
        NetworkPeering.state != TRASHED,
        sa.or_(NetworkPeering.router_id.in_(routers), NetworkPeering.peer_router_id.in_(routers)),
    )
    names: dict[str, list[str]] = {}
    bonds: list[Bond] = []
    for row in ctx.session.scalars(query.order_by(NetworkPeering.name, NetworkPeering.id)):
        ends = [e for e in (row.router_id, row.peer_router_id) if e in routers]
        for end in ends:
            names.setdefault(end, []).append(row.name)
        if len(ends) == 2:
            bonds.append(Bond("peering", ends[0], ends[1], row.state == ACTIVE and row.agreed and row.peer_agreed))
    return {router: tuple(found) for router, found in names.items()}, tuple(bonds)


def _chains(ctx: Context, routers: list[str]) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """What the living service chains of each router do, and of which ones each machine is a hop."""
    query = (
        sa.select(ServiceChain, Subnet.cidr, ServiceChainHop.position, Port)
        .join(Subnet, Subnet.id == ServiceChain.subnet_id)
        .join(ServiceChainHop, ServiceChainHop.chain_id == ServiceChain.id)
        .outerjoin(Port, sa.and_(Port.id == ServiceChainHop.inner_port_id, Port.state != TRASHED))
        .where(ServiceChain.router_id.in_(routers), ServiceChain.state == ACTIVE, _own(ctx, ServiceChain))
        .order_by(ServiceChain.name, ServiceChain.id, ServiceChainHop.position)
    )
    through: dict[tuple[str, str, str], list[str]] = {}
    hops: dict[str, list[str]] = {}
    for chain, cidr, _position, port in ctx.session.execute(query):
        named = (port.hostname or port.name or port.address) if port is not None else "–"
        through.setdefault((chain.router_id, chain.name, cidr), []).append(named)
        if port is not None:
            hops.setdefault(port.instance_id or port.id, []).append(chain.name)
    told: dict[str, list[str]] = {}
    for (router, name, cidr), machines in through.items():
        told.setdefault(router, []).append(f"{name} ({cidr} → {' → '.join(machines)})")
    return {k: tuple(v) for k, v in told.items()}, {k: tuple(dict.fromkeys(v)) for k, v in hops.items()}


def _bonds(ctx: Context, balancers: dict[str, str], ports: list[Port]) -> tuple[tuple[Bond, ...], dict[str, str]]:
    """Lines from balancers (id → project) to those of the ports that are their members, and what each listens on."""
    if not balancers:
        return (), {}
    listeners = list(ctx.session.scalars(
        sa.select(Listener).where(Listener.load_balancer_id.in_(balancers)).order_by(Listener.port, Listener.protocol)
    ))  # fmt: skip
    listening: dict[str, list[str]] = {}
    for row in listeners:
        listening.setdefault(row.load_balancer_id, []).append(f"{row.protocol}/{row.port}")
    owner = {row.id: row.load_balancer_id for row in listeners}
    ill = sa.select(MemberHealth.listener_id, MemberHealth.port_id).where(
        MemberHealth.listener_id.in_(owner), MemberHealth.state == OFFLINE
    )
    offline = {(owner[listener], port) for listener, port in ctx.session.execute(ill)}
    named: dict[tuple[str, str], list[str]] = {}
    for member in ctx.session.scalars(sa.select(Member).where(Member.load_balancer_id.in_(balancers))):
        named.setdefault((member.kind, member.target), []).append(member.load_balancer_id)
    found: dict[tuple[str, str], bool] = {}
    for port in ports:
        keys = [("port", port.id), ("instance", port.instance_id or ""), *(("tag", label) for label in port.labels)]
        for balancer in dict.fromkeys(b for key in keys for b in named.get(key, ())):
            if balancers[balancer] != port.project_id:
                continue
            at = (balancer, port.instance_id or port.id)
            found[at] = found.get(at, True) and (balancer, port.id) not in offline
    bonds = tuple(Bond("member", balancer, thing, up) for (balancer, thing), up in sorted(found.items()))
    return bonds, {key: " ".join(words) for key, words in listening.items()}


def _groups(ctx: Context, things: tuple[Thing, ...]) -> tuple[tuple[str, str], ...]:
    ids = {g for thing in things for g in thing.groups}
    query = sa.select(SecurityGroup.id, SecurityGroup.name).where(SecurityGroup.id.in_(ids))
    ordered = query.order_by(SecurityGroup.created_at, SecurityGroup.id)
    return tuple((identifier, name) for identifier, name in ctx.session.execute(ordered))
