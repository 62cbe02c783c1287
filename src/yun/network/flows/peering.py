"""Operations of peerings."""

from __future__ import annotations

from typing import Any

from yun.network import steps
from yun.network.steps import peering
from yun.operations.flow import Op, operation

Targets = list[list[str]]


@operation("network_peering.create")
def create_peering(op: Op, peering_id: str) -> Any:
    """Ask another project for a peering."""
    op.step(steps.keep, "network_peering", peering_id)
    return {"network_peering_id": peering_id}


@operation("network_peering.accept")
def accept_peering(op: Op, peering_id: str, router_id: str, targets: Targets) -> Any:
    """Agree to a peering."""
    op.step(peering.accept, peering_id, router_id)
    op.step(peering.follow_accept, peering_id, targets)
    return {"network_peering_id": peering_id}


@operation("network_peering.delete")
def delete_peering(op: Op, peering_id: str, asker: bool, targets: Targets) -> Any:
    """End a peering, or take a request back."""
    was = op.step(peering.end, peering_id, asker)
    op.step(peering.follow_end, peering_id, asker, was, targets)
    return {"network_peering_id": peering_id}
