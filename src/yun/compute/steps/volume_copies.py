"""Steps that read a volume as a whole: find out whether a machine has it open, copy it, make a file to download."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from yun.base.errors import Conflict
from yun.base.messages import _
from yun.compute.model import Instance
from yun.compute.steps.clone import STOPPED
from yun.compute.steps.move import COPYING
from yun.drivers.hypervisor.port import Power
from yun.images.filling import fill_volume
from yun.images.model import Export
from yun.images.places import pool_of, share
from yun.images.space import check_copy, watched
from yun.operations.flow import Op, step
from yun.storage import service as storage
from yun.storage.model import Head, Layer, Volume, VolumeState
from yun.storage.service.volumes import head_of
from yun.storage.steps.shared import told_format
from yun.storage.steps.volumes import unmake_volume

UP = (Power.RUNNING, Power.PAUSED)


@step()
def is_written(op: Op, source_id: str, instance_id: str | None) -> bool:
    """Whether a machine that is up writes to the volume. Precondition: the operation holds the machine's key, so that
    none begins to meanwhile. Raises `Conflict` where another instance has it than when it was asked for."""
    with op.read() as session:
        place = storage.attachment_of(session, source_id)
        if (place.instance_id if place is not None else None) != instance_id:
            raise Conflict(_("The volume has changed meanwhile."), hint=_("Ask for it again."))
        row = session.get(Instance, instance_id) if instance_id else None
        path = storage.disk_path(session, source_id)
    if row is None or place is None:
        return False
    hypervisor = op.drivers.on(row.host_id).hypervisor
    if hypervisor.state(row.uuid).power not in UP:
        return False
    plugged = hypervisor.disks(row.uuid).get(place.slot)
    written = plugged is not None and plugged.path == path and not place.readonly
    if written and head_adopted(op, source_id):
        raise Conflict(_("The volume has changed meanwhile."), hint=_("Ask for it again."))
    return written


def head_adopted(op: Op, volume_id: str) -> bool:
    """Whether the volume's file was taken over and lies outside of the pools."""
    with op.read() as session:
        return head_of(session, volume_id).adopted


def _file(session: Session, source_id: str, layer_id: str | None) -> Layer | Head:
    """What is read: the frozen file, else the volume's own, which nobody writes to."""
    return storage.get_layer(session, layer_id) if layer_id else head_of(session, source_id)


def _uncopy(op: Op, output: Any, volume_id: str, source_id: str, layer_id: str | None, how: str) -> None:
    unmake_volume(op, output, volume_id)


@step(undo=_uncopy)
def copy_volume(op: Op, volume_id: str, source_id: str, layer_id: str | None, how: str) -> str:
    """The new volume's file is an independent copy of the source's (``layer_id``: of the layer that it was frozen to),
    and the volume is available. Raises `NoCapacity` before or while the pool's reserve would be touched; nothing is
    left of it then, and the source was only read. Undo removes file and rows."""
    with op.read() as session:
        volume, file = session.get_one(Volume, volume_id), _file(session, source_id, layer_id)
    if volume.state == VolumeState.BUILDING:
        data = {"copied_from": source_id, "consistency": how or STOPPED}
        fill_volume(
            op, volume_id, file.path, lambda part: op.progress(part, COPYING), source_format=told_format(file),
            alone=layer_id is None, **data,
        )  # fmt: skip
    return volume_id


def _unmake(op: Op, output: Any, export_id: str, *_rest: Any) -> None:
    with op.read() as session:
        row = session.get(Export, export_id)
    if row is not None:
        op.drivers.on(pool_of(op, row.pool_id).host_id).volume.delete(row.path)


@step(undo=_unmake)
def make_download(op: Op, export_id: str, source_id: str, layer_id: str | None, compress: bool) -> dict[str, Any]:
    """The volume's content is a file to download, with its checksum. Raises `NoCapacity` before or while the pool's
    reserve would be touched; undo removes the file."""
    with op.read() as session:
        export, file = session.get_one(Export, export_id), _file(session, source_id, layer_id)
    pool = pool_of(op, export.pool_id)
    store = op.drivers.on(pool.host_id).volume
    told = told_format(file)
    check_copy(op, pool, file.path, source_format=told)
    store.convert(
        file.path, export.path, format="raw" if export.format == "raw" else "qcow2", compress=compress,
        progress=watched(op, pool, share(op, "copy", 0.0, 0.8)), source_format=told, alone=layer_id is None,
    )  # fmt: skip
    sha256 = store.digest(export.path, share(op, "check", 0.8, 1.0))
    facts = store.inspect(export.path, "raw" if export.format == "raw" else "")
    with op.write() as session:
        row = session.get_one(Export, export_id)
        row.state, row.size_bytes, row.checksum = "ready", facts.length, sha256
    return {"export_id": export_id, "format": export.format, "size_bytes": facts.length, "sha256": sha256}
