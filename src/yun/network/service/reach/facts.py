"""What the judge of reachability knows: plain values, so that it can be asked about what is and about what would be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from yun.network.model import SecurityRule


@dataclass(frozen=True)
class RuleFact:
    """A rule by what it allows. ``ranges`` is the other side as networks, those of a set where ``remote_set_id`` names
    one, ``remote_group_id`` as a group; none is anybody."""

    id: str
    group_id: str
    direction: str
    family: str
    protocol: str
    port_min: int | None = None
    port_max: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    ranges: tuple[str, ...] = ()
    remote_group_id: str | None = None
    remote_set_id: str | None = None

    @property
    def remote_cidr(self) -> str | None:
        """The other side's ranges as one text."""
        return ", ".join(self.ranges) or None


@dataclass(frozen=True)
class GroupFact:
    """A security group with its rules; the replies to what a stateless one allows need rules of their own."""

    id: str
    name: str
    rules: tuple[RuleFact, ...] = ()
    stateless: bool = False
    is_default: bool = False


@dataclass(frozen=True)
class PortFact:
    """A port. ``places`` are its addresses as (subnet, address); ``filtered`` tells whether its groups count at all;
    ``up`` whether it is wired now; ``passing`` whether it passes on what others send for a service chain."""

    id: str
    name: str
    project_id: str
    network_id: str
    places: tuple[tuple[str, str], ...]
    groups: frozenset[str] = frozenset()
    filtered: bool = True
    link_up: bool = True
    up: bool = True
    instance_id: str | None = None
    passing: bool = False

    @property
    def addresses(self) -> tuple[str, ...]:
        """All its addresses, the first one first."""
        return tuple(address for _subnet, address in self.places)


@dataclass(frozen=True)
class SubnetFact:
    """A subnet; its machines send what is not for it to ``gateway``."""

    id: str
    network_id: str
    cidr: str
    gateway: str | None


@dataclass(frozen=True)
class NetworkFact:
    """A network; ``physical`` tells whether it is one with a network outside of the cloud."""

    id: str
    name: str
    external: bool = False
    physical: bool = False


@dataclass(frozen=True)
class LegFact:
    """A leg of a router: its own address in a subnet, without prefix."""

    subnet_id: str
    network_id: str
    address: str
    external: bool = False


@dataclass(frozen=True)
class PeerFact:
    """A peering of a router as it sees it: what is its own, what the other's, and whose that router is."""

    id: str
    name: str
    local: tuple[str, ...]
    remote: tuple[str, ...]
    router_id: str


@dataclass(frozen=True)
class ChainFact:
    """A service chain of a router: what goes between ``subnet_id`` and elsewhere passes its hops, by name; machines in
    the subnet ``inside`` are reached without them. ``down`` are those that do not run: while there are any, nothing
    passes where it ``blocks``. It is for a protocol and ports, or for everything."""

    id: str
    name: str
    subnet_id: str
    inside: str = ""
    hops: tuple[str, ...] = ()
    down: tuple[str, ...] = ()
    blocks: bool = True
    protocol: str | None = None
    low: int = 0
    high: int = 65535

    def concerns(self, protocol: str, low: int, high: int) -> bool:
        """Whether any of these ports of a protocol goes through it."""
        return self.protocol is None or (self.protocol == protocol and self.low <= high and low <= self.high)


@dataclass(frozen=True)
class ForwarderFact:
    """A machine to which static routes lead at ``address`` in a network. ``arms`` are its cards by subnet, each with
    the ranges of others for which it may speak; None: for anybody."""

    id: str
    name: str
    address: str
    network_id: str
    up: bool = True
    arms: tuple[tuple[str, tuple[str, ...] | None], ...] = ()


@dataclass(frozen=True)
class RouterFact:
    """A router with its legs, its static routes as (range, next hop), its peerings and service chains."""

    id: str
    name: str
    snat: bool = True
    legs: tuple[LegFact, ...] = ()
    routes: tuple[tuple[str, str], ...] = ()
    peers: tuple[PeerFact, ...] = ()
    chains: tuple[ChainFact, ...] = ()

    @property
    def outside(self) -> LegFact | None:
        """Its way out."""
        return next((leg for leg in self.legs if leg.external), None)

    def leg_in(self, subnet_id: str) -> LegFact | None:
        """Its inner leg in a subnet."""
        return next((leg for leg in self.legs if leg.subnet_id == subnet_id and not leg.external), None)


