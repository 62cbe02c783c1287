"""What rules let through, as spans of numbers: ports of TCP and UDP, types and codes of ICMP."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from yun.network.service.reach.facts import GroupFact, Picture, PortFact, RuleFact

PROTOCOLS = ("tcp", "udp", "icmp", "other")
TOP = 65535
ANYBODY = ""
"""The other side where the question names no address: whoever it may be."""


class Span(NamedTuple):
    """What one rule lets through of a protocol, both ends included; ICMP counts ``type * 256 + code``. Without a rule
    nothing filters."""

    low: int
    high: int
    rule: RuleFact | None
    stateless: bool = False


Spans = dict[str, list[Span]]
ALL: Spans = {protocol: [Span(0, TOP, None)] for protocol in PROTOCOLS}


@lru_cache(maxsize=20_000)
def network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """A range of addresses."""
    return ipaddress.ip_network(text, strict=False)


@lru_cache(maxsize=20_000)
def address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """One address."""
    return ipaddress.ip_address(text)


def family_of(text: str) -> str:
    """``ipv4`` or ``ipv6``."""
    return "ipv6" if ":" in text else "ipv4"


def concerns(picture: Picture, rule: RuleFact, other: str) -> bool:
    """Whether the rule's other side includes an address (or, for `ANYBODY`, everybody)."""
    if rule.remote_group_id:
        return other in picture.members.get(rule.remote_group_id, frozenset())
    if not rule.ranges:
        return rule.remote_set_id is None  # an empty set is nobody
    if other == ANYBODY:
        return any(network(r).prefixlen == 0 for r in rule.ranges)
    found = address(other)
    return any(found in network(r) for r in rule.ranges)


def parts(rule: RuleFact, *, stateless: bool = False) -> Iterator[tuple[str, Span]]:
    """What a rule lets through, by protocol."""
    if rule.protocol == "any":
        for protocol in PROTOCOLS:
            yield protocol, Span(0, TOP, rule, stateless)
    elif rule.protocol == "icmp":
        kind, code = rule.icmp_type, rule.icmp_code
        low = 0 if kind is None else kind * 256 + (code or 0)
        high = TOP if kind is None else kind * 256 + (255 if code is None else code)
        yield "icmp", Span(low, high, rule, stateless)
    else:
        low = 0 if rule.port_min is None else rule.port_min
        high = TOP if rule.port_max is None else rule.port_max
        yield rule.protocol, Span(low, high, rule, stateless)


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same without what is covered already: in order, none over another."""
    out: list[Span] = []
    end = -1
    for span in sorted(spans, key=lambda s: (s.low, -s.high)):
        if span.high > end:
            out.append(span._replace(low=max(span.low, end + 1)))
            end = span.high
    return out


def joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans without their rules, neighbours made one."""
    out: list[tuple[int, int]] = []
    for low, high in sorted(spans):
        if out and low <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], high))
        else:
            out.append((low, high))
    return out


def minus(these: list[tuple[int, int]], those: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What of ``these`` is not in ``those``; both joined."""
    out: list[tuple[int, int]] = []
    for first, high in these:
        low = first
        for start, end in those:
            if end < low or start > high:
                continue
            if start > low:
                out.append((low, start - 1))
            low = end + 1
            if low > high:
                break
        if low <= high:
            out.append((low, high))
    return out


def cover(spans: Iterable[Span], low: int, high: int) -> list[Span]:
    """Those parts of spans that lie from ``low`` to ``high``."""
    return [s._replace(low=max(s.low, low), high=min(s.high, high)) for s in spans if s.low <= high and s.high >= low]


def let_through(picture: Picture, port: PortFact, direction: str, family: str, other: str) -> Spans:
    """What a port's groups let through in a direction, to or from an address."""
    if not port.filtered:
        return ALL
    return of_groups(picture, picture.groups_of(port), direction, family, other)


def of_groups(
    picture: Picture, groups: Iterable[GroupFact], direction: str, family: str, other: str
) -> Spans:
    """What groups let through in a direction, to or from an address."""
    found: Spans = {protocol: [] for protocol in PROTOCOLS}
    # A stateless rule is asked first: what it lets through is not followed.
    for group in sorted(groups, key=lambda g: (not g.stateless, g.name)):
        for rule in group.rules:
            if rule.direction == direction and rule.family == family and concerns(picture, rule, other):
                for protocol, span in parts(rule, stateless=group.stateless):
                    found[protocol].append(span)
    return {protocol: merged(spans) for protocol, spans in found.items()}
