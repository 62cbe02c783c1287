"""The operation that changes disks where they are."""

from __future__ import annotations

from typing import Any

from yun.compute.steps import change_disk as steps
from yun.operations.flow import Op, operation


@operation("instance.change_disk")
def change_disk(
    op: Op, instance_id: str, changes: dict[str, dict[str, Any]], was: dict[str, dict[str, Any]] | None = None
) -> Any:
    """Rows, the definition, and the limits of what runs; ``was`` is what the fields were when it was asked for."""
    op.step(steps.before_disks, instance_id)
    op.step(steps.have_disks, instance_id, changes, was)
    effect = op.step(steps.settle_disks, instance_id)
    return {"instance_id": instance_id, "volumes": sorted(changes), "effect": effect}
