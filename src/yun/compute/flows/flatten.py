"""The operations of flattening: one volume, and the look for those whose chains have grown too long."""

from __future__ import annotations

from typing import Any

from yun.compute import steps
from yun.operations.flow import Op, operation, periodic


@operation("volume.flatten")
def flatten(op: Op, volume_id: str, floor_id: str | None, gives_way: bool) -> Any:
    """Header, row, and the files that nothing needs any more. Nothing where it gave way."""
    below = op.step(steps.layers_below, volume_id)
    if not op.step(steps.flatten_disk, volume_id, floor_id, gives_way):
        return None
    op.step(steps.collect_below, below)
    return {"volume_id": volume_id}


@periodic("volume.flatten_due", every=60.0)
@operation("volume.flatten_due")
def flatten_due(op: Op) -> int | None:
    """Order what is due."""
    return op.step(steps.flatten_due) or None
