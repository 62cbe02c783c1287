"""Whether one end can talk to another: the way there, what leaves the sender, what the receiver lets in, the answers.
Pure: it is asked about a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from yun.base.messages import Message, _
from yun.network.service.reach import chains
from yun.network.service.reach.facts import ChainFact, Picture, PortFact, RuleFact
from yun.network.service.reach.spans import (
    ALL,
    PROTOCOLS,
    TOP,
    Span,
    Spans,
    cover,
    family_of,
    let_through,
)
from yun.network.service.reach.ways import End, Step, Way, way
from yun.network.service.reach.words import listed, say_in, traffic

EPHEMERAL = (32768, 60999)
"""The ports that clients take for themselves, to which answers go."""
MOST_REASONS = 10
ECHO, ECHO_REPLY = 8 * 256, 0
RANK = (
    "loop", "nobody", "no_router", "no_route", "no_gateway", "no_floating_ip", "no_way_back", "no_snat", "no_listener",
    "forwarder", "chain", "egress", "ingress", "replies", "cable", "",
)  # fmt: skip
"""What stands in the way, from the far to the near."""


@dataclass(frozen=True)
class Want:
    """What is to pass: a protocol (None: any), and a port of it, or of ICMP a type and code as one number (None: any
    of them)."""

    protocol: str | None = None
    number: int | None = None

    @property
    def protocols(self) -> tuple[str, ...]:
        """Those that are asked for."""
        return (self.protocol,) if self.protocol else PROTOCOLS

    @property
    def text(self) -> str | Message:
        """In words."""
        if self.protocol is None:
            return _("anything")
        low, high = (0, TOP) if self.number is None else (self.number, self.number)
        return traffic(self.protocol, low, high)


class Pass(NamedTuple):
    """What gets through of a protocol, by which rule out of the sender and which into the receiver."""

    protocol: str
    low: int
    high: int
    out: RuleFact | None
    into: RuleFact | None


@dataclass(frozen=True)
class Missing:
    """The rule that would let it through, and the group that could have it."""

    group_id: str
    group_name: str
    direction: str
    family: str
    protocol: str
    number: int | None
    remote: str | None


@dataclass(frozen=True)
class Verdict:
    """The answer: whether it passes, how and why in steps; ``code`` says what stops it. ``passes`` is what gets
    through of what was asked for; ``off`` are ends that are not wired now."""

    ok: bool
    code: str
    steps: tuple[Step, ...]
    passes: tuple[Pass, ...] = ()
    missing: Missing | None = None
    off: tuple[PortFact, ...] = ()
    sent: str = ""
    seen: str = ""


def judge(picture: Picture, starts: list[End], ends: list[End], want: Want) -> Verdict:
    """The best answer for any of ``starts`` with any of ``ends``: one that passes, else the one that comes nearest."""
    best: Verdict | None = None
    for verdict in _all(picture, starts, ends, want):
        if best is None or RANK.index(verdict.code) > RANK.index(best.code):
            best = verdict
        if best.ok and not best.off:
            break
    if best is None:
        text = _("They have no addresses of the same family.")
        return Verdict(ok=False, code="no_route", steps=(Step(False, text),))
    return best


def _all(picture: Picture, starts: list[End], ends: list[End], want: Want) -> Iterator[Verdict]:
    for a in starts:
        for b in ends:
            if a.address and b.address and family_of(a.address) != family_of(b.address):
                continue
            for found in way(picture, a, b):
                yield along(picture, a, b, found, want)


def along(picture: Picture, a: End, b: End, found: Way, want: Want) -> Verdict:
    """The answer for one way."""
    off = tuple(p for p in (a.port, b.port) if p is not None and not p.up)
    if not found.open:
        return Verdict(ok=False, code=found.code, steps=found.steps, off=off)
    for port in (a.port, b.port):
        if port is not None and not port.link_up:
            text = _("The cable of {name} is out.", name=port.name)
            step = Step(False, text, "port", port.id, port.name)
            return Verdict(ok=False, code="cable", steps=(*found.steps, step), off=off)
    if b.through is not None and not _listens(found, want):
        text = _("The load balancer {name} does not listen on {traffic}.", name=b.through.name, traffic=want.text)
        step = Step(False, text, "load_balancer", b.through.id, b.through.name)
        return Verdict(ok=False, code="no_listener", steps=(*found.steps, step), off=off)
    family = family_of(a.address or b.address or found.sent)
    out = _out_of(picture, a, found, family)
    into = _into(picture, b, found, family)
    steps = list(found.steps)
    passes: list[Pass] = []
    left = False
    for protocol in want.protocols:
        low, high = (0, TOP) if want.number is None else (want.number, want.number)
        leaving, entering = cover(out[protocol], low, high), cover(into[protocol], low, high)
        left = left or bool(leaving)
        passes += _both(protocol, leaving, entering)
    if not passes:
        direction = "ingress" if left else "egress"
        step, missing = _lacking(picture, a, b, found, (direction, family, want))
        return Verdict(ok=False, code=direction, steps=(*steps, step), missing=missing, off=off, sent=found.sent,
                       seen=found.seen)  # fmt: skip
    answered = [p for p in passes if _answered(picture, a, b, found, p)]
    if answered:
        answered, told = _chained(chains.met(picture, a, b, found), answered)
        steps += told
        if not answered:
            return Verdict(ok=False, code="chain", steps=tuple(steps), off=off, sent=found.sent, seen=found.seen)
    steps += _reasons(picture, a, b, passes)
    if not answered:
        step, missing = _unanswered(picture, a, b, found, passes[0])
        return Verdict(ok=False, code="replies", steps=(*steps, step), passes=(), missing=missing, off=off,
                       sent=found.sent, seen=found.seen)  # fmt: skip
    return Verdict(ok=True, code="", steps=tuple(steps), passes=tuple(answered), off=off, sent=found.sent,
                   seen=found.seen)  # fmt: skip


def _chained(met: list[ChainFact], passes: list[Pass]) -> tuple[list[Pass], list[Step]]:
    """What of it gets through the service chains, and what is to be said of them."""
    kept, told = chains.passing(met, [chains.Span(p.protocol, p.low, p.high) for p in passes])
    return [
        p._replace(low=max(p.low, low), high=min(p.high, high))
        for p in passes for protocol, low, high in kept
        if protocol == p.protocol and low <= p.high and p.low <= high
    ], told  # fmt: skip


def _out_of(picture: Picture, a: End, found: Way, family: str) -> Spans:
    return ALL if a.port is None else let_through(picture, a.port, "egress", family, found.sent)


def _into(picture: Picture, b: End, found: Way, family: str) -> Spans:
    spans = ALL if b.port is None else let_through(picture, b.port, "ingress", family, found.seen)
    doors = found.doors or ((found.outside,) if found.outside is not None else ())
    if all(d.protocol is None for d in doors):
        return spans
    moved: Spans = {p: [] for p in PROTOCOLS}
    for door in doors:  # a forwarded port arrives under another number
        if door.protocol is not None:
            shift = door.inner - door.low
            inner = cover(spans[door.protocol], door.inner, door.inner + door.high - door.low)
            moved[door.protocol] += [s._replace(low=s.low - shift, high=s.high - shift) for s in inner]
    return moved


def _listens(found: Way, want: Want) -> bool:
    """Whether one of the load balancer's listeners is among what is asked for."""
    return any(
        d.protocol in want.protocols and (want.number is None or d.low <= want.number <= d.high) for d in found.doors
    )


