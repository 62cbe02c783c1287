"""Routers → what the network engine is told."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.drivers.network.port import NatSpec, RouterInterfaceSpec, RouterSpec
from yun.hosts.model import Host
from yun.network.model import ACTIVE, TRASHED, FloatingIp, Network, Port, Router, RouterInterface, Subnet
from yun.network.service import look
from yun.network.spec.advertising import advertisement


def router_spec(session: Session, router_id: str) -> RouterSpec | None:
    """What the engine should have of a router: legs in living subnets, the way out, NAT; None: nothing."""
    router = session.get(Router, router_id)
    if router is None or router.state != ACTIVE:
        return None
    living = _living(session, look.legs_of(session, router_id))
    inner = [leg for leg in living if not leg.external]
    outer = next((leg for leg in living if leg.external), None)
    host = session.get(Host, router.host_id) if router.host_id else None
    return RouterSpec(
        id=router.id,
        name=router.name,
        interfaces=tuple(replace(_leg(leg), advertises=advertisement(session, leg)) for leg in inner),
        external=_leg(outer) if outer else None,
        routes=_routes(session, outer),
        nat=_nat(session, router, inner, outer),
        gateway_chassis=host.name if host and outer else None,
    )


def _living(session: Session, legs: list[RouterInterface]) -> list[RouterInterface]:
    ids = [leg.subnet_id for leg in legs]
    subnets = set(session.scalars(sa.select(Subnet.id).where(Subnet.id.in_(ids), Subnet.state == ACTIVE)))
    networks = [leg.network_id for leg in legs]
    alive = set(session.scalars(sa.select(Network.id).where(Network.id.in_(networks), Network.state == ACTIVE)))
    return [leg for leg in legs if leg.subnet_id in subnets and leg.network_id in alive]


def _leg(leg: RouterInterface) -> RouterInterfaceSpec:
    return RouterInterfaceSpec(leg.id, leg.network_id, leg.mac, leg.address)


def _routes(session: Session, outer: RouterInterface | None) -> dict[str, str]:
    gateway = session.get_one(Subnet, outer.subnet_id).gateway if outer else None
    if not gateway:
        return {}
    return {"::/0" if ":" in gateway else "0.0.0.0/0": gateway}


def _nat(
    session: Session, router: Router, inner: list[RouterInterface], outer: RouterInterface | None
) -> tuple[NatSpec, ...]:
    """Source NAT of each inner IPv4 range, and the floating IPs of the ports behind the router."""
    if outer is None:
        return ()
    found: list[NatSpec] = []
    outside = outer.address.partition("/")[0]
    if router.snat:
        ranges = (ipaddress.ip_interface(leg.address).network for leg in inner)
        found += [NatSpec("snat", outside, str(r)) for r in ranges if r.version == 4]
    behind = [leg.subnet_id for leg in inner]
    floating = (
        sa.select(FloatingIp.address, Port.address)
        .join(Port, Port.id == FloatingIp.port_id)
        .where(
            Port.subnet_id.in_(behind), FloatingIp.network_id == outer.network_id, FloatingIp.state == ACTIVE,
            Port.plugged.is_(True), Port.state != TRASHED,
        )
        .order_by(FloatingIp.address)
    )  # fmt: skip
    found += [NatSpec("dnat_and_snat", external, internal) for external, internal in session.execute(floating)]
    return tuple(found)
