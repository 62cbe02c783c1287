"""Operations of floating IPs."""

from __future__ import annotations

from typing import Any

from yun.network import steps
from yun.network.steps import leading, routing
from yun.operations.flow import Op, operation

Targets = list[list[str]]


@operation("floating_ip.allocate")
def allocate(op: Op, floating_ip_id: str) -> Any:
    """Take an outside address from the pool."""
    op.step(steps.keep, "floating_ip", floating_ip_id)
    return {"floating_ip_id": floating_ip_id}


@operation("floating_ip.release")
def release(op: Op, floating_ip_id: str) -> Any:
    """Put an outside address into the trash."""
    op.step(steps.trash, "floating_ip", floating_ip_id)
    return {"floating_ip_id": floating_ip_id}


@operation("floating_ip.update")
def update(op: Op, floating_ip_id: str, values: dict[str, Any]) -> Any:
    """Change the name or the description of a floating IP."""
    op.step(routing.change, "floating_ip", floating_ip_id, values)
    return {"floating_ip_id": floating_ip_id}


@operation("floating_ip.associate")
def associate(
    op: Op, floating_ip_id: str, port_id: str, targets: Targets, inner_address: str | None = None,
    before: list[str | None] | None = None,
) -> Any:  # fmt: skip
    """Lead an outside address to a port, away from another one where it led there."""
    was = before or [None, None]
    op.step(leading.lead, floating_ip_id, port_id, was)
    op.step(leading.follow_lead, floating_ip_id, port_id, was, targets)
    return {"floating_ip_id": floating_ip_id, "port_id": port_id, "inner_address": inner_address}


@operation("floating_ip.disassociate")
def disassociate(op: Op, floating_ip_id: str, targets: Targets) -> Any:
    """Lead an outside address nowhere."""
    op.step(steps.follow_undo, targets)
    op.step(steps.link, floating_ip_id, None)
    op.step(steps.follow, targets)
    return {"floating_ip_id": floating_ip_id}
