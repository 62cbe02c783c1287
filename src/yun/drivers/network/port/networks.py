"""What the engine is told of networks, subnets and ports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class SubnetSpec:
    """A subnet and what its guests are told. ``dhcp``: they are told anything at all; ``ipv6_mode`` says how an IPv6
    one gives addresses out. ``routes`` are (prefix, next hop), IPv4 only, as are ``ntp_servers``."""

    id: str
    cidr: str
    gateway: str | None
    dns_servers: tuple[str, ...] = ()
    mtu: int = 1442
    lease_seconds: int = 3600
    domain: str = ""
    dhcp: bool = True
    ntp_servers: tuple[str, ...] = ()
    routes: tuple[tuple[str, str], ...] = ()
    ipv6_mode: Literal["", "slaac", "dhcpv6-stateful", "dhcpv6-stateless"] = ""


@dataclass(frozen=True)
class NetworkSpec:
    """A logical switch with its subnets; ``physical`` names a bridge mapping for an external network. ``domain`` is
    where its ports have names; ``dns_records`` are names of its own, each with its addresses between spaces."""

    id: str
    name: str
    subnets: tuple[SubnetSpec, ...] = ()
    physical: str | None = None
    vlan: int | None = None
    dns_records: Mapping[str, str] = field(default_factory=dict)
    domain: str = ""


@dataclass(frozen=True)
class RateSpec:
    """A limit: ``kbps`` in kbit/s, and how much may pass at once beyond it, ``burst`` in kbit."""

    kbps: int
    burst: int


@dataclass(frozen=True)
class PortSpec:
    """A machine's logical port. ``uuid`` is what libvirt writes as interfaceid; ``addresses`` may be empty.

    ``pairs`` are further senders that may speak through it, as (MAC, range), the MAC empty for its own. ``ingress``
    and ``egress`` limit what comes to the machine and what it sends; ``dscp`` marks what it sends. One that
    ``passes_on`` what others send may write any sender on it, from its own MACs; no group filters it.
    """

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
    pairs: tuple[tuple[str, str], ...] = ()
    ingress: RateSpec | None = None
    egress: RateSpec | None = None
    dscp: int | None = None
    passes_on: bool = False
