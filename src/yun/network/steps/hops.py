"""Hops of service chains that come up or go down: their chains are told, and those that leave hops out follow."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from yun.network import rows
from yun.network.model import BYPASS
from yun.network.service import chaining


def noticed(session: Session, port_ids: Sequence[str]) -> list[tuple[str, str]]:
    """Whoever watches a chain with one of these ports is told how it works now; returns the routers that must follow,
    as (kind, id)."""
    followers = set()
    for chain in chaining.chains_of_ports(session, port_ids):
        status = chaining.status_of(chain, chaining.hops_of(session, chain))
        rows.tell(session, "service_chain", chain.id, "hops_changed", status=status)
        if chain.on_failure == BYPASS:
            followers.add(("router", chain.router_id))
    return sorted(followers)


def routers(session: Session, port_ids: Sequence[str]) -> set[str]:
    """The routers whose chains have one of these ports in a hop."""
    return {chain.router_id for chain in chaining.chains_of_ports(session, port_ids)}
