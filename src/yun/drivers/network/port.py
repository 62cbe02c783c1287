"""What the house asks of the network engine; one object serves the whole cloud (OVN's northbound database).

Every thing is named by its id of ours, kept in ``external_ids``, so repeating a call finds what is there: "make it
so". One call is one transaction. Rows of strangers are never touched. All methods may raise `DriverError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol


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


@dataclass(frozen=True)
class RouterInterfaceSpec:
    """A leg of a router: address with prefix length (``10.0.0.1/24``) in a network."""

    id: str
    network_id: str
    mac: str
    address: str


@dataclass(frozen=True)
class NatSpec:
    """``snat`` of a range to one address, or ``dnat_and_snat`` (floating IP) of one address to one."""

    kind: Literal["snat", "dnat_and_snat"]
    external: str
    internal: str


@dataclass(frozen=True)
class RouterSpec:
    """A logical router: inner legs, at most one outside leg, routes (prefix → next hop), NAT, and the chassis
    (host name) that carries the outside leg."""

    id: str
    name: str
    interfaces: tuple[RouterInterfaceSpec, ...] = ()
    external: RouterInterfaceSpec | None = None
    routes: Mapping[str, str] = field(default_factory=dict)
    nat: tuple[NatSpec, ...] = ()
    gateway_chassis: str | None = None


@dataclass(frozen=True)
class RuleSpec:
    """One stateful allow rule. ``remote`` is a CIDR, or ``group:<id>``; ports are inclusive."""

    direction: Literal["ingress", "egress"]
    family: Literal["ipv4", "ipv6"] = "ipv4"
    protocol: Literal["any", "tcp", "udp", "icmp"] = "any"
    port_min: int | None = None
    port_max: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    remote: str | None = None


@dataclass(frozen=True)
class GroupSpec:
    """A security group: what is not allowed by a rule is dropped."""

    id: str
    name: str
    rules: tuple[RuleSpec, ...] = ()


class NetworkEngine(Protocol):
    """The logical side of all networks."""

    def own(self, cloud: str) -> None:
        """From now on what is made carries the mark of ``cloud`` (its id), and what carries another's mark is a
        stranger's: not found, not listed, not removed. What carries no mark is found by its id and marked when it is
        applied. An engine that was never told counts everything that any Yun made as its own."""
        ...

    def alive(self) -> str:
        """The engine's version; `DriverError` where it does not answer."""
        ...

    def apply_network(self, spec: NetworkSpec) -> None:
        """Switch, DHCP options and DNS records are as in ``spec``; ports of the network stay."""
        ...

    def remove_network(self, network_id: str) -> None:
        """Switch, its ports, DHCP options and DNS records are gone."""
        ...

    def apply_router(self, spec: RouterSpec) -> None:
        """Router, legs, routes and NAT are exactly as in ``spec``."""
        ...

    def remove_router(self, router_id: str) -> None:
        """Router and all its legs are gone."""
        ...

    def apply_group(self, spec: GroupSpec) -> None:
        """Port group and ACLs are exactly as in ``spec``; its ports stay."""
        ...

    def remove_group(self, group_id: str) -> None:
        """Port group and ACLs are gone."""
        ...

    def apply_port(self, spec: PortSpec) -> None:
        """The logical port exists as in ``spec`` and is in exactly its groups."""
        ...

    def remove_port(self, port_id: str) -> None:
        """The logical port is gone, also from its groups."""
        ...

    def ports_up(self, port_ids: Sequence[str]) -> dict[str, bool]:
        """Whether each port is bound to a chassis and wired; missing ports are left out."""
        ...

    def inventory(self) -> dict[str, set[str]]:
        """Ids of ours that the engine has: ``{'network': …, 'router': …, 'group': …, 'port': …}``; after `own` only of
        what carries our mark."""
        ...

    def subscribe(self, nudge: Callable[[str], None]) -> None:
        """Call ``nudge(port_id)`` when a port of ours went up or down, ``nudge('')`` after a reconnection."""
        ...

    def close(self) -> None:
        """Let the connection go; networks stay as they are."""
        ...
