"""Service chains as policies of a logical router: who comes in by which leg goes to which machine next.

Policies are asked after the routes, so that they overrule them; of several that fit, the one of the highest priority
alone counts. Address translation from outside is done before, to the outside after them: machines of a chain see the
inner addresses.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from yun.drivers.network.port import ChainSpec, PeerSpec, RouterSpec

FORWARD = 1400
WITHIN = 1300
BACK = 1200
"""Above the gates of peerings. The way out of one chain counts before the way in of another, so that what goes from one
subnet with a chain to another passes both."""


def policies(spec: RouterSpec) -> Iterator[dict[str, Any]]:
    """The policies of all chains of a router."""
    for chain in spec.chains:
        yield from _policies(spec, chain)


def _policies(spec: RouterSpec, chain: ChainSpec) -> Iterator[dict[str, Any]]:
    family = f"ip{ipaddress.ip_network(chain.cidr).version}"
    what = _what(chain)
    # What the router itself answers to the subnet has its leg's address there as the sender.
    out = f"{family}.src == {chain.cidr} && {family}.dst != {chain.cidr}{what}"
    into = f"{family}.dst == {chain.cidr}{what}"
    nets = {leg.id: str(ipaddress.ip_interface(leg.address).network) for leg in spec.interfaces}
    hops = chain.hops
    last = hops[-1].outer if hops else None
    before = (chain.leg, *(hop.outer_leg for hop in hops))
    for leg, hop in zip(before, hops, strict=False):
        # Neighbours of a hop on its inner side stand inside of it: their answers come in by the leg by which what has
        # passed the hop comes, so that nothing to them may pass it either.
        yield _policy(FORWARD, [leg], f"{out} && {family}.dst != {nets[hop.inner_leg]}", hop.inner)
    if not hops:
        yield _policy(FORWARD, [chain.leg], out, None)
    for hop, following in pairwise(hops):
        yield _policy(WITHIN, [following.inner_leg], into, hop.outer)
    for hop in hops:
        # What has passed a hop never has a neighbour of it on its outer side as the sender there.
        if hop.inner_leg != hop.outer_leg:
            yield _policy(WITHIN, [hop.outer_leg], f"{into} && {family}.src == {nets[hop.outer_leg]}", hop.outer)
    if elsewhere := _elsewhere(spec, chain):
        yield _policy(BACK, elsewhere, into, last)
    for peer in spec.peers:
        if gate := passage(peer, family):
            yield _policy(BACK, [peer.id], f"{into} && {gate}", last)


def passage(peer: PeerSpec, family: str) -> str:
    """What a peering lets in of a family, as a match; nothing where it lets nothing in."""
    theirs = [r for r in peer.remote if f"ip{ipaddress.ip_network(r).version}" == family]
    ours = [r for r in peer.local if f"ip{ipaddress.ip_network(r).version}" == family]
    if not theirs or not ours:
        return ""
    return f"{family}.src == {{{', '.join(theirs)}}} && {family}.dst == {{{', '.join(ours)}}}"


def _what(chain: ChainSpec) -> str:
    """What of the traffic it is for. A connection's answers come from the port that it was made to."""
    if chain.protocol is None:
        return ""
    if chain.ports is None:
        return f" && {chain.protocol}"
    low, high = chain.ports
    sides = [
        f"{chain.protocol}.{side} == {low}" if low == high else f"{low} <= {chain.protocol}.{side} <= {high}"
        for side in ("dst", "src")
    ]
    return f" && ({' || '.join(sides)})"


def _elsewhere(spec: RouterSpec, chain: ChainSpec) -> list[str]:
    """The legs by which something comes that has passed nothing of the chain yet."""
    own = {chain.leg, *(leg for hop in chain.hops for leg in (hop.inner_leg, hop.outer_leg))}
    legs = [*spec.interfaces, *([spec.external] if spec.external else [])]
    return sorted(leg.id for leg in legs if leg.id not in own)


def _policy(priority: int, legs: list[str], match: str, hop: str | None) -> dict[str, Any]:
    quoted = [f'"{leg}"' for leg in legs]
    inport = f"inport == {quoted[0]}" if len(quoted) == 1 else f"inport == {{{', '.join(quoted)}}}"
    action = "drop" if hop is None else "reroute"
    return {"priority": priority, "match": f"{inport} && {match}", "action": action, "nexthops": [hop] if hop else []}
