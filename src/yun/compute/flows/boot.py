"""The operations of what an instance boots from, as recipes: its order, and what only its next start boots from."""

from __future__ import annotations

from typing import Any

from yun.compute import steps
from yun.operations.flow import Op, operation


@operation("instance.boot_order")
def boot_order(op: Op, instance_id: str, order: list[str], was: list[str] | None = None) -> Any:
    """Row and definition; ``was`` is the order when it was asked for."""
    op.step(steps.before_definition, instance_id)
    op.step(steps.have_boot_order, instance_id, order, was)
    op.step(steps.redefine, instance_id)
    return {"instance_id": instance_id}


@operation("instance.boot_once")
def boot_once(op: Op, instance_id: str, device: str) -> Any:
    """Only the row: the start that boots from it puts it into the definition, and takes it out again."""
    op.step(steps.have_boot_once, instance_id, device)
    return {"instance_id": instance_id}
