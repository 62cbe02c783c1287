"""Steps of service chains: what they are changes, they go and come back, and their hops are told to have changed."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.network import rows
from yun.network.model import ACTIVE, TRASHED, ServiceChain, ServiceChainHop
from yun.network.service import chaining, chains, look
from yun.network.steps import hops
from yun.operations.flow import Op, tx_step

Values = dict[str, Any]


def _set(session: Session, chain_id: str, values: Values) -> Values | None:
    """The chain has these values, ``hops`` as pairs of ports; returns those it had."""
    chain = session.get(ServiceChain, chain_id)
    if chain is None:
        return None
    before = {name: getattr(chain, name) for name in values if name != "hops"}
    if values.get("name", chain.name) != chain.name:
        look.refuse_taken(session, ServiceChain, values["name"], project_id=chain.project_id)
    if "hops" in values:
        have = chaining.hop_rows(session, chain_id)
        before["hops"] = [[row.inner_port_id, row.outer_port_id] for row in have]
        session.execute(sa.delete(ServiceChainHop).where(ServiceChainHop.chain_id == chain_id))
        session.add_all(chains.hop_rows_of(chain_id, values["hops"]))
    for name, value in values.items():
        if name != "hops":
            setattr(chain, name, value)
    session.flush()
    return before


def _set_back(op: Op, session: Session, output: Any, chain_id: str, values: Values) -> None:
    if output:
        _set(session, chain_id, output)
        _touch(op, session, chain_id)


@tx_step(undo=_set_back)
def change_chain(op: Op, session: Session, chain_id: str, values: Values) -> Values | None:
    """The chain has these values; returns those it had. Raises `Conflict` where somebody has the name by now."""
    before = _set(session, chain_id, values)
    _touch(op, session, chain_id)
    return before


def _touch(op: Op, session: Session, chain_id: str) -> None:
    """A chain whose hops changed has changed: its revision moves on."""
    chain = session.get(ServiceChain, chain_id)
    if chain is not None:
        chain.updated_at = op.clock.now()
        session.flush()
        rows.tell(session, "service_chain", chain_id, "updated")
        hops.judge(session, chain_id)


def _bring_back(op: Op, session: Session, output: Any, chain_id: str) -> None:
    """The chain is out of the trash. Raises `Conflict` where its subnet has another one by now."""
    chain = session.get(ServiceChain, chain_id)
    if chain is not None and chain.state == TRASHED:
        chains.refuse_second(session, chain)
        chain.state, chain.trashed_at = ACTIVE, None
        session.flush()
        rows.tell(session, "service_chain", chain_id, "restored")
        hops.judge(session, chain_id)


@tx_step(undo=_bring_back)
def trash_chain(op: Op, session: Session, chain_id: str) -> None:
    """The chain lies in the trash: traffic goes as if it had never been."""
    rows.trash(session, "service_chain", chain_id, op.clock.now())
    rows.tell(session, "service_chain", chain_id, "deleted")
    hops.judge(session, chain_id)
