"""The operation of moves as a recipe: copy, go over to the copy, take the old file away."""

from __future__ import annotations

from typing import Any

from yun.compute import steps
from yun.operations.flow import Op, operation


@operation("volume.move")
def move_volume(op: Op, volume_id: str, way: dict[str, Any]) -> Any:
    """Until the copy is in use everything can be taken back; then it only goes forward."""
    base = op.step(steps.base_of, volume_id)
    how = op.step(steps.bring_over, volume_id, way)
    op.point_of_no_return()
    effect = op.step(steps.move_over, volume_id, way, how)
    op.step(steps.clear_old, volume_id, way, base)
    return {"volume_id": volume_id, "pool_id": way["to_pool"], "effect": effect}
