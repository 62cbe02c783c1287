"""Rules, spans and traffic in the words that people use for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from yun.base.messages import Message, _
from yun.network.model import SecurityRule
from yun.network.service.reach.facts import Picture, RuleFact
from yun.network.service.reach.spans import TOP

MOST_NAMES = 10
PING = (8 * 256, 8 * 256)


def say(rule: SecurityRule | RuleFact, names: Mapping[str, str] | None = None) -> Message:
    """A rule in words; ``names`` are those of groups and sets by id."""
    protocol = {"any": _("everything"), "icmp": "ICMP", "tcp": "TCP", "udp": "UDP"}[rule.protocol]
    ports = ""
    if rule.port_min is not None:
        ports = f" {rule.port_min}" if rule.port_min == rule.port_max else f" {rule.port_min}-{rule.port_max}"
    elif rule.icmp_type is not None:
        ports = f" {rule.icmp_type}" if rule.icmp_code is None else f" {rule.icmp_type}/{rule.icmp_code}"
    if rule.direction == "ingress":
        return _("{protocol}{ports} from {other}", protocol=protocol, ports=ports, other=other_side(rule, names))
    return _("{protocol}{ports} to {other}", protocol=protocol, ports=ports, other=other_side(rule, names))


def other_side(rule: SecurityRule | RuleFact, names: Mapping[str, str] | None = None) -> object:
    """The other side of a rule in words."""
    if rule.remote_group_id:
        name = (names or {}).get(rule.remote_group_id)
        return _("ports of group {group}", group=name) if name else _("ports of a security group")
    if rule.remote_set_id:
        return _("the address set {set}", set=(names or {}).get(rule.remote_set_id, rule.remote_set_id))
    return rule.remote_cidr or _("anybody")


def say_in(picture: Picture, rule: RuleFact) -> Message:
    """A rule in words, with the names that the picture knows."""
    other = rule.remote_group_id or rule.remote_set_id
    return say(rule, {other: picture.name_of_group(other)} if other else {})


def traffic(protocol: str, low: int, high: int) -> str | Message:
    """A span of a protocol in words."""
    if protocol == "other":
        return _("other protocols")
    if protocol != "icmp":
        name = protocol.upper()
        whole = low <= 1 and high == TOP
        return name if whole else f"{name} {low}" if low == high else f"{name} {low}-{high}"
    if (low, high) == (0, TOP):
        return "ICMP"
    if low <= PING[0] and high >= PING[1] and high // 256 == low // 256:
        return _("ping")
    first, last = f"{low // 256}/{low % 256}", f"{high // 256}/{high % 256}"
    if low % 256 == 0 and high % 256 == 255:
        first, last = str(low // 256), str(high // 256)
    return f"ICMP {first}" if first == last else f"ICMP {first}-{last}"


def listed(parts: Iterable[object], most: int = MOST_NAMES) -> Message:
    """Several things in one text: up to ``most``, then how many more."""
    everything = list(parts)
    shown, more = everything[:most], len(everything) - most
    out = _("{first}", first=shown[0]) if shown else _("nothing")
    for part in shown[1:]:
        out = _("{first}, {more}", first=out, more=part)
    return _("{first} and {count} more", first=out, count=more) if more > 0 else out