@dataclass(frozen=True)
class OutsideFact:
    """An outside address that leads to a port: all of it, or one port of a protocol (``low`` to ``high``), which
    becomes ``inner`` and those after it, at ``inner_address`` (else at the port's first address)."""

    id: str
    address: str
    network_id: str
    kind: str = "floating_ip"
    protocol: str | None = None
    low: int = 0
    high: int = 65535
    inner: int = 0
    inner_address: str = ""


@dataclass(frozen=True)
class BalancerFact:
    """A load balancer: its inner address, the networks in which that counts, the floating IP in front of it with its
    network (``""``: none), and its listeners as (protocol, port, its members' port)."""

    id: str
    name: str
    address: str
    network_ids: frozenset[str]
    floating: str = ""
    floating_network: str = ""
    listeners: tuple[tuple[str, int, int], ...] = ()

    def doors(self, address: str) -> tuple[OutsideFact, ...]:
        """Its listeners as what leads to a member."""
        return tuple(
            OutsideFact(self.id, address, self.floating_network, "load_balancer", protocol, port, port, inner)
            for protocol, port, inner in self.listeners
        )


@dataclass(frozen=True)
class Picture:
    """A part of the cloud. ``outside`` is by port; ``members`` are the addresses of groups that rules name, as far as
    the question needs them; ``names`` are names of address sets, and of groups that are
    not in ``groups``; ``forwarders`` are the machines to which static routes lead, by address."""

    ports: Mapping[str, PortFact] = field(default_factory=dict)
    groups: Mapping[str, GroupFact] = field(default_factory=dict)
    subnets: Mapping[str, SubnetFact] = field(default_factory=dict)
    networks: Mapping[str, NetworkFact] = field(default_factory=dict)
    routers: Mapping[str, RouterFact] = field(default_factory=dict)
    outside: Mapping[str, tuple[OutsideFact, ...]] = field(default_factory=dict)
    members: Mapping[str, frozenset[str]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    forwarders: Mapping[str, tuple[ForwarderFact, ...]] = field(default_factory=dict)

    def groups_of(self, port: PortFact) -> list[GroupFact]:
        """The port's groups, by name."""
        return sorted((self.groups[g] for g in port.groups if g in self.groups), key=lambda g: g.name)

    def name_of_group(self, identifier: str) -> str:
        """What people call a group or an address set."""
        found = self.groups.get(identifier)
        return found.name if found else self.names.get(identifier, identifier)

    def with_group(self, group: GroupFact) -> Picture:
        """The same with the group so."""
        return replace(self, groups={**self.groups, group.id: group})

    def with_rule(self, rule: RuleFact) -> Picture:
        """The same with one more rule; one of the same id is replaced."""
        group = self.groups[rule.group_id]
        kept = tuple(r for r in group.rules if r.id != rule.id)
        return self.with_group(replace(group, rules=(*kept, rule)))

    def without_rule(self, group_id: str, rule_id: str) -> Picture:
        """The same without a rule."""
        group = self.groups[group_id]
        return self.with_group(replace(group, rules=tuple(r for r in group.rules if r.id != rule_id)))

    def with_port(self, port: PortFact) -> Picture:
        """The same with the port so."""
        return replace(self, ports={**self.ports, port.id: port})

    def with_router(self, router: RouterFact) -> Picture:
        """The same with the router so."""
        return replace(self, routers={**self.routers, router.id: router})

    def without_router(self, router_id: str) -> Picture:
        """The same without a router."""
        return replace(self, routers={k: v for k, v in self.routers.items() if k != router_id})


def rule_fact(row: SecurityRule, ranges: Iterable[str] | None = None) -> RuleFact:
    """A rule's row, planned or there, by what it allows; ``ranges`` are those of the set that it names."""
    if ranges is None:
        ranges = (row.remote_cidr,) if row.remote_cidr else ()
    mine = tuple(r for r in ranges if (":" in r) == (row.family == "ipv6"))
    return RuleFact(
        row.id, row.group_id, row.direction, row.family, row.protocol, row.port_min, row.port_max, row.icmp_type,
        row.icmp_code, mine, row.remote_group_id, row.remote_set_id,
    )  # fmt: skip
