"""Who is behind which router: the subnets on its legs, their machines, and what leads through it from outside."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.network import checks
from yun.network.model import (
    ACTIVE,
    TRASHED,
    FloatingIp,
    NetworkPeering,
    Port,
    Router,
    RouterInterface,
    RouterRoute,
    Subnet,
)
from yun.network.service import look

SHOWN = 5


@dataclass(frozen=True)
class Leg:
    """A living leg of a router with its subnet."""

    row: RouterInterface
    subnet: Subnet

    @cached_property
    def net(self) -> checks.Net:
        """The subnet's range."""
        return ipaddress.ip_network(self.subnet.cidr)

    @property
    def address(self) -> str:
        """The router's own address there, without prefix."""
        return self.row.address.partition("/")[0]

    @property
    def at_gateway(self) -> bool:
        """Whether the machines of the subnet have this leg as their gateway."""
        return self.subnet.gateway == self.address


def legs(session: Session, router_id: str) -> list[Leg]:
    """The living legs of a router in living subnets, the outside one last."""
    return [Leg(row, subnet) for row, subnet in session.execute(_LEGS, {"router": router_id})]


_LEGS = (
    sa.select(RouterInterface, Subnet)
    .join(Subnet, Subnet.id == RouterInterface.subnet_id)
    .where(
        RouterInterface.router_id == sa.bindparam("router"), RouterInterface.state == ACTIVE, Subnet.state == ACTIVE
    )
    .order_by(RouterInterface.external, RouterInterface.id)
)


def outside(found: Sequence[Leg]) -> Leg | None:
    """The leg that is the way out."""
    return next((leg for leg in found if leg.row.external), None)


def routes_of(session: Session, router_id: str) -> list[RouterRoute]:
    """The static routes of a router, oldest first."""
    query = sa.select(RouterRoute).where(RouterRoute.router_id == router_id)
    return list(session.scalars(query.order_by(RouterRoute.created_at, RouterRoute.id)))


def routers_on(session: Session, subnet_ids: Sequence[str]) -> list[Router]:
    """All living routers with an inner leg in one of the subnets."""
    inner = sa.select(RouterInterface.router_id).where(
        RouterInterface.subnet_id.in_(subnet_ids), RouterInterface.external.is_(False),
        RouterInterface.state == ACTIVE,
    )  # fmt: skip
    query = sa.select(Router).where(Router.id.in_(inner), Router.state == ACTIVE)
    return list(session.scalars(query.order_by(Router.id)))


def behind(session: Session, subnet_ids: Sequence[str]) -> list[Port]:
    """The ports of these subnets, without those in the trash."""
    query = sa.select(Port).where(Port.subnet_id.in_(subnet_ids), Port.state != TRASHED)
    return list(session.scalars(query.order_by(Port.hostname, Port.address)))


def named(ports: Sequence[Port]) -> str:
    """The first few ports by what people call them."""
    words = [p.hostname or p.name or p.address for p in ports[:SHOWN]]
    return ", ".join(words) + (" …" if len(ports) > SHOWN else "")


def inside(part: checks.Net, whole: checks.Net) -> bool:
    """Whether a range is within another one."""
    return part.version == whole.version and part.subnet_of(whole)  # type: ignore[arg-type]


def target(session: Session, port: Port, inner_address: str | None) -> tuple[str, str] | None:
    """Subnet and address of a port that are meant by ``inner_address`` (None: its first); None where it lost it."""
    if inner_address is None or inner_address == port.address:
        return port.subnet_id, port.address
    return next((p for p in look.places_of(session, port) if p[1] == inner_address), None)


def inner_choices(session: Session, port: Port) -> list[str]:
    """The addresses of a port to which a floating IP can lead."""
    return [address for _subnet, address in look.places_of(session, port) if ":" not in address]


def floating_on(
    session: Session, network_ids: Sequence[str], *where: sa.ColumnElement[bool]
) -> list[tuple[FloatingIp, str, str]]:
    """The floating IPs that lead to ports of these networks: each with subnet and address, by outside address."""
    query = (
        sa.select(FloatingIp, Port)
        .join(Port, Port.id == FloatingIp.port_id)
        .where(Port.network_id.in_(network_ids), FloatingIp.state == ACTIVE, *where)
        .order_by(FloatingIp.address)
    )
    found = ((f, target(session, port, f.inner_address)) for f, port in session.execute(query))
    return [(f, *place) for f, place in found if place is not None]


def gated(session: Session, router_id: str, found: Sequence[Leg]) -> list[str]:
    """The subnets among these legs of a router whose way out it is."""
    inner = [leg.subnet.id for leg in found if not leg.row.external]
    ways = look.routers_of(session, inner)
    return [s for s in inner if ways.get(s) == router_id]


def floating_through(session: Session, router_id: str, subnet_ids: Sequence[str] | None = None) -> list[FloatingIp]:
    """The floating IPs whose way to their port is this router, of some of its subnets if asked."""
    found = legs(session, router_id)
    mine = [s for s in gated(session, router_id, found) if subnet_ids is None or s in subnet_ids]
    networks = [leg.subnet.network_id for leg in found if leg.subnet.id in mine]
    return [f for f, subnet_id, _address in floating_on(session, networks) if subnet_id in mine]


def peerings_of(session: Session, router_id: str, *states: str) -> list[NetworkPeering]:
    """The peerings of a router on either side, in these states."""
    mine = sa.or_(NetworkPeering.router_id == router_id, NetworkPeering.peer_router_id == router_id)
    query = sa.select(NetworkPeering).where(mine, NetworkPeering.state.in_(states))
    return list(session.scalars(query.order_by(NetworkPeering.name, NetworkPeering.id)))


def ranges_on(session: Session, router: Router, *, besides: str = "") -> list[tuple[str, str]]:
    """All that a router routes by itself, as (name, range): subnets on it, the other side's ranges of its peerings
    (but of the one ``besides``), destinations of static routes, but for the one for everything."""
    subnets = subnets_on(session, router.id)
    return [(s.name, s.cidr) for s in subnets] + ranges_beyond(session, router, besides=besides)


def subnets_on(session: Session, router_id: str) -> list[Subnet]:
    """The subnets on a router's living legs, those in the trash too, which may come back to their leg; oldest first."""
    legs_of_it = sa.select(RouterInterface.subnet_id).where(
        RouterInterface.router_id == router_id, RouterInterface.state == ACTIVE
    )
    query = sa.select(Subnet).where(Subnet.id.in_(legs_of_it))
    return list(session.scalars(query.order_by(Subnet.created_at, Subnet.id)))


def ranges_beyond(session: Session, router: Router, *, besides: str = "") -> list[tuple[str, str]]:
    """What of `ranges_on` is not a subnet on the router."""
    found: list[tuple[str, str]] = []
    for peering in peerings_of(session, router.id, ACTIVE):
        if peering.id != besides:
            theirs = peering.peer_ranges if peering.router_id == router.id else peering.ranges
            found += [(peering.name, text) for text in theirs]
    routes = routes_of(session, router.id)
    return found + [(r.destination, r.destination) for r in routes if not r.destination.endswith("/0")]
