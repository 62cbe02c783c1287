"""Who can be reached by whom, by port: as it is, and what a change takes or gives. Pure, over two pictures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from yun.base.messages import Message, _
from yun.network.service.reach.facts import Picture, PortFact, RuleFact
from yun.network.service.reach.spans import PROTOCOLS, TOP, joined, minus, network, parts
from yun.network.service.reach.ways import End, exit_of, gateway_of
from yun.network.service.reach.words import listed, traffic

ANY_RANGE = {"ipv4": "0.0.0.0/0", "ipv6": "::/0"}
MOST_SENTENCES = 12
Numbers = list[tuple[int, int]]


class Side(NamedTuple):
    """The other side of what is let through: direction, family, and a range or ``group:ID``."""

    direction: str
    family: str
    remote: str


Doors = dict[Side, dict[str, Numbers]]


@dataclass(frozen=True)
class Change:
    """What a port gains or loses, in words."""

    gained: bool
    text: Message


def doors(picture: Picture, port: PortFact) -> Doors:
    """What a port's groups let through, by other side; a side that adds nothing to a wider one is left out."""
    if not port.filtered:
        whole: dict[str, Numbers] = {p: [(0, TOP)] for p in PROTOCOLS}
        return {Side(d, f, ANY_RANGE[f]): dict(whole) for d in ("ingress", "egress") for f in ANY_RANGE}
    return doors_of(r for g in picture.groups_of(port) for r in g.rules)


def doors_of(rules: Iterable[RuleFact]) -> Doors:
    """What rules let through, by other side."""
    found: dict[Side, dict[str, Numbers]] = {}
    for rule in rules:
        for other in _others(rule):
            door = found.setdefault(Side(rule.direction, rule.family, other), {})
            for protocol, span in parts(rule):
                door.setdefault(protocol, []).append((span.low, span.high))
    whole = {side: {p: joined(n) for p, n in door.items()} for side, door in found.items()}
    return {side: door for side, door in whole.items() if _adds(side, door, whole)}


def _others(rule: RuleFact) -> Iterable[str]:
    if rule.remote_group_id:
        return (f"group:{rule.remote_group_id}",)
    return rule.ranges if rule.ranges or rule.remote_set_id else (ANY_RANGE[rule.family],)


def _adds(side: Side, door: dict[str, Numbers], whole: Doors) -> bool:
    wider = [d for s, d in whole.items() if s != side and _within(side, s)]
    return any(_beyond(numbers, [w.get(p, []) for w in wider]) for p, numbers in door.items())


def _beyond(numbers: Numbers, others: list[Numbers]) -> Numbers:
    for other in others:
        numbers = minus(numbers, other)
    return numbers


def _within(side: Side, other: Side) -> bool:
    """Whether everything of a side is of another one too."""
    if side[:2] != other[:2] or other.remote.startswith("group:"):
        return False
    if side.remote.startswith("group:"):
        return network(other.remote).prefixlen == 0
    return network(side.remote).subnet_of(network(other.remote))  # type: ignore[arg-type]


def ways(picture: Picture, port: PortFact) -> dict[tuple[str, str], Message]:
    """Where a port's packets can go at all: other subnets through routers, out of the cloud, in from outside."""
    found: dict[tuple[str, str], Message] = {}
    for subnet_id, own in port.places:
        router = gateway_of(picture, subnet_id)
        for leg in router.legs if router else ():
            subnet = picture.subnets.get(leg.subnet_id)
            if not leg.external and subnet is not None and leg.subnet_id != subnet_id:
                found["subnet", subnet.cidr] = _("the way to {cidr}", cidr=subnet.cidr)
        for cidr, _hop in router.routes if router else ():
            found["subnet", cidr] = _("the way to {cidr}", cidr=cidr)
        end = End(own, port, subnet_id)
        left = exit_of(picture, end)
        if isinstance(left, tuple):
            found["out", ""] = _("the way out of the cloud")
        outer = router.outside if router else None
        for outside in picture.outside.get(port.id, ()):
            if outer is not None and outer.network_id == outside.network_id and own == port.addresses[0]:
                found["in", outside.address] = _("the way in by {address}", address=outside.address)
    return found


