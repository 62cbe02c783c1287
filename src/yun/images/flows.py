"""Operations of images: import, pull and build walk the same way; export, change, delete, purge, tidy."""

from __future__ import annotations

from typing import Any

from yun.images import steps, volume_steps
from yun.images.appliance import steps as appliances
from yun.images.places import holder
from yun.operations.flow import Op, operation, periodic
from yun.storage import steps as storage


def _bring(
    op: Op, image_id: str, layer_id: str, pool_id: str, source: dict[str, Any], wanted: dict[str, Any]
) -> dict[str, Any]:
    """Get the file, look at it, copy it into our format, freeze it, and only then let it be used."""
    op.step(steps.begin, image_id)
    got = op.step(steps.obtain, image_id, pool_id, source, wanted["checksum"])
    found = op.step(steps.inspect, image_id, pool_id, got, wanted["format"])
    path = op.step(steps.convert, image_id, pool_id, got, wanted["compress"])
    layer = op.step(storage.adopt_layer, layer_id, pool_id, path, holder(image_id))["layer_id"]
    op.step(steps.activate, image_id, layer, got, found)
    op.step(steps.sweep, image_id, pool_id, source)
    return {"image_id": image_id}


@operation("image.import")
def import_(op: Op, **arguments: Any) -> Any:
    """Make an image of an upload, a file of the host, or an address."""
    return _bring(op, **arguments)


@operation("image.pull")
def pull(op: Op, **arguments: Any) -> Any:
    """Make an image of the catalogue."""
    return _bring(op, **arguments)


@operation("image.build")
def build(op: Op, **arguments: Any) -> Any:
    """Make an image of a recipe."""
    return _bring(op, **arguments)


@operation("image.update")
def update(op: Op, image_id: str, values: dict[str, Any]) -> Any:
    """Change name or properties."""
    op.step(steps.change, image_id, values)
    return {"image_id": image_id}


@operation("image.tag")
def tag(op: Op, image_id: str, values: dict[str, Any]) -> Any:
    """Other tags."""
    op.step(steps.change, image_id, values)
    return {"image_id": image_id}


@operation("image.set_visibility")
def set_visibility(op: Op, image_id: str, values: dict[str, Any]) -> Any:
    """Let every project use it, or its own alone."""
    op.step(steps.change, image_id, values)
    return {"image_id": image_id}


@operation("image.delete")
def delete(op: Op, image_id: str, purge_at: str) -> Any:
    """Move an image to the trash."""
    op.step(steps.trash, image_id, purge_at)
    return {"image_id": image_id}


@operation("image.purge", forward=True)
def purge(op: Op, image_id: str) -> Any:
    """Remove a trashed image for good; its layer goes with the last that needs it."""
    gone = op.step(steps.let_go, image_id)
    if isinstance(gone, str):  # the layer alone: begun by an earlier version
        gone = {"layers": [gone], "unfinished": None}
    for layer_id in gone["layers"] if gone else ():
        op.step(storage.drop_layer, layer_id, holder(image_id))
    if gone and gone["unfinished"]:
        op.step(steps.clear_away, image_id, gone["unfinished"])
    return {"image_id": image_id, "purged": gone is not None}


@operation("volume.upload")
def upload_volume(op: Op, volume_id: str, upload_id: str, path: str, wanted: dict[str, Any]) -> Any:
    """Look at the file, promise what its disk needs, copy it into our format; the upload is used up."""
    op.step(storage.begin_volume, volume_id)
    op.step(appliances.claim_upload, upload_id, path)
    found = op.step(volume_steps.judge_disk, volume_id, path, wanted)
    size = op.step(volume_steps.take_size, volume_id, found["virtual_bytes"])
    op.step(volume_steps.fill_of_upload, volume_id, path, found)
    op.step(appliances.drop_upload, upload_id, path)
    return {"volume_id": volume_id, "size_bytes": size, **found}


@operation("image.export")
def export(op: Op, export_id: str, compress: bool) -> Any:
    """Make a copy to download."""
    return op.step(steps.copy_out, export_id, compress)


@periodic("image.tidy", every=600.0)
@operation("image.tidy")
def tidy(op: Op) -> Any:
    """Throw away forgotten uploads and copies."""
    return op.step(steps.tidy)
