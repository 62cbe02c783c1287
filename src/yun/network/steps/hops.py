"""Hops of service chains that come up or go down: their chains are told, and those that leave hops out follow."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from yun.base.messages import _
from yun.network import rows
from yun.network.model import ACTIVE, BYPASS, ServiceChain
from yun.network.service import chaining
from yun.operations.events import raise_notice
from yun.operations.intent import Subject


def noticed(session: Session, port_ids: Sequence[str]) -> list[tuple[str, str]]:
    """Whoever watches a chain with one of these ports is told how it works now; returns the routers that must follow,
    as (kind, id)."""
    followers = set()
    for chain in chaining.chains_of_ports(session, port_ids):
        status = chaining.status_of(chain, chaining.hops_of(session, chain))
        rows.tell(session, "service_chain", chain.id, "hops_changed", status=status)
        judge(session, chain.id)
        if chain.on_failure == BYPASS:
            followers.add(("router", chain.router_id))
    return sorted(followers)


def judge(session: Session, chain_id: str) -> None:
    """Operators have a notice while the chain lets nothing through because a machine of it does not run."""
    chain = session.get(ServiceChain, chain_id)
    if chain is None or chain.state != ACTIVE:
        rows.forget_notice(session, chain_id)
        return
    hops = chaining.hops_of(session, chain)
    if chaining.status_of(chain, hops) != "blocking":
        rows.forget_notice(session, chain_id)
        return
    names = ", ".join(h.name for h in hops if h.state != chaining.RUNNING)
    raise_notice(
        session, rows.notice_of(chain_id), subject=Subject("service_chain", chain.id, chain.name),
        message=_("The service chain {chain} lets nothing through: {names} does not run.", chain=chain.name,
                  names=names),
        hint=_("Start it, change the chain's machines, or let it go on without them."),
    )  # fmt: skip


def routers(session: Session, port_ids: Sequence[str]) -> set[str]:
    """The routers whose chains have one of these ports in a hop."""
    return {chain.router_id for chain in chaining.chains_of_ports(session, port_ids)}
