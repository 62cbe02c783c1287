"""Rows → what the drivers are told: specs of the network engine, and the card of a virtual machine."""

from __future__ import annotations

import ipaddress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.drivers.hypervisor.port import NicSpec
from yun.drivers.network.port import (
    GroupSpec,
    NatSpec,
    NetworkSpec,
    PortSpec,
    RouterInterfaceSpec,
    RouterSpec,
    RuleSpec,
    SubnetSpec,
)
from yun.hosts.model import Host
from yun.network.model import (
    ACTIVE,
    TRASHED,
    FloatingIp,
    Network,
    Port,
    Router,
    RouterInterface,
    SecurityGroup,
    SecurityRule,
    Subnet,
)
from yun.network.service import look


def nic_of(port: Port, network: Network, host: Host) -> NicSpec:
    """The virtual card of a port on a host; packets keep their checksums off where Open vSwitch runs in userspace."""
    return NicSpec(
        mac=port.mac, port_uuid=port.uuid, mtu=network.mtu, model=port.model, link_up=port.link_up,
        host_checksum_offload=host.datapath != "netdev",
    )


def network_spec(session: Session, network_id: str) -> NetworkSpec | None:
    """What the engine should have of a network; None: nothing."""
    network = session.get(Network, network_id)
    if network is None or network.state != ACTIVE:
        return None
    return NetworkSpec(
        id=network.id,
        name=network.name,
        subnets=tuple(subnet_spec(s, network) for s in look.subnets_of(session, network_id)),
        physical=network.physical,
        vlan=network.vlan,
    )


def subnet_spec(subnet: Subnet, network: Network) -> SubnetSpec:
    """A subnet as the engine is told."""
    return SubnetSpec(
        id=subnet.id,
        cidr=subnet.cidr,
        gateway=subnet.gateway,
        dns_servers=tuple(subnet.dns_servers),
        mtu=network.mtu,
        lease_seconds=subnet.lease_seconds,
        domain=subnet.domain,
        dhcp=subnet.dhcp,
    )


def port_spec(session: Session, port_id: str) -> PortSpec | None:
    """What the engine should have of a port; None: nothing (not plugged, in the trash, gone)."""
    port = session.get(Port, port_id)
    if port is None or not port.plugged or port.state == TRASHED:
        return None
    host = session.get(Host, port.host_id) if port.host_id else None
    return PortSpec(
        id=port.id,
        uuid=port.uuid,
        network_id=port.network_id,
        mac=port.mac,
        addresses=(port.address,),
        subnet_ids=(port.subnet_id,),
        groups=tuple(g.id for g in look.groups_of(session, port.id) if g.state == ACTIVE),
        port_security=port.port_security,
        host=host.name if host else None,
        hostname=port.hostname,
    )


def group_spec(session: Session, group_id: str) -> GroupSpec | None:
    """What the engine should have of a security group; None: nothing."""
    group = session.get(SecurityGroup, group_id)
    if group is None or group.state != ACTIVE:
        return None
    return GroupSpec(group.id, group.name, tuple(rule_spec(r) for r in look.rules_of(session, group_id)))


def rule_spec(rule: SecurityRule) -> RuleSpec:
    """A rule as the engine is told."""
    remote = f"group:{rule.remote_group_id}" if rule.remote_group_id else rule.remote_cidr
    words: dict[str, Any] = {"direction": rule.direction, "family": rule.family, "protocol": rule.protocol}
    return RuleSpec(
        **words,
        port_min=rule.port_min,
        port_max=rule.port_max,
        icmp_type=rule.icmp_type,
        icmp_code=rule.icmp_code,
        remote=remote,
    )


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
        interfaces=tuple(_leg(leg) for leg in inner),
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
