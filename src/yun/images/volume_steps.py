"""The journaled steps by which an uploaded disk file becomes a volume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from yun.base.errors import Invalid, Unavailable
from yun.base.messages import Message, _
from yun.images import judge
from yun.images.appliance import is_archive
from yun.images.filling import fill_volume
from yun.images.places import pool_of, share
from yun.operations.flow import Op, step, tx_step
from yun.storage import capacity, names
from yun.storage.model import Pool, Volume, VolumeState
from yun.storage.steps.volumes import unmake_volume


@step()
def judge_disk(op: Op, volume_id: str, path: str, wanted: dict[str, str]) -> dict[str, Any]:
    """What an uploaded file really is: its ``format``, ``virtual_bytes`` and ``sha256``. Nothing of it is believed.

    Raises `Invalid` for what is no disk, is not what was said, is cut off, or refers to other files.
    """
    with op.read() as session:
        pool = pool_of(op, session.get_one(Volume, volume_id).pool_id)
    file = Path(path)
    if not file.is_file():
        raise Unavailable(_("The uploaded file is gone."), hint=_("Upload it again."))
    if not file.stat().st_size:
        raise Invalid(_("The file is empty."))
    if is_archive(path):
        raise Invalid(
            _("The file is a whole machine, not a disk."), hint=_("Import it as an instance: yun instance import.")
        )
    sha256 = judge.check_digest(file, wanted["checksum"], share(op, "check", 0.0, 0.3))
    store = op.drivers.on(pool.host_id).volume
    try:
        facts = store.inspect(path)
    except Invalid as error:
        raise _as_named(error, wanted["name"]) from error
    judge.check_found(path, facts.format, wanted["format"])
    if facts.format == "iso":
        raise Invalid(_("The file is a CD, not a disk."), hint=_("Add it as an image: yun image import."))
    if damage := store.check(path):
        raise Invalid(
            _("The file is damaged or cut off."), hint=_("Fetch or upload it again."), private="; ".join(damage)
        )
    return {"format": facts.format, "virtual_bytes": facts.virtual_bytes, "sha256": sha256}


def _as_named(error: Invalid, name: str) -> Invalid:
    """The error with the name that the person knows in place of the file's name in the pool."""
    params = {**error.message.params, "name": name} if "name" in error.message.params else error.message.params
    return Invalid(Message(error.message.text, params), hint=error.hint, fields=error.fields, private=error.private)


@tx_step()
def take_size(op: Op, session: Session, volume_id: str, virtual_bytes: int) -> int:
    """The volume is as large as the disk in the file, and its pool has promised that. Raises `NoCapacity`, `Invalid`
    for a size that no volume can have."""
    volume = session.get_one(Volume, volume_id)
    size = names.check_size(max(virtual_bytes, names.LEAST))
    if size > volume.size_bytes:
        capacity.check(session, session.get_one(Pool, volume.pool_id), size - volume.size_bytes)
    volume.size_bytes = size
    return size


def _unfill(op: Op, output: Any, volume_id: str, path: str, found: dict[str, Any]) -> None:
    unmake_volume(op, output, volume_id)


@step(undo=_unfill)
def fill_of_upload(op: Op, volume_id: str, path: str, found: dict[str, Any]) -> str:
    """The volume's file holds what the uploaded one does, in our own format, and the volume is available. Raises
    `NoCapacity`; undo removes file and rows."""
    with op.read() as session:
        building = session.get_one(Volume, volume_id).state == VolumeState.BUILDING
    if building:
        report = share(op, "convert", 0.3, 1.0)
        fill_volume(op, volume_id, path, report, uploaded=found["format"], checksum=found["sha256"])
    return volume_id