def _both(protocol: str, leaving: list[Span], entering: list[Span]) -> Iterator[Pass]:
    for out in leaving:
        for into in entering:
            low, high = max(out.low, into.low), min(out.high, into.high)
            if low <= high:
                yield Pass(protocol, low, high, out.rule, into.rule)


# ── answers ──


def _stateless(picture: Picture, rule: RuleFact | None) -> bool:
    group = picture.groups.get(rule.group_id) if rule else None
    return group is not None and group.stateless


def _answered(picture: Picture, a: End, b: End, found: Way, passed: Pass) -> bool:
    """Whether answers get back: they do by themselves where the rule is followed, else by a rule of their own."""
    family = family_of(a.address or b.address or found.sent)
    if _stateless(picture, passed.into) and b.port is not None:
        back = let_through(picture, b.port, "egress", family, found.seen)
        if not _lets_answer(back, passed.protocol):
            return False
    if _stateless(picture, passed.out) and a.port is not None:
        back = let_through(picture, a.port, "ingress", family, found.sent)
        return _lets_answer(back, passed.protocol)
    return True


def _lets_answer(back: Spans, protocol: str) -> bool:
    low, high = {"icmp": (ECHO_REPLY, ECHO_REPLY), "other": (0, 0)}.get(protocol, EPHEMERAL)
    free = [s for s in back[protocol] if s.rule is None or s.stateless]
    end = low - 1
    for span in cover(free, low, high):
        if span.low > end + 1:
            return False
        end = span.high
    return end >= high


