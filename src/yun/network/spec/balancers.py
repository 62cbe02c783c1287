"""Load balancers → what the network engine is told."""

from __future__ import annotations

import ipaddress

from sqlalchemy.orm import Session

from yun.drivers.network.port import BackendSpec, BalancerSpec, CheckSpec, ListenerSpec
from yun.network.model import ACTIVE, TRASHED, FloatingIp, Listener, LoadBalancer, Port
from yun.network.service import balancing, look


def balancer_spec(session: Session, balancer_id: str) -> BalancerSpec | None:
    """What the engine should have of a load balancer; None: nothing."""
    balancer = session.get(LoadBalancer, balancer_id)
    if balancer is None or balancer.state != ACTIVE:
        return None
    router = look.router_of(session, balancer.subnet_id)
    legs = look.legs_of(session, router.id) if router else []
    inner = dict.fromkeys(leg.network_id for leg in legs if not leg.external)
    networks = tuple(inner) if router else (balancer.network_id,)
    addresses = [balancer.address]
    floating = session.get(FloatingIp, balancer.floating_ip_id) if balancer.floating_ip_id else None
    if floating is not None and floating.state == ACTIVE:
        addresses.append(floating.address)
    backends = [p for p in balancing.backends_of(session, balancer) if p.plugged and p.state != TRASHED]
    return BalancerSpec(
        id=balancer.id,
        name=balancer.name,
        network_ids=networks,
        router_ids=(router.id,) if router else (),
        listeners=tuple(
            _listener(session, row, tuple(addresses), backends) for row in balancing.listeners_of(session, balancer.id)
        ),
    )


def _listener(
    session: Session, row: Listener, addresses: tuple[str, ...], ports: list[Port]
) -> ListenerSpec:
    version = ipaddress.ip_address(addresses[0]).version
    backends = []
    for port in ports:
        for subnet_id, address in look.places_of(session, port):
            if ipaddress.ip_address(address).version == version:
                probe = balancing.probe_of(session, subnet_id) if row.check_seconds else None
                backends.append(BackendSpec(port.id, address, row.member_port, probe))
                break
    return ListenerSpec(
        id=row.id,
        protocol="udp" if row.protocol == "udp" else "tcp",
        addresses=addresses,
        port=row.port,
        backends=tuple(backends),
        affinity=row.affinity_seconds,
        check=CheckSpec(row.check_seconds, row.check_timeout, row.check_failures) if row.check_seconds else None,
    )
