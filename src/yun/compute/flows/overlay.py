"""The operation of overlays as a recipe."""

from __future__ import annotations

from typing import Any

from yun.compute import steps
from yun.operations.flow import Op, operation


@operation("instance.set_overlay")
def set_overlay(op: Op, instance_id: str, overlay: str, was: dict[str, str] | None = None) -> Any:
    """The hypervisor takes the definition first; only then the rows say so. ``was`` is what was laid over it when it
    was asked for."""
    op.step(steps.before_hardware, instance_id)
    op.step(steps.try_overlay, instance_id, overlay, was)
    op.step(steps.have_overlay, instance_id, overlay)
    return {"instance_id": instance_id}
