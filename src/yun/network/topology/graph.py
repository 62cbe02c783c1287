"""What a topology is made of: networks, routers, machines and balancers, and the lines between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

MACHINE, PORT, BALANCER = "machine", "port", "load_balancer"


@dataclass(frozen=True)
class Net:
    """A network. ``machines`` counts all that hang on it, shown or not."""

    id: str
    name: str
    external: bool = False
    shared: bool = False
    ranges: tuple[str, ...] = ()
    machines: int = 0


@dataclass(frozen=True)
class Way:
    """A router. ``address`` is its outside address on the network ``gateway``, by which those behind it speak with
    ``snat``; ``peers`` names its peerings, ``chains`` its service chains: whose
    traffic goes through whom."""

    id: str
    name: str
    snat: bool = True
    gateway: str | None = None
    address: str | None = None
    peers: tuple[str, ...] = ()
    chains: tuple[str, ...] = ()


@dataclass(frozen=True)
class Leg:
    """A router's place in a network, with its addresses there."""

    router_id: str
    network_id: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Plug:
    """A port: it ties a thing to a network. ``rate``: what it receives and sends now, bytes per second; None where it
    is not known."""

    port_id: str
    network_id: str
    addresses: tuple[str, ...]
    up: bool = True
    groups: tuple[str, ...] = ()
    rate: tuple[float, float] | None = None


@dataclass(frozen=True)
class Thing:
    """What hangs on networks: a machine, a port that is no machine's, or a load balancer.

    ``floating`` are the outside addresses that lead here as (id, address), ``forwarded`` those of which single ports do
    as (id, address, ports); ``about`` is what else is to be said of it, ``chains`` the service chains whose hop it is.
    """

    id: str
    kind: str
    name: str
    plugs: tuple[Plug, ...]
    floating: tuple[tuple[str, str], ...] = ()
    about: str = ""
    forwarded: tuple[tuple[str, str, str], ...] = ()
    chains: tuple[str, ...] = ()

    @property
    def outside(self) -> list[tuple[str, str]]:
        """The floating IPs that lead here, whole or by single ports, as (id, text)."""
        return [*self.floating, *((f, f"{address}:{ports}") for f, address, ports in self.forwarded)]

    @property
    def groups(self) -> tuple[str, ...]:
        """The ids of its security groups, each once."""
        return tuple(dict.fromkeys(g for plug in self.plugs for g in plug.groups))

    @property
    def rate(self) -> tuple[float, float] | None:
        """What all its ports receive and send together; None where nothing is known."""
        known = [p.rate for p in self.plugs if p.rate is not None]
        return (sum(r for r, _s in known), sum(s for _r, s in known)) if known else None

    @property
    def up(self) -> bool:
        """Whether any of its ports is."""
        return any(plug.up for plug in self.plugs)


@dataclass(frozen=True)
class Bond:
    """A line between two things: ``member`` (a balancer's) or ``peering`` (of two routers)."""

    kind: str
    source: str
    target: str
    up: bool = True


@dataclass(frozen=True)
class Topology:
    """Everything, in the order in which it is shown. ``groups`` are (id, name); ``idle`` are floating IPs that lead
    nowhere as (id, address, network id). ``networks_left`` and ``routers_left`` count what is not on it."""

    networks: tuple[Net, ...] = ()
    routers: tuple[Way, ...] = ()
    legs: tuple[Leg, ...] = ()
    things: tuple[Thing, ...] = ()
    bonds: tuple[Bond, ...] = ()
    groups: tuple[tuple[str, str], ...] = ()
    idle: tuple[tuple[str, str, str], ...] = ()
    networks_left: int = 0
    routers_left: int = 0
    _index: dict[str, list[Thing]] = field(default_factory=dict, compare=False, repr=False)

    def of_network(self, network_id: str) -> list[Thing]:
        """The things with a port in the network."""
        if not self._index:
            for thing in self.things:
                for network in dict.fromkeys(p.network_id for p in thing.plugs):
                    self._index.setdefault(network, []).append(thing)
        return self._index.get(network_id, [])

    def hidden(self, network: Net) -> int:
        """How many machines of the network are not on it."""
        return max(0, network.machines - sum(t.kind != BALANCER for t in self.of_network(network.id)))

    def routers_of(self, network_id: str) -> Iterator[str]:
        """The routers with a leg in the network, in order."""
        legs = {leg.router_id for leg in self.legs if leg.network_id == network_id}
        return (r.id for r in self.routers if r.id in legs)