# ── in words ──


def _named(end: End, other: str) -> object:
    if end.port is not None:
        return f"{end.port.name} ({other or end.address})" if (other or end.address) else end.port.name
    return other or end.address or _("anybody outside")


def _group_names(picture: Picture, port: PortFact) -> Message:
    return listed([g.name for g in picture.groups_of(port)])


def _reasons(picture: Picture, a: End, b: End, passes: list[Pass]) -> Iterator[Step]:
    for port, rules, inward in (
        (a.port, [p.out for p in passes], False), (b.port, [p.into for p in passes], True)
    ):  # fmt: skip
        if port is None:
            continue
        if rules[0] is None:
            text = (
                _("{name} is not filtered: it is a hop of a service chain.", name=port.name) if port.passing else
                _("{name} is not filtered: its port security is off.", name=port.name)
            )  # fmt: skip
            yield Step(True, text, "port", port.id, port.name)
            continue
        deciding = list(dict.fromkeys(r for r in rules if r is not None))
        for rule in deciding[:MOST_REASONS]:
            group = picture.name_of_group(rule.group_id)
            words = {"rule": say_in(picture, rule), "group": group, "name": port.name}
            text = (
                _("The rule “{rule}” of the group {group} lets it in to {name}.", **words) if inward else
                _("The rule “{rule}” of the group {group} lets it out of {name}.", **words)
            )  # fmt: skip
            yield Step(True, text, "security_group", rule.group_id, group)
        if len(deciding) > MOST_REASONS:
            yield Step(True, _("And {count} further rules.", count=len(deciding) - MOST_REASONS))


def _lacking(
    picture: Picture, a: End, b: End, found: Way, what: tuple[str, str, Want]
) -> tuple[Step, Missing | None]:
    direction, family, want = what
    out = direction == "egress"
    port = a.port if out else b.port
    assert port is not None
    thing = ("port", port.id, port.name)
    if not port.groups:
        text = (
            _("{name} is in no security group: nothing gets out.", name=port.name) if out else
            _("{name} is in no security group: nothing gets in.", name=port.name)
        )  # fmt: skip
        return Step(False, text, *thing), None
    words = {"name": port.name, "groups": _group_names(picture, port), "traffic": want.text}
    if out:
        text = _("Nothing in the groups of {name} ({groups}) lets {traffic} out to {other}.", **words,
                 other=_named(End() if b.port is None else b, found.sent))  # fmt: skip
    else:
        text = _("Nothing in the groups of {name} ({groups}) lets {traffic} in from {other}.", **words,
                 other=_named(a, found.seen))  # fmt: skip
    other = found.sent if out else found.seen
    asked = replace(want, protocol=want.protocol or "any")
    wish = _wish(picture, port, (direction, family, asked), other)
    return Step(False, text, *thing), wish


def _wish(picture: Picture, port: PortFact, what: tuple[str, str, Want], other: str) -> Missing | None:
    """The rule that is lacking, for a group of the port: one of its own rather than the default one."""
    direction, family, want = what
    groups = sorted(picture.groups_of(port), key=lambda g: (g.is_default, g.name))
    if not groups or want.protocol == "other":
        return None
    number = want.number
    if want.protocol == "any":
        number = None
    return Missing(groups[0].id, groups[0].name, direction, family, want.protocol or "any", number, other or None)


def _unanswered(
    picture: Picture, a: End, b: End, found: Way, passed: Pass
) -> tuple[Step, Missing | None]:
    family = family_of(a.address or b.address or found.sent)
    at_b = _stateless(picture, passed.into) and b.port is not None and not _lets_answer(
        let_through(picture, b.port, "egress", family, found.seen), passed.protocol
    )  # fmt: skip
    port = b.port if at_b else a.port
    rule = passed.into if at_b else passed.out
    assert port is not None
    assert rule is not None
    words = {"group": picture.name_of_group(rule.group_id), "name": port.name}
    text = (
        _("The group {group} is stateless, and no rule lets the answers out of {name}.", **words) if at_b else
        _("The group {group} is stateless, and no rule lets the answers in to {name}.", **words)
    )  # fmt: skip
    direction = "egress" if at_b else "ingress"
    wish = Missing(
        rule.group_id, words["group"], direction, family, passed.protocol if passed.protocol != "other" else "any",
        None, (found.seen if at_b else found.sent) or None,
    )  # fmt: skip
    return Step(False, text, "security_group", rule.group_id, words["group"]), wish
