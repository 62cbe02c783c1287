"""What the engine is told of routers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from yun.drivers.network.port.chains import ChainSpec


@dataclass(frozen=True)
class AdvertisementSpec:
    """What a leg tells IPv6 guests: how they get addresses, the packet size, a name server and a domain."""

    mode: Literal["slaac", "dhcpv6-stateful", "dhcpv6-stateless"]
    mtu: int = 1442
    dns_server: str = ""
    domain: str = ""


@dataclass(frozen=True)
class RouterInterfaceSpec:
    """A leg of a router: address with prefix length (``10.0.0.1/24``) in a network."""

    id: str
    network_id: str
    mac: str
    address: str
    advertises: AdvertisementSpec | None = None


@dataclass(frozen=True)
class NatSpec:
    """``snat`` of a range to one address, or ``dnat_and_snat`` (floating IP) of one address to one."""

    kind: Literal["snat", "dnat_and_snat"]
    external: str
    internal: str


@dataclass(frozen=True)
class ForwardSpec:
    """One port of an outside IPv4 address, led to a port of an inner one."""

    protocol: Literal["tcp", "udp"]
    external: str
    external_port: int
    internal: str
    internal_port: int


@dataclass(frozen=True)
class PeerSpec:
    """A leg that ends at another router's leg instead of a network: ``id`` is this one's, ``peer`` the other's.

    ``addresses`` with prefix length, one for each family, ``next_hops`` are the other's by family (4, 6). What comes
    in passes only from ``remote`` to ``local`` ranges; ``remote`` ranges are routed there.
    """

    id: str
    peer: str
    addresses: tuple[str, ...]
    next_hops: Mapping[int, str]
    local: tuple[str, ...]
    remote: tuple[str, ...]


@dataclass(frozen=True)
class RouterSpec:
    """A logical router: inner legs, at most one outside leg, routes (prefix → next hop), NAT, forwarded ports, legs to
    other routers, service chains, and the chassis (host name) that carries the outside leg."""

    id: str
    name: str
    interfaces: tuple[RouterInterfaceSpec, ...] = ()
    external: RouterInterfaceSpec | None = None
    routes: Mapping[str, str] = field(default_factory=dict)
    nat: tuple[NatSpec, ...] = ()
    gateway_chassis: str | None = None
    forwards: tuple[ForwardSpec, ...] = ()
    peers: tuple[PeerSpec, ...] = ()
    chains: tuple[ChainSpec, ...] = ()
