"""What the engine is told of networks, subnets and ports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class SubnetSpec:
    """An IPv4 or IPv6 subnet served by DHCP: options for its ports."""

    id: str
    cidr: str
    gateway: str | None
    dns_servers: tuple[str, ...] = ()
    mtu: int = 1442
    lease_seconds: int = 3600
    domain: str = ""
    dhcp: bool = True


@dataclass(frozen=True)
class NetworkSpec:
    """A logical switch with its subnets; ``physical`` names a bridge mapping for an external network."""

    id: str
    name: str
    subnets: tuple[SubnetSpec, ...] = ()
    physical: str | None = None
    vlan: int | None = None
    dns_records: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PortSpec:
    """A machine's logical port. ``uuid`` is what libvirt writes as interfaceid; ``addresses`` may be empty."""

    id: str
    uuid: str
    network_id: str
    mac: str
    addresses: tuple[str, ...]
    subnet_ids: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    port_security: bool = True
    host: str | None = None
    enabled: bool = True
    hostname: str = ""
