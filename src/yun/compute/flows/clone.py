"""The operation of clones as a recipe: freeze the source, then make each copy as any other instance."""

from __future__ import annotations

from typing import Any

from yun.compute import steps
from yun.compute.model import State
from yun.network import steps as network
from yun.operations.flow import Op, operation
from yun.storage import steps as storage


@operation("instance.clone")
def clone(
    op: Op, source_id: str, freezes: list[dict[str, Any]], copies: list[dict[str, Any]], full: bool, start: bool
) -> Any:
    """The source's disks become layers; each copy gets disks on them or of them, cards, seed, definition, power."""
    plans = op.step(steps.begin_copies, [copy["instance_id"] for copy in copies])
    frozen = op.step(steps.freeze_source, source_id, freezes)
    volumes = [(v["volume_id"], frozen["layers"][v["of"]]) for copy in copies for v in copy["volumes"]]
    if full:
        for number, (volume_id, layer_id) in enumerate(volumes):
            op.step(steps.copy_disk, volume_id, layer_id, [number / len(volumes), (number + 1) / len(volumes)])
    else:
        op.step(steps.stand_on, dict(volumes))
        for volume_id, _layer_id in volumes:
            op.step(storage.make_volume, volume_id)
    for copy in copies:
        instance_id = copy["instance_id"]
        plan = plans[instance_id]
        for port_id in plan["ports"]:
            op.step(network.plug_port, port_id, plan["host_id"])
        op.step(steps.write_seed, instance_id)
        op.step(steps.copy_nvram, source_id, instance_id)
        op.step(steps.define, instance_id)
    for copy in copies:
        if start:
            op.step(steps.power_on, copy["instance_id"], [State.BUILDING, ""])
        else:
            op.step(steps.finish_stopped, copy["instance_id"])
    return {"instance_ids": [copy["instance_id"] for copy in copies], "consistency": frozen["consistency"]}
