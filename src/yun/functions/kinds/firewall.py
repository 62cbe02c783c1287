"""Firewalls: rules for what passes between two networks or through one, by nftables. What no rule allows is denied."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from typing import Any

from yun.base.messages import Message, _
from yun.functions import checks
from yun.functions.checks import Place
from yun.functions.kinds import Surroundings

MOST_RULES = 200
ACTIONS = ("allow", "deny")
WAYS = ("any", "in", "out", "self")
PROTOCOLS = ("any", "tcp", "udp", "icmp")
PARTS = ("action", "way", "protocol", "ports", "source", "destination", "note")
WAY_WORDS: dict[str, Message] = {
    "any": _("both ways"),
    "in": _("inwards"),
    "out": _("outwards"),
    "self": _("to the firewall itself"),
}
ACTION_WORDS = (_("allow"), _("deny"))
FIXED = ("established", "default", "self")
"""Counters beside those of rules: connections that stand, what no rule allowed through, and to the firewall itself."""


def check(given: Mapping[str, Any], arms: int) -> dict[str, Any]:
    """As `KindOf.check`."""
    checks.only(given, ("masquerade", "rules"), Place("settings"))
    masquerade = checks.flag(given.get("masquerade"), Place("masquerade"), default=arms > 1)
    if masquerade and arms < 2:
        raise Place("masquerade").wrong(
            _("A firewall with one network hides nothing behind its address."), _("off, or a second network")
        )
    found = checks.rows(given, "rules", MOST_RULES)
    return {
        "masquerade": masquerade, "rules": [_rule(rule, arms, number) for number, rule in enumerate(found, 1)]
    }  # fmt: skip


def _rule(given: Any, arms: int, number: int) -> dict[str, Any]:
    place = Place("rules", number, "rule")
    checks.only(given, PARTS, place)
    protocol = checks.choice(given.get("protocol"), PROTOCOLS, place.at("protocol"))
    way = checks.choice(given.get("way"), WAYS, place.at("way"))
    if way in ("in", "out") and arms < 2:
        raise place.at("way").wrong(
            _("A firewall with one network has no inside and outside."), _("any or self, or a second network")
        )
    ports = checks.ports(given.get("ports"), place.at("ports"))
    if ports and protocol not in ("tcp", "udp"):
        raise place.at("ports").wrong(_("Only TCP and UDP have ports."), _("none, or the protocol tcp or udp"))
    source = checks.cidr(given.get("source"), place.at("source"), empty=True)
    destination = checks.cidr(given.get("destination"), place.at("destination"), empty=True)
    if source and destination and _family(source) != _family(destination):
        raise place.at("destination").wrong(
            _("Source and destination are of two families."), _("a range of the same family")
        )
    note = checks.text(given.get("note"))
    return {
        "action": checks.choice(given.get("action"), ACTIONS, place.at("action")), "way": way, "protocol": protocol,
        "ports": ports, "source": source, "destination": destination,
        "note": checks.name(note, place.at("note")) if note else "",
    }  # fmt: skip


def _family(cidr: str) -> str:
    return "ip6" if ipaddress.ip_network(cidr).version == 6 else "ip"


def say_rule(rule: Mapping[str, Any]) -> Message:
    """A rule in words."""
    named = f"{rule['protocol'].upper()} {rule['ports']}".strip()
    what = _("everything") if rule["protocol"] == "any" else named
    text = _("Allowed, {way}: {what}", way=WAY_WORDS[rule["way"]], what=what)
    if rule["action"] == "deny":
        text = _("Denied, {way}: {what}", way=WAY_WORDS[rule["way"]], what=what)
    if rule["source"]:
        text = _("{rule}, from {source}", rule=text, source=rule["source"])
    if rule["destination"]:
        text = _("{rule}, to {destination}", rule=text, destination=rule["destination"])
    return text


def said(settings: Mapping[str, Any]) -> list[Message]:
    """As `KindOf.said`."""
    hidden = _("What goes out has the firewall's own address.") if settings["masquerade"] else None
    return [
        *(say_rule(rule) for rule in settings["rules"]),
        _("Everything else is denied."),
        *((hidden,) if hidden else ()),
    ]


def files(settings: Mapping[str, Any], around: Surroundings) -> dict[str, str]:
    """As `KindOf.files`. Every word in it was chosen here or read as a number, a range or a port."""
    forward: list[str] = []
    own: list[str] = []
    for number, rule in enumerate(settings["rules"], 1):
        (own if rule["way"] == "self" else forward).append(_line(rule, number))
    nat = ['oifname "eth0" masquerade'] if settings["masquerade"] else []
    chains = {
        "input": (
            "type filter hook input priority filter; policy drop;",
            "ct state established,related accept", 'iifname "lo" accept', "udp dport 68 accept",
            "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept",
            *own, 'counter drop comment "self"',
        ),
        "forward": (
            "type filter hook forward priority filter; policy drop;",
            'ct state established,related counter accept comment "established"', "ct state invalid drop",
            *forward, 'counter drop comment "default"',
        ),
        "postrouting": ("type nat hook postrouting priority srcnat; policy accept;", *nat),
    }  # fmt: skip
    return {"firewall.nft": table(chains)}


def table(chains: Mapping[str, tuple[str, ...]]) -> str:
    """The one table of a function, in place of the one that was there, all at once."""
    body = "".join(f" chain {name} {{\n" + "".join(f"  {line}\n" for line in lines) + " }\n"
                   for name, lines in chains.items())  # fmt: skip
    return f"add table inet function\ndelete table inet function\ntable inet function {{\n{body}}}\n"


def _line(rule: Mapping[str, Any], number: int) -> str:
    words: list[str] = []
    if rule["way"] in ("in", "out"):
        here, there = ("eth0", "eth1") if rule["way"] == "in" else ("eth1", "eth0")
        words.append(f'iifname "{here}" oifname "{there}"')
    for name, side in (("source", "saddr"), ("destination", "daddr")):
        if rule[name]:
            words.append(f"{_family(rule[name])} {side} {rule[name]}")
    if rule["protocol"] == "icmp":
        words.append("meta l4proto { 1, 58 }")
    elif rule["ports"]:
        words.append(f"{rule['protocol']} dport {{ {rule['ports'].replace(',', ', ')} }}")
    elif rule["protocol"] != "any":
        words.append(f"meta l4proto {6 if rule['protocol'] == 'tcp' else 17}")
    verdict = "accept" if rule["action"] == "allow" else "drop"
    return " ".join([*words, "counter", verdict, f'comment "r{number}"'])


def read(answer: str) -> dict[str, Any]:
    """As `KindOf.read`: packets and bytes by rule (``r1``…) and by the words of `FIXED`."""
    told = json.loads(answer)
    counters: dict[str, list[int]] = {}
    for thing in told["nftables"]:
        rule = thing.get("rule")
        if not isinstance(rule, dict) or not isinstance(rule.get("comment"), str):
            continue
        for expression in rule.get("expr", ()):
            if isinstance(expression, dict) and isinstance(found := expression.get("counter"), dict):
                counters[rule["comment"][:20]] = [int(found["packets"]), int(found["bytes"])]
    return {"counters": dict(list(counters.items())[: MOST_RULES + len(FIXED)])}


def lasting(facts: Mapping[str, Any]) -> Any:
    """As `KindOf.lasting`: that packets are counted is no news."""
    return sorted(facts.get("counters", ()))
