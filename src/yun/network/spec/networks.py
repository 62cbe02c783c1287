"""Networks and subnets → what the network engine is told."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy.orm import Session

from yun.drivers.network.port import NetworkSpec, SubnetSpec
from yun.network.model import ACTIVE, Network, Subnet
from yun.network.service import look
from yun.network.service.records import answers


def network_spec(session: Session, network_id: str) -> NetworkSpec | None:
    """What the engine should have of a network; None: nothing."""
    network = session.get(Network, network_id)
    if network is None or network.state != ACTIVE:
        return None
    subnets = look.subnets_of(session, network_id)
    return NetworkSpec(
        id=network.id,
        name=network.name,
        subnets=tuple(subnet_spec(s, network) for s in subnets),
        physical=network.physical,
        vlan=network.vlan,
        domain=network.domain,
        dns_records=answers(session, network, subnets),
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
        domain=subnet.domain or network.domain,
        dhcp=subnet.dhcp,
        ntp_servers=tuple(subnet.ntp_servers),
        routes=tuple((r["destination"], r["nexthop"]) for r in subnet.routes),
        ipv6_mode=cast(Any, subnet.ipv6_mode),
    )
