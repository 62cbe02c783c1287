"""The service chains on a way: who passes it on, and what they stop while they do not run. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from yun.base.messages import Message, _
from yun.network.service.reach.facts import ChainFact, Picture, RouterFact
from yun.network.service.reach.spans import minus
from yun.network.service.reach.ways import End, Step, Way
from yun.network.service.reach.words import traffic


class Span(NamedTuple):
    """Ports of a protocol, or types and codes of ICMP, both ends included."""

    protocol: str
    low: int
    high: int


def met(picture: Picture, a: End, b: End, found: Way) -> list[ChainFact]:
    """The chains through which a way leads: first those of the sender's subnet, then those of the receiver's."""
    chains: list[ChainFact] = []
    routers = list(_routers(picture, found))
    for mine, other in ((a.subnet_id, b.subnet_id), (b.subnet_id, a.subnet_id)):
        for router in routers:
            for chain in router.chains:
                aside = found.outside is None and other in (mine, chain.inside)
                if mine and chain.subnet_id == mine and not aside and chain not in chains:
                    chains.append(chain)
    return chains


def _routers(picture: Picture, found: Way) -> Iterator[RouterFact]:
    for step in found.steps:
        if step.kind == "router" and step.id in picture.routers:
            yield picture.routers[step.id]
        elif step.kind == "network_peering":
            yield from (r for r in picture.routers.values() if any(p.id == step.id for p in r.peers))


def stopped(chain: ChainFact, span: Span) -> list[tuple[int, int]]:
    """What of a span still passes while the chain lets nothing through."""
    if not chain.concerns(span.protocol, span.low, span.high):
        return [(span.low, span.high)]
    return [] if chain.protocol is None else minus([(span.low, span.high)], [(chain.low, chain.high)])


def passing(chains: Sequence[ChainFact], spans: Sequence[Span]) -> tuple[list[Span], list[Step]]:
    """What of ``spans`` gets through the chains, and what is to be said of them; the last step says what stopped it
    where nothing does."""
    left = list(spans)
    told: list[Step] = []
    for chain in chains:
        if not any(chain.concerns(*span) for span in left):
            continue
        if chain.blocks and chain.down:
            left = [Span(s.protocol, low, high) for s in left for low, high in stopped(chain, s)]
        told.append(Step(bool(left), _said(chain), "service_chain", chain.id, chain.name))
        if not left:
            break
    return left, told


def _said(chain: ChainFact) -> Message:
    hops, down = ", ".join(chain.hops), ", ".join(chain.down)
    words = {"chain": chain.name, "hops": hops, "down": down}
    if chain.down and chain.blocks and chain.protocol:
        what = traffic(chain.protocol, chain.low, chain.high)
        return _("The service chain {chain} lets nothing of {traffic} through now: {down} does not run.", traffic=what,
                 **words)  # fmt: skip
    if chain.down and chain.blocks:
        return _("The service chain {chain} lets nothing through now: {down} does not run.", **words)
    if set(chain.down) >= set(chain.hops):
        return _("The service chain {chain} is left out now: {down} does not run.", **words)
    if chain.down:
        return _("The service chain {chain} leads it through {hops}, without {down}, which does not run; what they let "
                 "through, Yun does not know.", **words)  # fmt: skip
    return _("The service chain {chain} leads it through {hops}; what they let through, Yun does not know.", **words)
