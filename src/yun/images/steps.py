"""The journaled steps by which an image comes in, goes out, and goes.

A file on its way lies in the pool's ``incoming`` directory under the image's id; whatever fails takes it away again.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import not_found
from yun.base.errors import Invalid, Unavailable
from yun.base.messages import Message, _
from yun.images import judge, tidying
from yun.images.appliance import is_archive, take
from yun.images.appliance import read as read_appliance
from yun.images.appliance.bundling import Source, bundle
from yun.images.appliance.writing import Card, DiskFile, Machine
from yun.images.boot_records import boot_records
from yun.images.model import Export, Image, State
from yun.images.places import clear, holder, place, pool_of, share
from yun.images.service.exports import LEAST_MEMORY_MIB
from yun.images.service.look import must_allow, subject
from yun.images.sources import built, fetched, unreadable
from yun.images.space import check_copy, left, watched
from yun.operations.events import emit
from yun.operations.flow import Op, step, tx_step
from yun.operations.service import close_undo
from yun.storage import service as storage
from yun.storage.model import Layer, LayerHold, TrashItem

# ── in the database ──


def _forget(op: Op, session: Session, output: Any, image_id: str) -> None:
    image = session.get(Image, image_id)
    if image is not None:
        session.delete(image)
        emit(session, "image.removed", subject=subject(image), project_id=image.project_id, operation_id=op.id)


@tx_step(undo=_forget)
def begin(op: Op, session: Session, image_id: str) -> None:
    """The image is on its way in; taken back, its row is gone."""
    image = session.get_one(Image, image_id)
    image.state = State.IMPORTING
    emit(session, "image.importing", subject=subject(image), project_id=image.project_id, operation_id=op.id)


def _deactivate(op: Op, session: Session, output: Any, image_id: str, *_rest: Any) -> None:
    image = session.get(Image, image_id)
    if image is not None and output is not None:
        image.state, image.layer_id = State.IMPORTING, None


@tx_step(undo=_deactivate)
def activate(
    op: Op, session: Session, image_id: str, layer_id: str, got: dict[str, Any], found: dict[str, Any]
) -> dict[str, Any]:
    """Everything is done: the image can be used."""
    image, layer = session.get_one(Image, image_id), session.get_one(Layer, layer_id)
    image.layer_id = layer_id
    image.state = State.ACTIVE
    for field, value in got.get("properties", {}).items():
        setattr(image, field, value)
    image.kind = "iso" if found["format"] == "iso" else "disk"
    image.format, image.checksum, image.boots = found["format"], got["sha256"], found.get("boots", "")
    image.size_bytes, image.virtual_bytes = layer.file_bytes, layer.virtual_bytes
    if image.kind == "disk":
        image.min_disk_bytes = max(image.min_disk_bytes, layer.virtual_bytes)
    emit(session, "image.imported", subject=subject(image), project_id=image.project_id, operation_id=op.id)
    return {"layer_id": layer_id}


def _unchange(op: Op, session: Session, output: Any, image_id: str, values: dict[str, Any]) -> None:
    image = session.get(Image, image_id)
    if image is not None and output is not None:
        for field, value in output.items():
            setattr(image, field, value)
        emit(session, "image.updated", subject=subject(image), project_id=image.project_id, operation_id=op.id)


@tx_step(undo=_unchange)
def change(op: Op, session: Session, image_id: str, values: dict[str, Any]) -> dict[str, Any]:
    """Write properties; returns what they were."""
    image = session.get_one(Image, image_id)
    before = {field: getattr(image, field) for field in values}
    for field, value in values.items():
        setattr(image, field, value)
    emit(session, "image.updated", subject=subject(image), project_id=image.project_id, operation_id=op.id)
    return before


def _untrash(op: Op, session: Session, output: Any, image_id: str, purge_at: str) -> None:
    image = session.get(Image, image_id)
    if image is not None and output is not None:
        image.state, image.purge_at = State(output.get("state", State.ACTIVE)), None
        _drop_item(session, image_id)
        emit(session, "image.restored", subject=subject(image), project_id=image.project_id, operation_id=op.id)


@tx_step(undo=_untrash)
def trash(op: Op, session: Session, image_id: str, purge_at: str) -> dict[str, Any]:
    """The image lies in the trash until ``purge_at``, longer where the deletion had to wait; its layer stays.

    Raises `NotFound` and `Conflict` where it went meanwhile.
    """
    image = session.get(Image, image_id)
    if image is None:
        raise not_found("image", image_id)
    must_allow(image, "delete")
    was = image.state
    kept = max(datetime.fromisoformat(purge_at), storage.kept_until(op.clock.now(), op.settings))
    image.state, image.purge_at = State.TRASHED, kept
    session.add(
        TrashItem(
            kind="image", subject_id=image.id, project_id=image.project_id, name=image.name, bytes=image.size_bytes,
            trashed_at=op.clock.now(), purge_at=image.purge_at, operation_id=op.id,
        )
    )  # fmt: skip
    emit(session, "image.trashed", subject=subject(image), project_id=image.project_id, operation_id=op.id)
    return {"layer_id": image.layer_id, "state": was}


@tx_step()
def let_go(op: Op, session: Session, image_id: str) -> dict[str, Any] | None:
    """A trashed image's row is gone and it holds no layer any more; which ones it held, and where its unfinished files
    lie. None where there is nothing to purge: it is gone, or was brought back while the purge waited."""
    image = session.get(Image, image_id)
    if image is None or image.state != State.TRASHED:
        return None
    held = list(session.scalars(sa.select(LayerHold.layer_id).where(LayerHold.holder == holder(image_id))))
    for layer_id in held:
        storage.let_go(session, layer_id, holder(image_id))
    _drop_item(session, image_id)
    close_undo(session, "image", image_id)
    session.delete(image)
    session.flush()
    emit(session, "image.purged", subject=subject(image), project_id=image.project_id, operation_id=op.id)
    return {"layers": held, "unfinished": None if image.layer_id else image.pool_id}


@step()
def clear_away(op: Op, image_id: str, pool_id: str) -> None:
    """Nothing of an import that never ended is left in the pool. No way back: a step of purges."""
    clear(op, image_id, pool_id)


def _drop_item(session: Session, image_id: str) -> None:
    session.execute(sa.delete(TrashItem).where(TrashItem.kind == "image", TrashItem.subject_id == image_id))


# ── files ──


def _clear(op: Op, output: Any, image_id: str, pool_id: str, source: dict[str, Any], checksum: str) -> None:
    clear(op, image_id, pool_id)
    if source["kind"] == "upload":
        Path(source["path"]).unlink(missing_ok=True)


@step(undo=_clear, retries=6)
def obtain(op: Op, image_id: str, pool_id: str, source: dict[str, Any], checksum: str) -> dict[str, Any]:
    """The file is here, whole, and is the one that was meant: ``path``, ``bytes``, ``sha256``.

    Uploads lie here already; a host's file is copied, so that nobody changes it while it is looked at; an address is
    fetched, going on where an earlier try broke off; a recipe is built, or taken from an earlier build.
    """
    target = place(op, pool_id, image_id + ".part")
    match source["kind"]:
        case "upload":
            target = Path(source["path"])
            if not target.is_file():
                raise Unavailable(_("The uploaded file is gone."), hint=_("Upload it again."))
        case "file":
            try:
                progress = watched(op, pool_of(op, pool_id), share(op, "copy", 0.0, 0.4))
                judge.copy_sparse(source["path"], str(target), progress)
            except OSError as error:
                raise unreadable(source["path"], error) from error
        case "recipe":
            target = built(op, source["recipe"])
        case _:
            checksum = fetched(op, target, source, checksum, pool_id)
    if not target.stat().st_size:
        raise Invalid(_("The file is empty."))
    sha256 = judge.check_digest(target, checksum, share(op, "check", 0.5, 0.6))
    if source.get("compression") == "xz":
        from yun.images import fetch

        packed, target = target, place(op, pool_id, image_id + ".disk")
        progress = watched(op, pool_of(op, pool_id), share(op, "unpack", 0.6, 0.7))
        fetch.unpack_xz(packed, target, left(op, pool_of(op, pool_id)), progress)
        packed.unlink()
    found: dict[str, Any] = {}
    if is_archive(str(target)):
        target, found = _unpacked(op, image_id, pool_id, target)
    properties = {k: v for k, v in found.items() if k not in source.get("said", ())}
    return {"path": str(target), "bytes": target.stat().st_size, "sha256": sha256, "properties": properties}


def _unpacked(op: Op, image_id: str, pool_id: str, packed: Path) -> tuple[Path, dict[str, Any]]:
    """The one disk of an OVA, and what its description says of the system in it."""
    appliance = read_appliance(str(packed))
    disks = [disk for disk in appliance.disks if disk.file]
    if len(disks) != 1 or len(appliance.disks) != 1:
        raise Invalid(
            _("The OVA has {count} disks; an image has one.", count=len(appliance.disks)),
            hint=_("Import it as an instance: yun instance import."),
        )
    target, pool = place(op, pool_id, image_id + ".disk"), pool_of(op, pool_id)
    progress = watched(op, pool, share(op, "unpack", 0.6, 0.7))
    take(str(packed), disks[0], str(target), room=left(op, pool), progress=progress)
    hardware = "virtio" if disks[0].bus == "virtio" else "compatible"
    return target, {"firmware": appliance.firmware, "hardware": hardware}


def _under_its_own_name(op: Op, image_id: str, error: Invalid) -> Invalid:
    """The error with the name that the person knows in place of the file's name in the pool."""
    with op.read() as session:
        image = session.get_one(Image, image_id)
    name = image.source_name.rpartition("/")[2] or image.name
    params = {**error.message.params, "name": name} if "name" in error.message.params else error.message.params
    return Invalid(Message(error.message.text, params), hint=error.hint, fields=error.fields, private=error.private)


