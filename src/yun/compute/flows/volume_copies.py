"""The operations that read a volume as a whole as recipes: freeze it where a machine writes to it, then copy."""

from __future__ import annotations

from typing import Any

from yun.compute import steps
from yun.operations.flow import Op, operation
from yun.storage import steps as storage


def _frozen(
    op: Op, source_id: str, instance_id: str | None, freeze: dict[str, Any] | None
) -> tuple[str | None, str]:
    """The layer to read in place of the volume's own file, if any, and in what condition it is."""
    if op.step(steps.is_written, source_id, instance_id) and freeze is not None:
        frozen = op.step(steps.freeze_source, instance_id, [freeze], False)
        return frozen["layers"][source_id], frozen["consistency"]
    return None, "stopped"


@operation("volume.copy")
def copy_volume(
    op: Op, volume_id: str, source_id: str, instance_id: str | None, freeze: dict[str, Any] | None
) -> Any:
    """A point in time, then its copy."""
    op.step(storage.begin_volume, volume_id)
    layer_id, how = _frozen(op, source_id, instance_id, freeze)
    op.step(steps.copy_volume, volume_id, source_id, layer_id, how)
    return {"volume_id": volume_id, "consistency": how}


@operation("volume.download")
def download_volume(
    op: Op, export_id: str, source_id: str, instance_id: str | None, freeze: dict[str, Any] | None, compress: bool
) -> Any:
    """A point in time, then a file of it."""
    op.step(steps.begin_export, export_id, source_id)
    layer_id, how = _frozen(op, source_id, instance_id, freeze)
    made = op.step(steps.make_download, export_id, source_id, layer_id, compress)
    return {**made, "volume_id": source_id, "consistency": how}
