"""Service chains → what the network engine is told."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy.orm import Session

from yun.drivers.network.port import ChainHopSpec, ChainSpec
from yun.network.model import BYPASS, ServiceChain
from yun.network.service import chaining


def chain_specs(session: Session, router_id: str, living: Collection[str]) -> tuple[ChainSpec, ...]:
    """What the engine should do for the chains of a router whose legs ``living`` it has. Where nothing may go around a
    hop that the engine cannot reach, nothing passes; a chain whose hops are all left out is none."""
    found = []
    for chain in chaining.chains_of_router(session, router_id):
        leg = chaining.leg_of(session, chain)
        if leg is None or leg.row.id not in living:
            continue
        hops = [_hop(h) for h in chaining.passed(chain, chaining.hops_of(session, chain))]
        whole = [h for h in hops if h is not None and {h.inner_leg, h.outer_leg} <= set(living)]
        if chain.on_failure == BYPASS and not whole:
            continue
        if chain.on_failure != BYPASS and len(whole) < len(hops):
            whole = []
        found.append(_spec(chain, leg.row.id, str(leg.net), tuple(whole)))
    return tuple(found)


def _spec(chain: ServiceChain, leg: str, cidr: str, hops: tuple[ChainHopSpec, ...]) -> ChainSpec:
    ports = (chain.port_min, chain.port_max or chain.port_min) if chain.port_min is not None else None
    protocol = chain.protocol if chain.protocol != "any" else None
    return ChainSpec(chain.id, leg, cidr, hops, protocol, ports)


def _hop(hop: chaining.Hop) -> ChainHopSpec | None:
    if hop.inner is None or hop.outer is None or not hop.ready:
        return None
    return ChainHopSpec(hop.inner.leg.row.id, hop.inner.address, hop.outer.leg.row.id, hop.outer.address)
