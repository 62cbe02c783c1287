"""The operations by which whole machines come in and go out as one file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from yun.compute import steps
from yun.compute.steps import exports
from yun.images.appliance import steps as appliances
from yun.network import steps as network
from yun.operations.flow import Op, operation
from yun.storage import steps as storage


@operation("instance.import")
def import_(op: Op, instance_id: str, upload_id: str, path: str, disks: list[list[Any]]) -> Any:
    """Volumes, filled one after the other from the uploaded file; ports, definition. It stays stopped."""
    plan = op.step(steps.begin_building, instance_id)
    op.step(appliances.claim_upload, upload_id, path)
    for volume_id, _disk in disks:
        op.step(storage.make_volume, volume_id)
    for number, (volume_id, disk) in enumerate(disks):
        if disk["file"]:
            done = [0.9 * number / len(disks), 0.9 * (number + 1) / len(disks)]
            op.step(appliances.take_disk, volume_id, path, disk, done)
    for port_id in plan["ports"]:
        op.step(network.plug_port, port_id, plan["host_id"])
    op.step(steps.define, instance_id)
    op.step(steps.finish_stopped, instance_id)
    op.step(appliances.drop_upload, upload_id, path)
    return {"instance_id": instance_id}


@operation("instance.export")
def export(
    op: Op, export_id: str, instance_id: str, freezes: list[dict[str, Any]] | None = None, still: Sequence[str] = ()
) -> Any:
    """A copy as one file to download; of a machine that runs, of its disks as they are at one moment."""
    op.step(exports.begin_export, export_id, instance_id)
    frozen = None
    if freezes is not None:
        frozen = op.step(steps.freeze_source, instance_id, freezes, True, list(still))
    return op.step(exports.make_appliance, export_id, instance_id, frozen)
