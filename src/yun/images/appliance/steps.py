"""The journaled steps by which an uploaded appliance becomes the volumes of an instance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from yun.base.errors import Invalid, NoCapacity, Unavailable
from yun.base.messages import _
from yun.base.units import format_size
from yun.images.appliance.archive import refuse, shown
from yun.images.appliance.descriptor import ApplianceDisk
from yun.images.appliance.taking import take
from yun.images.model import Upload
from yun.images.places import pool_of, share
from yun.images.service.uploads import KEPT
from yun.images.space import check_copy, left, watched
from yun.operations.flow import Op, step
from yun.operations.model import Operation, State
from yun.storage.model import Volume
from yun.storage.service import disk_path


def _give_back(op: Op, output: Any, upload_id: str, path: str) -> None:
    """An appliance that only met a full disk, or whose import was cancelled, waits for another try. Any other goes: the
    file itself may be at fault, and must not be taken for the one that is sent next; and what becomes a volume as soon
    as it is here cannot be asked for again."""
    with op.read() as session:
        row = session.scalars(sa.select(Operation).where(Operation.id == op.id)).one()
        upload = session.get(Upload, upload_id)
    may_be_fine = row.outcome == State.CANCELLED or (row.error or {}).get("code") == NoCapacity.code
    if upload is None or upload.purpose != "appliance" or not may_be_fine:
        drop_upload.call(op, upload_id, path)
        return
    Path(part_of(path)).unlink(missing_ok=True)
    with op.write() as session:
        kept = session.get(Upload, upload_id)
        if kept is not None and kept.operation_id == op.id:
            kept.operation_id, kept.expires_at = None, op.clock.now() + KEPT


@step(undo=_give_back)
def claim_upload(op: Op, upload_id: str, path: str) -> None:
    """The upload belongs to this operation, so that nobody throws it away. Undo gives it back, or removes it with its
    file where that may be at fault."""
    with op.write() as session:
        row = session.get(Upload, upload_id)
        if row is None or not Path(path).is_file():
            raise Unavailable(_("The uploaded file is gone."), hint=_("Upload it again."))
        row.operation_id = op.id


@step()
def drop_upload(op: Op, upload_id: str, path: str) -> None:
    """The uploaded file is not needed any more: it is gone, with its row and what was taken out of it."""
    for each in (path, part_of(path)):
        Path(each).unlink(missing_ok=True)
    with op.write() as session:
        row = session.get(Upload, upload_id)
        if row is not None:
            session.delete(row)


def part_of(path: str) -> str:
    """Where one disk of an uploaded appliance lies while it is copied."""
    return path.removesuffix(".part") + ".disk"


def _untaken(op: Op, output: Any, volume_id: str, path: str, disk: dict[str, Any], done: list[float]) -> None:
    Path(part_of(path)).unlink(missing_ok=True)


@step(undo=_untaken)
def take_disk(op: Op, volume_id: str, path: str, disk: dict[str, Any], done: list[float]) -> dict[str, Any]:
    """The volume's file holds what the appliance's disk holds, in our own format.

    One disk at a time is taken out, held against its checksum, copied, and thrown away. ``done`` is from where to
    where the operation's progress goes. Precondition: the volume was made and nothing has it open. Raises `Invalid`
    for a disk that is not what its description says, `NoCapacity` before or while the pool's reserve is touched.
    """
    source, part = ApplianceDisk(**disk), part_of(path)
    with op.read() as session:
        volume = session.get_one(Volume, volume_id)
        head = disk_path(session, volume_id)
    pool = pool_of(op, volume.pool_id)
    middle = (done[0] + done[1]) / 2
    progress = watched(op, pool, share(op, "unpack", done[0], middle))
    taken = take(path, source, part, room=left(op, pool), progress=progress)
    store = op.drivers.on(pool.host_id).volume
    try:
        facts = store.inspect(part)
    except Invalid as error:
        raise refuse(_("the disk {name} cannot be used: {why}", name=shown(source.file), why=error.message)) from error
    if facts.format == "iso" or store.check(part):
        raise refuse(_("{name} in it is no disk, or is damaged", name=shown(source.file)))
    if facts.virtual_bytes > volume.size_bytes:
        raise refuse(
            _("{name} is larger than the disk of {size} that it claims to be",
              name=shown(source.file), size=format_size(source.capacity))
        )  # fmt: skip
    check_copy(op, pool, part)
    progress = watched(op, pool, share(op, "convert", middle, done[1]))
    store.convert(part, head, format="qcow2", progress=progress)
    store.grow(head, volume.size_bytes)
    Path(part).unlink(missing_ok=True)
    return {"volume_id": volume_id, "file": source.file, "format": facts.format, "bytes": taken}
