"""The operations of disks as recipes: add, attach, detach, grow."""

from __future__ import annotations

from typing import Any

from yun.compute import steps
from yun.operations.flow import Op, operation
from yun.storage import steps as storage


@operation("instance.add_disk")
def add_disk(op: Op, instance_id: str, volume_id: str, place: dict[str, Any]) -> Any:
    """An empty volume, then as any other."""
    op.step(storage.begin_volume, volume_id)
    op.step(storage.make_volume, volume_id)
    op.step(steps.before_definition, instance_id)
    op.step(steps.put_in_place, volume_id, instance_id, place)
    effect = op.step(steps.plug_in, instance_id, volume_id)
    return {"volume_id": volume_id, "instance_id": instance_id, "effect": effect}


@operation("volume.attach")
def attach_volume(op: Op, volume_id: str, instance_id: str, place: dict[str, Any]) -> Any:
    """Rows, definition, and the running machine."""
    op.step(steps.before_definition, instance_id)
    op.step(steps.put_in_place, volume_id, instance_id, place)
    effect = op.step(steps.plug_in, instance_id, volume_id)
    return {"volume_id": volume_id, "instance_id": instance_id, "effect": effect}


@operation("volume.detach")
def detach_volume(
    op: Op, volume_id: str, instance_id: str, seconds: float, even_if_mounted: bool = True,
    trash: dict[str, str] | None = None,
) -> Any:  # fmt: skip
    """The running machine, rows, and definition; then the trash, if the volume is to lie there."""
    op.step(steps.before_definition, instance_id)
    effect = op.step(steps.pull_out, instance_id, volume_id, seconds, even_if_mounted)
    op.step(steps.take_from_place, volume_id, instance_id)
    op.step(steps.redefine, instance_id)
    if trash is not None:
        op.step(storage.trash_volume, volume_id, trash["trash_id"], trash["purge_at"])
    return {"volume_id": volume_id, "instance_id": instance_id, "effect": effect}


@operation("instance.detach")
def detach_disks(
    op: Op, instance_id: str, disks: list[dict[str, Any]], seconds: float, even_if_mounted: bool = False
) -> Any:
    """All mounts first, then one disk after the other out of the machine, all rows, the definition, the trash."""
    ids = [disk["volume_id"] for disk in disks]
    op.step(steps.before_definition, instance_id)
    if not even_if_mounted:
        op.step(steps.refuse_mounted, instance_id, ids)
    effects = [op.step(steps.pull_out, instance_id, each, seconds, even_if_mounted) for each in ids]
    for each in ids:
        op.step(steps.take_from_place, each, instance_id)
    op.step(steps.redefine, instance_id)
    for disk in disks:
        if disk["trash"] is not None:
            op.step(storage.trash_volume, disk["volume_id"], disk["trash"]["trash_id"], disk["trash"]["purge_at"])
    report = [
        {"volume_id": disk["volume_id"], "effect": effect, "trashed": disk["trash"] is not None}
        for disk, effect in zip(disks, effects, strict=True)
    ]
    return {"instance_id": instance_id, "disks": report}


@operation("volume.grow")
def grow_volume(op: Op, volume_id: str, size_bytes: int) -> Any:
    """The promise of the pool, then the guest, or the file."""
    op.step(steps.promise_growth, volume_id, size_bytes)
    effect = op.step(steps.grow_volume, volume_id, size_bytes)
    return {"volume_id": volume_id, "size_bytes": size_bytes, "effect": effect}
