"""What the engine is told of service chains."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ChainHopSpec:
    """A machine that passes traffic on: its address on the inner side, and the id of the router's leg there, and the
    same of the outer side; both sides may be one."""

    inner_leg: str
    inner: str
    outer_leg: str
    outer: str


@dataclass(frozen=True)
class ChainSpec:
    """What comes from ``cidr`` by the leg ``leg`` goes to the first hop's inner side, on from each hop's outer side to
    the next one, and from the last one where the routes lead; what goes to ``cidr`` takes the hops in reverse. The legs
    of its hops are all different.

    ``protocol`` (``tcp``, ``udp``, None: everything) and ``ports`` (first, last) restrict it to connections to these
    ports, in both directions and whoever begins them. Without hops it lets nothing of that through.
    """

    id: str
    leg: str
    cidr: str
    hops: tuple[ChainHopSpec, ...] = ()
    protocol: str | None = None
    ports: tuple[int, int] | None = None
