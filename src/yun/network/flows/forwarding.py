"""Operations of port forwardings."""

from __future__ import annotations

from typing import Any

from yun.network import steps
from yun.network.steps import forwarding, routing
from yun.operations.flow import Op, operation

Targets = list[list[str]]


@operation("port_forwarding.create")
def create_forwarding(op: Op, forwarding_id: str, targets: Targets) -> Any:
    """Lead outside ports to a machine."""
    op.step(steps.keep, "port_forwarding", forwarding_id)
    op.step(routing.follow_new, "port_forwarding", forwarding_id, targets)
    return {"port_forwarding_id": forwarding_id}


@operation("port_forwarding.delete")
def delete_forwarding(op: Op, forwarding_id: str, targets: Targets) -> Any:
    """Let outside ports lead nowhere."""
    op.step(forwarding.trash_forwarding, forwarding_id)
    op.step(forwarding.follow_gone, forwarding_id, targets)
    return {"port_forwarding_id": forwarding_id}
