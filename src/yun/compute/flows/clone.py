"""The operations that copy machines as recipes: clones, and images made of machines. Both freeze the source first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from yun.compute import steps
from yun.compute.model import State
from yun.images import steps as images
from yun.images.places import holder
from yun.network import steps as network
from yun.operations.flow import Op, Step, operation
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
    copied, linked = _disks([v for copy in copies for v in copy["volumes"]], frozen["layers"], full)
    if linked:
        op.step(steps.stand_on, linked)
    ids = [copy["instance_id"] for copy in copies]
    share = 1 / max(len(copied), 1)
    filled = [(make, volume_id, of, [n * share, (n + 1) * share]) for n, (make, volume_id, of) in enumerate(copied)]
    op.together([
        *((keep, source_id, i) for i in ids for keep in _keeping(plans[i])),  # as old as the disks
        *((storage.make_volume, volume_id) for volume_id in linked),
        *((network.plug_port, port_id, plans[i]["host_id"]) for i in ids for port_id in plans[i]["ports"]),
        *((make, i) for i in ids for make in (steps.write_seed, steps.define)),
        *filled[:1],
    ])  # fmt: skip
    for make, *args in filled[1:]:  # one after another: each of them alone keeps the disk busy
        op.step(make, *args)
    if start:
        op.together([(steps.power_on, i, [State.BUILDING, ""]) for i in ids])
    else:
        op.together([(steps.finish_stopped, i) for i in ids])
    return {"instance_ids": [copy["instance_id"] for copy in copies], "consistency": frozen["consistency"]}


def _keeping(plan: dict[str, Any]) -> list[Step]:
    """The steps that copy what firmware and TPM keep, where the copy has them; an operation that an older version began
    does not say, and walks both."""
    own = plan.get("own", [steps.NVRAM, steps.TPM])
    return [keep for what, keep in ((steps.NVRAM, steps.copy_nvram), (steps.TPM, steps.copy_tpm)) if what in own]


def _disks(
    volumes: list[dict[str, str]], layers: dict[str, str], full: bool
) -> tuple[list[tuple[Step, str, str]], dict[str, str]]:
    """Which volumes are copied, how and of what: all of full copies, and those of what was not frozen. The others
    stand on layers."""
    copied, linked = [], {}
    for volume in volumes:
        volume_id, of = volume["volume_id"], volume["of"]
        if of not in layers:
            copied.append((steps.copy_still, volume_id, of))
        elif full:
            copied.append((steps.copy_disk, volume_id, layers[of]))
        else:
            linked[volume_id] = layers[of]
    return copied, linked


@operation("instance.make_image")
def make_image(
    op: Op, source_id: str, freezes: list[dict[str, Any]], image_id: str, layer_id: str, pool_id: str, compress: bool
) -> Any:
    """The boot disk becomes a layer; its copy in our own format becomes the image's file."""
    op.step(images.begin, image_id)
    frozen = op.step(steps.freeze_source, source_id, freezes, False)
    file = op.step(steps.layer_file, frozen["layers"][freezes[0]["volume_id"]])
    copied = op.step(images.convert, image_id, pool_id, file, compress)
    layer = op.step(storage.adopt_layer, layer_id, pool_id, copied, holder(image_id))
    op.step(images.activate, image_id, layer["layer_id"], {"sha256": layer["digest"]}, {"format": "qcow2"})
    return {"image_id": image_id, "consistency": frozen["consistency"]}