def difference(before: Picture, after: Picture) -> tuple[Message, ...]:
    """Which machines gain or lose what between two pictures of the same ports, most important first: losses. A port
    that only one picture has is not told."""
    told: dict[tuple[bool, str], tuple[Change, list[PortFact]]] = {}
    known: dict[tuple[object, ...], list[Change]] = {}
    for identifier in before.ports.keys() & after.ports.keys():
        old, new = before.ports[identifier], after.ports[identifier]
        alike = (old.filtered, old.groups, new.filtered, new.groups)  # ports of the same groups have the same to tell
        if alike not in known:
            known[alike] = list(_doors_changed(before, old, after, new))
        for change in (*_ways_changed(before, old, after, new), *known[alike]):
            told.setdefault((change.gained, change.text.render()), (change, []))[1].append(new)
    out: list[Message] = []
    whose = [(change, len(ports), sorted({p.name for p in ports})) for change, ports in told.values()]
    for change, _count, names in sorted(whose, key=lambda c: (c[0].gained, -c[1], c[2], c[0].text.render())):
        words = {"names": listed(names), "what": change.text}
        gained, lost = _("Gained by {names}: {what}.", **words), _("Lost by {names}: {what}.", **words)
        out.append(gained if change.gained else lost)
    if len(out) > MOST_SENTENCES:
        more = len(out) - MOST_SENTENCES
        out = [*out[:MOST_SENTENCES], _("And {count} further changes of reachability.", count=more)]
    return tuple(out)


def _ways_changed(before: Picture, old: PortFact, after: Picture, new: PortFact) -> Iterable[Change]:
    if before.routers is after.routers and before.outside is after.outside and old.places == new.places:
        return
    was, now = ways(before, old), ways(after, new)
    yield from (Change(False, text) for key, text in was.items() if key not in now)
    yield from (Change(True, text) for key, text in now.items() if key not in was)


def _doors_changed(before: Picture, old: PortFact, after: Picture, new: PortFact) -> Iterable[Change]:
    was, now = doors(before, old), doors(after, new)
    for side in sorted({*was, *now}):
        for gained, mine, other in ((False, was, now), (True, now, was)):
            # Wider sides of the other picture cover it too: a rule for a range changes nothing beside one for anybody.
            covering = [d for s, d in other.items() if s == side or _within(side, s)]
            lost = {
                p: left for p, numbers in mine.get(side, {}).items()
                if (left := _beyond(numbers, [d.get(p, []) for d in covering]))
            }  # fmt: skip
            if lost:
                yield Change(gained, said(after if gained else before, side, lost))


def spans_said(door: dict[str, Numbers]) -> Message | str:
    """What is let through, in words."""
    if all(door.get(p) == [(0, TOP)] for p in PROTOCOLS):
        return _("everything")
    return listed([traffic(p, low, high) for p in PROTOCOLS for low, high in door.get(p, [])])


def side_said(picture: Picture, side: Side) -> object:
    """The other side in words."""
    if side.remote == ANY_RANGE[side.family]:
        return _("anybody") if side.family == "ipv4" else _("anybody by IPv6")
    if side.remote.startswith("group:"):
        name = picture.name_of_group(side.remote[6:])
        known = _("ports of group {group}", group=name)
        return known if side.family == "ipv4" else _("ports of group {group} by IPv6", group=name)
    return side.remote.removesuffix("/32" if side.family == "ipv4" else "/128")


def said(picture: Picture, side: Side, door: dict[str, Numbers]) -> Message:
    """What is let through to or from whom."""
    words = {"traffic": spans_said(door), "other": side_said(picture, side)}
    if side.direction == "ingress":
        return _("{traffic} from {other}", **words)
    return _("{traffic} to {other}", **words)
