"""The verb `network.reach`: can one thing talk to another, and what decides it."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context, not_found
from yun.base.errors import Conflict, Invalid
from yun.base.messages import Message, _
from yun.network import checks
from yun.network.model import (
    ACTIVE,
    TRASHED,
    FloatingIp,
    LoadBalancer,
    Network,
    Port,
    PortAddress,
    PortForwarding,
    RouterInterface,
    Subnet,
)
from yun.network.service import balancing
from yun.network.service.reach.facts import BalancerFact, Picture
from yun.network.service.reach.judge import ECHO, Missing, Pass, Verdict, Want, judge
from yun.network.service.reach.load import picture
from yun.network.service.reach.spans import joined
from yun.network.service.reach.ways import End, Step
from yun.network.service.reach.words import listed, traffic

ANYWHERE = ("anywhere", "outside", "internet", "任意", "外部")
PROTOCOLS = ("tcp", "udp", "icmp", "any")
MOST_CARDS = 60


@dataclass(frozen=True)
class Question:
    """``source`` and ``target``: a port, a host name, an instance's id, an address, or ``anywhere``. ``protocol``
    defaults to TCP where a port is given, else to whatever passes."""

    source: str
    target: str
    protocol: str | None = None
    port: int | None = None


@dataclass(frozen=True)
class Side:
    """What a reference meant: ports, the members of a load balancer, or an address outside of the cloud (``""``:
    any)."""

    title: str | Message
    ports: tuple[Port, ...] = ()
    address: str = ""
    balancer: BalancerFact | None = None


@dataclass(frozen=True)
class Answer:
    """Whether it passes (``yes``, or ``no``), in a sentence and in steps, both rather than a colour alone."""

    question: Question
    want: Want
    source: Side
    target: Side
    verdict: Verdict
    text: Message

    @property
    def ok(self) -> bool:
        """Whether it passes now."""
        return self.verdict.ok and not self.verdict.off

    @property
    def steps(self) -> tuple[Step, ...]:
        """How and why."""
        return self.verdict.steps

    @property
    def missing(self) -> Missing | None:
        """The rule that would let it through."""
        return self.verdict.missing

    @property
    def passes(self) -> list[str | Message]:
        """What gets through of what was asked for, in words."""
        return said(self.verdict.passes)


def reach(ctx: Context, question: Question) -> Answer:
    """Whether ``source`` can talk to ``target``, as the rows say: the way, the groups of both, the answers back.

    Raises `Invalid` naming ``from``, ``to``, ``protocol`` or ``port``, and `NotFound` or `Conflict` for a reference
    that fits nothing or several instances.
    """
    ctx.may("network.reach")
    want = wanted(question)
    source, target = side(ctx, question.source, "from"), side(ctx, question.target, "to")
    if not source.ports and not target.ports:
        raise Invalid(
            _("At least one end must be in the cloud."),
            fields={"from": _("a port, a host name, an instance's id or an address"),
                    "to": _("a port, a host name, an instance's id or an address")},
        )  # fmt: skip
    everybody = {p.id: p for p in (*source.ports, *target.ports)}
    also = [s.address for s in (source, target) if s.address]
    found = picture(ctx.session, list(everybody.values()), also=also)
    verdict = judge(found, ends(found, source), ends(found, target), want)
    return Answer(question, want, source, target, verdict, sentence(source, target, want, verdict))


def wanted(question: Question) -> Want:
    """Protocol and port of a question. Raises `Invalid`."""
    text = (question.protocol or "").strip().lower()
    if text == "ping":
        return Want("icmp", ECHO)
    if text:
        checks.one_of(text, PROTOCOLS, "protocol")
    number = checks.number(question.port, 1, 65535, "port")
    if number is not None and text in ("icmp", "any"):
        raise Invalid(_("Only TCP and UDP have ports."), fields={"protocol": _("one of {names}", names="tcp, udp")})
    if number is not None and not text:
        text = "tcp"
    return Want(None if text in ("", "any") else text, number)


def side(ctx: Context, reference: str, field: str) -> Side:
    """What a reference means. Raises `Invalid`, `NotFound`, `Conflict`."""
    text = reference.strip()
    if not text:
        raise Invalid(_("An end is missing."), fields={field: _("a port, a host name, an instance's id or an address")})
    if text.lower() in ANYWHERE:
        return Side(_("anywhere"))
    found = _ports(ctx, text)
    if not found and field == "to" and (balancer := balancer_of(ctx, text)) is not None:
        members = tuple(balancing.backends_of(ctx.session, balancer))
        fact = balancer_fact(ctx.session, balancer)
        if not members:
            raise Conflict(
                _("The load balancer {name} has no members.", name=balancer.name),
                fields={field: _("a load balancer with members")},
            )
        by = text if text in (fact.address, fact.floating) else ""
        return Side(balancer.name, members, by, fact)
    if not found:
        if text[0].isdigit() or ":" in text:
            return Side(str(checks.address(text, field)), address=str(checks.address(text, field)))
        raise not_found("port", text[:80])
    owners = {p.instance_id or p.id for p in found}
    forwarded = all(text not in (p.id, p.hostname, p.name, p.address, p.mac) for p in found)
    if len(owners) > 1 and not forwarded:  # one outside address may lead to several machines
        raise Conflict(
            _("{reference} fits several things.", reference=text[:80]),
            hint=_("Name its id, or choose a project."), fields={field: _("the id of a port or an instance")},
        )  # fmt: skip
    one = _named_by_address(found, text)
    if len(owners) > 1:
        return Side(text, tuple(found), one)
    return Side(found[0].hostname or found[0].address, tuple(found), one)


def balancer_of(ctx: Context, text: str) -> LoadBalancer | None:
    """The living load balancer that a reference means: by id, name, its address or its floating IP."""
    outer = sa.select(FloatingIp.id).where(FloatingIp.address == text, FloatingIp.state == ACTIVE)
    fits = (LoadBalancer.id == text, LoadBalancer.name == text, LoadBalancer.address == text,
            LoadBalancer.floating_ip_id.in_(outer))  # fmt: skip
    query = sa.select(LoadBalancer).where(sa.or_(*fits), LoadBalancer.state == ACTIVE)
    if ctx.project_id is not None:
        query = query.where(LoadBalancer.project_id == ctx.project_id)
    found = [b for b in ctx.session.scalars(query.limit(2)) if ctx.sees(b.project_id)]
    return found[0] if len(found) == 1 else None


def balancer_fact(session: Session, balancer: LoadBalancer) -> BalancerFact:
    """A load balancer by what leads through it."""
    floating = session.get(FloatingIp, balancer.floating_ip_id) if balancer.floating_ip_id else None
    listeners = balancing.listeners_of(session, balancer.id)
    return BalancerFact(
        balancer.id, balancer.name, balancer.address, frozenset(balancing.networks_of(session, balancer)),
        floating.address if floating and floating.state == ACTIVE else "", floating.network_id if floating else "",
        tuple((row.protocol, row.port, row.member_port) for row in listeners),
    )  # fmt: skip


def _named_by_address(found: list[Port], text: str) -> str:
    return text if text[0].isdigit() or ":" in text else ""


def _ports(ctx: Context, text: str) -> list[Port]:
    if "\0" in text:
        raise not_found("port", text.replace("\0", "�")[:80])
    if checks.ID.fullmatch(text):
        where: sa.ColumnElement[bool] = sa.or_(Port.id == text, Port.instance_id == text)
    else:
        outer = sa.select(FloatingIp.port_id).where(FloatingIp.address == text, FloatingIp.state == ACTIVE)
        legs = sa.select(RouterInterface.router_id).where(
            RouterInterface.external.is_(True), RouterInterface.state == ACTIVE,
            RouterInterface.address.startswith(f"{text}/", autoescape=True),
        )  # fmt: skip
        forwarded = sa.select(PortForwarding.port_id).where(
            PortForwarding.state == ACTIVE,
            PortForwarding.floating_ip_id.in_(sa.select(FloatingIp.id).where(FloatingIp.address == text))
            | PortForwarding.router_id.in_(legs),
        )
        more = sa.select(PortAddress.port_id).where(PortAddress.address == text)
        names = (Port.hostname, Port.address, Port.mac, Port.name)
        others = (Port.id.in_(outer), Port.id.in_(more), Port.id.in_(forwarded), _fully_named(text))
        where = sa.or_(*(column == text for column in names), *others)
    query = sa.select(Port).where(where, Port.state != TRASHED)
    if ctx.project_id is not None and not checks.ID.fullmatch(text):
        query = query.where(Port.project_id == ctx.project_id)
    rows = ctx.session.scalars(query.order_by(Port.device_index, Port.id).limit(MOST_CARDS))
    return [p for p in rows if ctx.sees(p.project_id)]


def _fully_named(text: str) -> sa.ColumnElement[bool]:
    """A host name with the domain of its network or of its subnet after it."""
    head, _dot, domain = text.lower().removesuffix(".").partition(".")
    networks = sa.select(Network.id).where(Network.domain == domain)
    subnets = sa.select(Subnet.id).where(Subnet.domain == domain)
    mine = sa.or_(Port.network_id.in_(networks), Port.subnet_id.in_(subnets))
    return sa.and_(Port.hostname == head, mine) if domain else sa.false()


def ends(found: Picture, what: Side) -> list[End]:
    """All addresses of the ports that are meant, or the one outside. An outside address of a port stands for it."""
    if not what.ports:
        return [End(what.address)]
    out: list[End] = []
    for port in (found.ports[p.id] for p in what.ports):
        for subnet_id, own in port.places:
            if what.address in ("", own) or what.address not in port.addresses:
                outer = what.address if what.address not in ("", own) else ""
                out.append(End(own, port, subnet_id, by=outer, through=what.balancer))
    return out


def said(passes: tuple[Pass, ...]) -> list[str | Message]:
    """What gets through, in words, neighbours made one."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for one in passes:
        spans.setdefault(one.protocol, []).append((one.low, one.high))
    if set(spans) == {"tcp", "udp", "icmp", "other"} and all(joined(s) == [(0, 65535)] for s in spans.values()):
        return [_("everything")]
    return [traffic(p, low, high) for p, them in spans.items() for low, high in joined(them)]


def sentence(source: Side, target: Side, want: Want, verdict: Verdict) -> Message:
    """The answer in one sentence."""
    words = {"source": source.title, "target": target.title, "traffic": want.text}
    if verdict.ok and verdict.off:
        names = ", ".join(p.name for p in verdict.off)
        return _("No: {names} is not wired now. As soon as it runs, {source} can reach {target}.", names=names, **words)
    if verdict.ok and want.number is not None:
        return _("Yes: {source} can reach {target} by {traffic}.", **words)
    if verdict.ok:
        return _("Yes: {source} can reach {target} by {what}.", what=listed(said(verdict.passes)), **words)
    why = verdict.steps[-1].text if verdict.steps else _("nothing")
    return _("No: {source} cannot reach {target} by {traffic}. {why}", why=why, **words)


