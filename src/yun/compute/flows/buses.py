"""The operation that moves a disk to another bus."""

from __future__ import annotations

from typing import Any

from yun.compute import steps
from yun.compute.steps import buses
from yun.operations.flow import Op, operation


@operation("volume.change_bus")
def change_bus(op: Op, volume_id: str, instance_id: str, place: dict[str, str]) -> Any:
    """Rows, and the definition that counts from the next start on."""
    op.step(steps.before_definition, instance_id)
    op.step(buses.move_to_bus, volume_id, instance_id, place)
    op.step(steps.redefine, instance_id)
    return {"volume_id": volume_id, "instance_id": instance_id, **place}
