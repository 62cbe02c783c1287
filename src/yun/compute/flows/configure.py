"""The operations of hardware as recipes: configure, drop what is pending."""

from __future__ import annotations

from typing import Any

from yun.compute import steps
from yun.compute.steps.change_disk import have_disks
from yun.operations.flow import Op, operation


@operation("instance.configure")
def configure(op: Op, instance_id: str, values: dict[str, Any], was: dict[str, Any] | None = None) -> Any:
    """Rows, the definition of the next start, and what the running machine takes at once; ``was`` is what the fields
    were when it was asked for."""
    op.step(steps.before_hardware, instance_id)
    op.step(steps.have_hardware, instance_id, values, was)
    op.step(steps.redefine, instance_id)
    op.step(steps.take_live, instance_id)
    return {"instance_id": instance_id}


@operation("instance.drop_pending")
def drop_pending(
    op: Op, instance_id: str, size: dict[str, Any], values: dict[str, Any], boot_order: list[str] | None = None,
    disks: dict[str, Any] | None = None,
) -> Any:
    """Rows and definition are again what runs."""
    op.step(steps.before_hardware, instance_id)
    if values:
        op.step(steps.have_hardware, instance_id, values)
    if size:
        op.step(steps.have_size, instance_id, size)
    if boot_order is not None:
        op.step(steps.have_boot_order, instance_id, boot_order)
    if disks:
        op.step(have_disks, instance_id, disks)
    op.step(steps.redefine, instance_id)
    return {"instance_id": instance_id}
