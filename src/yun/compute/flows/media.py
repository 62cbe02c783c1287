"""The operations of CD drives as recipes: insert, eject."""

from __future__ import annotations

from typing import Any

from yun.compute import steps
from yun.operations.flow import Op, operation


@operation("instance.insert")
def insert(
    op: Op, instance_id: str, drive_id: str, wanted: dict[str, Any], force: bool, boot_once: bool = False
) -> Any:
    """Rows, definition, and the running machine; and, if asked for, that the next start boots from it."""
    done = _have(op, instance_id, drive_id, wanted, force)
    if boot_once:
        op.step(steps.have_boot_once, instance_id, wanted["slot"])
    return done


@operation("instance.eject")
def eject(op: Op, instance_id: str, drive_id: str, wanted: dict[str, Any] | None, force: bool) -> Any:
    """The same, with nothing in the drive, or without it."""
    return _have(op, instance_id, drive_id, wanted, force)


def _have(op: Op, instance_id: str, drive_id: str, wanted: dict[str, Any] | None, force: bool) -> dict[str, Any]:
    op.step(steps.before_definition, instance_id)
    was = op.step(steps.have_drive, instance_id, drive_id, wanted)["was"]
    effect = op.step(steps.load_drive, instance_id, drive_id, was, force)
    return {"instance_id": instance_id, "drive_id": drive_id, "effect": effect}
