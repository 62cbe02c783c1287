"""The operations that copy machines as recipes: clones, and images made of machines. Both freeze the source first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from yun.compute import steps
from yun.compute.model import State
from yun.images import steps as images
from yun.images.places import holder
from yun.network import steps as network
from yun.operations.flow import Op, operation
from yun.storage import steps as storage


@operation("instance.clone")
def clone(
    op: Op, source_id: str, freezes: list[dict[str, Any]], copies: list[dict[str, Any]], full: bool, start: bool,
    still: Sequence[str] = (),
) -> Any:  # fmt: skip
    """The source's disks become layers; each copy gets what the source's firmware and TPM keep, disks on the layers or
    of them, cards, seed, definition, power."""
    plans = op.step(steps.begin_copies, [copy["instance_id"] for copy in copies])
    frozen = op.step(steps.freeze_source, source_id, freezes, True, list(still))
    made = [[copy["instance_id"]] for copy in copies]
    op.steps(steps.copy_nvram, [[source_id, *each] for each in made])  # at once, so that they are as old as the disks
    op.steps(steps.copy_tpm, [[source_id, *each] for each in made])
    _make_disks(op, [v for copy in copies for v in copy["volumes"]], frozen["layers"], full)
    ports = [[port_id, plan["host_id"]] for plan in plans.values() for port_id in plan["ports"]]
    op.steps(network.plug_port, ports)
    op.steps(steps.write_seed, made)
    op.steps(steps.define, made)
    if start:
        op.steps(steps.power_on, [[*each, [State.BUILDING, ""]] for each in made])
    else:
        op.steps(steps.finish_stopped, made)
    return {"instance_ids": [copy["instance_id"] for copy in copies], "consistency": frozen["consistency"]}


def _make_disks(op: Op, volumes: list[dict[str, str]], layers: dict[str, str], full: bool) -> None:
    """Linked ones stand on the layers; others, and those of volumes that were not frozen, are copied."""
    copied = [v for v in volumes if full or v["of"] not in layers]
    for number, volume in enumerate(copied):
        share = [number / len(copied), (number + 1) / len(copied)]
        if volume["of"] in layers:
            op.step(steps.copy_disk, volume["volume_id"], layers[volume["of"]], share)
        else:
            op.step(steps.copy_still, volume["volume_id"], volume["of"], share)
    linked = {v["volume_id"]: layers[v["of"]] for v in volumes if not full and v["of"] in layers}
    if linked:
        op.step(steps.stand_on, linked)
    op.steps(storage.make_volume, [[volume_id] for volume_id in linked])


@operation("instance.make_image")
def make_image(
    op: Op, source_id: str, freezes: list[dict[str, Any]], image_id: str, layer_id: str, pool_id: str, compress: bool
) -> Any:
    """The boot disk becomes a layer; its copy in our own format becomes the image's file."""
    op.step(images.begin, image_id)
    frozen = op.step(steps.freeze_source, source_id, freezes, False)
    path = op.step(steps.layer_path, frozen["layers"][freezes[0]["volume_id"]])
    copied = op.step(images.convert, image_id, pool_id, {"path": path}, compress)
    layer = op.step(storage.adopt_layer, layer_id, pool_id, copied, holder(image_id))
    op.step(images.activate, image_id, layer["layer_id"], {"sha256": layer["digest"]}, {"format": "qcow2"})
    return {"image_id": image_id, "consistency": frozen["consistency"]}
