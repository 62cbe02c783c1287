"""Routers → what the network engine is told."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.drivers.network.port import ForwardSpec, NatSpec, PeerSpec, RouterInterfaceSpec, RouterSpec
from yun.hosts.model import Host
from yun.network.model import ACTIVE, TRASHED, FloatingIp, Network, Port, Router, RouterInterface
from yun.network.service import forwarding, paths
from yun.network.service.paths import Leg
from yun.network.spec.advertising import advertisement
from yun.network.spec.chains import chain_specs


def router_spec(session: Session, router_id: str) -> RouterSpec | None:
    """What the engine should have of a router: legs in living subnets, the way out, routes, NAT, service
    chains; None: nothing."""
    router = session.get(Router, router_id)
    if router is None or router.state != ACTIVE:
        return None
    living = _living(session, paths.legs(session, router_id))
    inner = [leg for leg in living if not leg.row.external]
    outer = paths.outside(living)
    host = session.get(Host, router.host_id) if router.host_id else None
    return RouterSpec(
        id=router.id,
        name=router.name,
        interfaces=tuple(replace(_leg(leg.row), advertises=advertisement(session, leg.row)) for leg in inner),
        external=_leg(outer.row) if outer else None,
        routes=_routes(session, router_id, living),
        nat=_nat(session, router, inner, outer),
        gateway_chassis=host.name if host and outer else None,
        forwards=_forwards(session, router, outer),
        peers=_peers(session, router, inner),
        chains=chain_specs(session, router_id, {leg.row.id for leg in inner}),
    )


def _living(session: Session, legs: list[Leg]) -> list[Leg]:
    networks = [leg.row.network_id for leg in legs]
    alive = set(session.scalars(_LIVING, {"networks": networks}))
    return [leg for leg in legs if leg.row.network_id in alive]


_LIVING = sa.select(Network.id).where(
    Network.id.in_(sa.bindparam("networks", expanding=True)), Network.state == ACTIVE
)


def _leg(leg: RouterInterface) -> RouterInterfaceSpec:
    return RouterInterfaceSpec(leg.id, leg.network_id, leg.mac, leg.address)


def _routes(session: Session, router_id: str, living: list[Leg]) -> dict[str, str]:
    """The static routes whose next hop is on a living leg, and the way out."""
    found = {}
    for route in paths.routes_of(session, router_id):
        hop = ipaddress.ip_address(route.next_hop)
        if any(hop in leg.net for leg in living):
            found[route.destination] = route.next_hop
    outer = paths.outside(living)
    if outer and outer.subnet.gateway:
        found["::/0" if ":" in outer.subnet.gateway else "0.0.0.0/0"] = outer.subnet.gateway
    return found


def _nat(session: Session, router: Router, inner: list[Leg], outer: Leg | None) -> tuple[NatSpec, ...]:
    """Source NAT of each inner IPv4 range, and the floating IPs of the ports whose way out the router is."""
    if outer is None:
        return ()
    found: list[NatSpec] = []
    if router.snat and outer.net.version == 4:
        found += [NatSpec("snat", outer.address, str(leg.net)) for leg in inner if leg.net.version == 4]
    gated = paths.gated(session, router.id, inner)
    networks = [leg.subnet.network_id for leg in inner if leg.subnet.id in gated]
    plugged = (FloatingIp.network_id == outer.row.network_id, Port.plugged.is_(True), Port.state != TRASHED)
    for floating, subnet_id, address in paths.floating_on(session, networks, *plugged):
        if subnet_id in gated:
            found.append(NatSpec("dnat_and_snat", floating.address, address))
    return tuple(found)


def _forwards(session: Session, router: Router, outer: Leg | None) -> tuple[ForwardSpec, ...]:
    """Each forwarded port whose machine is plugged."""
    if outer is None:
        return ()
    found: list[ForwardSpec] = []
    for row, address in forwarding.forwardings_through(session, router):
        port = session.get_one(Port, row.port_id)
        place = paths.target(session, port, row.inner_address)
        if place is None or not port.plugged or port.state == TRASHED:
            continue
        for nth in range(row.outside_port_max - row.outside_port + 1):
            found.append(
                ForwardSpec(_protocol(row.protocol), address, row.outside_port + nth, place[1], row.inner_port + nth)
            )
    return tuple(found)


def _protocol(text: str) -> Literal["tcp", "udp"]:
    return "udp" if text == "udp" else "tcp"


def _peers(session: Session, router: Router, inner: list[Leg]) -> tuple[PeerSpec, ...]:
    """Each peering to which both sides agree now, for the ranges that are behind both routers now."""
    found: list[PeerSpec] = []
    for row in paths.peerings_of(session, router.id, ACTIVE):
        asker = row.router_id == router.id
        other = session.get(Router, row.peer_router_id if asker else row.router_id)
        if not (row.agreed and row.peer_agreed) or other is None or other.state != ACTIVE:
            continue
        far = [leg for leg in _living(session, paths.legs(session, other.id)) if not leg.row.external]
        mine, theirs = (row.ranges, row.peer_ranges) if asker else (row.peer_ranges, row.ranges)
        local, remote = _behind(mine, inner), _behind(theirs, far)
        if not local or not remote:
            continue
        here, there = ("a", "b") if asker else ("b", "a")
        ours, others = _link(row.link, 1 if asker else 2), _link(row.link, 2 if asker else 1)
        found.append(PeerSpec(
            id=f"{row.id}-{here}", peer=f"{row.id}-{there}", addresses=(f"{ours[0]}/30", f"{ours[1]}/64"),
            next_hops={4: others[0], 6: others[1]}, local=local, remote=remote,
        ))  # fmt: skip
    return tuple(found)


def _behind(ranges: list[str], legs: list[Leg]) -> tuple[str, ...]:
    """The ranges that are in a subnet on one of these legs."""
    return tuple(r for r in ranges if any(paths.inside(ipaddress.ip_network(r), leg.net) for leg in legs))


def _link(number: int, end: int) -> tuple[str, str]:
    """The addresses of one end of a link between two routers: link-local, or unique by their number."""
    four = ipaddress.IPv4Address("169.254.0.0") + number * 4 + end
    six = ipaddress.IPv6Address("fd59:756e:6c6b::") + (number << 64) + end
    return str(four), str(six)