@step()
def inspect(op: Op, image_id: str, pool_id: str, got: dict[str, Any], wanted: str) -> dict[str, Any]:
    """What the file really is, and which firmware starts from a CD; refuses what is no disk, lies, is cut off, or
    refers to other files."""
    store = op.drivers.on(pool_of(op, pool_id).host_id).volume
    try:
        facts = store.inspect(got["path"])
    except Invalid as error:
        raise _under_its_own_name(op, image_id, error) from error
    if not facts.exists:
        raise Unavailable(_("The uploaded file is gone."), hint=_("Upload it again."))
    judge.check_found(got["path"], facts.format, wanted)
    # A reader takes what is missing at the end for zeros, so a file cut off on its way would pass unseen.
    if damage := store.check(got["path"]):
        raise Invalid(
            _("The file is damaged or cut off."), hint=_("Fetch or upload it again."), private="; ".join(damage)
        )
    boots = boot_records(got["path"]) if facts.format == "iso" else ""
    return {"format": facts.format, "virtual_bytes": facts.virtual_bytes, "boots": boots}


def _unconvert(op: Op, output: Any, image_id: str, pool_id: str, *_rest: Any) -> None:
    pool = pool_of(op, pool_id)
    op.drivers.on(pool.host_id).volume.delete(f"{pool.path}/incoming/{image_id}.qcow2")


