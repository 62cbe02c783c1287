"""The operations of merging frozen files: one run of them, and the look for those that nobody needs any more."""

from __future__ import annotations

from typing import Any

from yun.compute import steps
from yun.operations.flow import Op, operation, periodic


@operation("layer.merge")
def merge(op: Op, child_id: str, layer_ids: list[str], keys: list[str]) -> Any:
    """The files, the rows, and then what is left over of them. Nothing where it gave way."""
    if not op.step(steps.merge_files, child_id, layer_ids, keys):
        return None
    op.step(steps.collect_below, layer_ids)
    return {"layer_id": child_id, "merged": layer_ids}


@periodic("layer.merge_due", every=60.0)
@operation("layer.merge_due")
def merge_due(op: Op) -> int | None:
    """Order what is due."""
    return op.step(steps.merge_due) or None
