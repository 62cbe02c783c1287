"""The operations of host devices as recipes: look for them, give one, take it back."""

from __future__ import annotations

from typing import Any

from yun.compute import steps
from yun.compute.steps import host_devices as devices
from yun.compute.steps import seeing
from yun.operations.flow import Op, operation, periodic


@periodic("host.find_devices", every=30.0)
@operation("host.find_devices")
def find_devices(op: Op) -> None:
    """Look on all hosts."""
    op.step(seeing.find_devices)


@operation("instance.add_host_device")
def add_host_device(op: Op, instance_id: str, device_ids: list[str]) -> Any:
    """Rows, the definition, and the running machine."""
    op.step(steps.before_definition, instance_id)
    op.step(devices.give_devices, instance_id, device_ids)
    effect = op.step(devices.plug_devices, instance_id, device_ids)
    return {"instance_id": instance_id, "device_ids": device_ids, "effect": effect}


@operation("instance.remove_host_device")
def remove_host_device(op: Op, instance_id: str, device_ids: list[str], seconds: float) -> Any:
    """The running machine, rows, and the definition."""
    op.step(steps.before_definition, instance_id)
    effect = op.step(devices.pull_devices, instance_id, device_ids, seconds)
    op.step(devices.take_devices, instance_id, device_ids)
    op.step(steps.redefine, instance_id)
    return {"instance_id": instance_id, "device_ids": device_ids, "effect": effect}