@step(undo=_unconvert)
def convert(op: Op, image_id: str, pool_id: str, got: dict[str, Any], compress: bool) -> str:
    """A copy in our own format, free of whatever else the file held; returns its path. ``got`` says with ``told``
    what the file must be taken for, where it must not be found by looking. Raises `NoCapacity` before or
    while it would touch the pool's reserve."""
    pool = pool_of(op, pool_id)
    target = f"{pool.path}/incoming/{image_id}.qcow2"
    told = got.get("told", "")
    check_copy(op, pool, got["path"], source_format=told)
    progress = watched(op, pool, share(op, "convert", 0.7, 0.9))
    op.drivers.on(pool.host_id).volume.convert(
        got["path"], target, format="qcow2", progress=progress, compress=compress, source_format=told
    )  # fmt: skip
    return target


@step()
def sweep(op: Op, image_id: str, pool_id: str, source: dict[str, Any]) -> None:
    """What it was made from is not needed any more."""
    _clear(op, None, image_id, pool_id, source, "")


# ── exports ──


def _unexport(op: Op, output: Any, export_id: str, compress: bool) -> None:
    with op.write() as session:
        export = session.get(Export, export_id)
        if export is None:
            return
        path, pool_id = export.path, export.pool_id
        session.delete(export)
    store = op.drivers.on(pool_of(op, pool_id).host_id).volume
    for each in (path, f"{path.removesuffix('.ova')}.0"):
        store.delete(each)


@step(undo=_unexport)
def copy_out(op: Op, export_id: str, compress: bool) -> dict[str, Any]:
    """The image's disk as an independent file to download. Raises `NoCapacity` before or while it would touch the
    pool's reserve."""
    with op.read() as session:
        export = session.get_one(Export, export_id)
        image = session.get_one(Image, export.image_id)
        layer = session.get_one(Layer, image.layer_id)
    if export.format == "ova":
        return _appliance(op, export_id, image, layer)
    pool = pool_of(op, export.pool_id)
    store = op.drivers.on(pool.host_id).volume
    form: Literal["raw", "qcow2"] = "raw" if export.format == "raw" else "qcow2"
    check_copy(op, pool, layer.path)
    progress = watched(op, pool, share(op, "convert", 0.0, 0.8))
    store.convert(layer.path, export.path, format=form, progress=progress, compress=compress)
    sha256 = store.digest(export.path, share(op, "check", 0.8, 1.0))
    facts = store.inspect(export.path, "raw" if form == "raw" else "")
    with op.write() as session:
        row = session.get_one(Export, export_id)
        row.state, row.size_bytes, row.checksum = "ready", facts.length, sha256
    return {"export_id": export_id, "format": export.format, "size_bytes": facts.length, "sha256": sha256}


def _appliance(op: Op, export_id: str, image: Image, layer: Layer) -> dict[str, Any]:
    """The image as a machine of its own: one disk and one card, of the models that its system knows."""
    old = image.hardware == "compatible"
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", image.name).strip("-.")[:60] or image.id
    source = Source(layer.path, layer.virtual_bytes, "sata" if old else "virtio")

    def machine(files: list[DiskFile]) -> Machine:
        return Machine(
            name=image.name, description=image.description, system=f"{image.os} {image.os_version}".strip(), vcpus=1,
            memory_mib=image.min_memory_mib or LEAST_MEMORY_MIB, firmware=image.firmware, disks=files,
            cards=[Card("e1000" if old else "virtio", "default")],
        )  # fmt: skip

    return bundle(op, export_id, stem, [source], machine)


@step()
def tidy(op: Op) -> list[str] | None:
    """Throw away what is over and what nobody works on (`tidying`); None where there was nothing."""
    return tidying.tidy(op) or None
