"""Operations of service chains."""

from __future__ import annotations

from typing import Any

from yun.network import steps
from yun.network.steps import chains, routing
from yun.operations.flow import Op, operation

Targets = list[list[str]]


@operation("service_chain.create")
def create_chain(op: Op, chain_id: str, targets: Targets) -> Any:
    """Send a subnet's traffic through machines."""
    op.step(steps.keep, "service_chain", chain_id)
    op.step(routing.follow_new, "service_chain", chain_id, targets)
    return {"service_chain_id": chain_id}


@operation("service_chain.update")
def update_chain(op: Op, chain_id: str, values: dict[str, Any], targets: Targets) -> Any:
    """Change a chain's name, hops, what it is for, or what happens without them."""
    op.step(steps.follow_undo, targets)
    op.step(chains.change_chain, chain_id, values)
    op.step(steps.follow, targets)
    return {"service_chain_id": chain_id}


@operation("service_chain.delete")
def delete_chain(op: Op, chain_id: str, targets: Targets) -> Any:
    """Let a subnet's traffic take the direct way."""
    op.step(steps.follow_undo, targets)
    op.step(chains.trash_chain, chain_id)
    op.step(steps.follow, targets)
    return {"service_chain_id": chain_id}
