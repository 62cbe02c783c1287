"""Where files on their way in and out lie in a pool, under whose name a layer is held, how far a part of a step is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from yun.base.errors import DriverError
from yun.base.messages import Message, _
from yun.operations.flow import Op
from yun.storage.model import Pool

PARTS = (".part", ".part.json", ".disk", ".qcow2")
SHOWN = {
    "fetch": _("Fetching"),
    "check": _("Checking"),
    "copy": _("Copying"),
    "unpack": _("Unpacking"),
    "convert": _("Converting"),
    "build": _("Building"),
}


def holder(image_id: str) -> str:
    """Under what name an image holds its layer."""
    return f"image:{image_id}"


def pool_of(op: Op, pool_id: str) -> Pool:
    """The pool's row, read afresh."""
    with op.read() as session:
        return session.get_one(Pool, pool_id)


def place(op: Op, pool_id: str, name: str) -> Path:
    """Where a file on its way in lies. Raises `DriverError` where the pool's directory is not there."""
    folder = Path(pool_of(op, pool_id).path) / "incoming"
    if op.settings.fake:
        folder.mkdir(parents=True, exist_ok=True)
    if not folder.is_dir():
        raise DriverError(
            _("There is no pool in the directory {path}.", path=str(folder.parent)),
            hint=_("Check that its file system is mounted."),
        )
    return folder / name


def clear(op: Op, image_id: str, pool_id: str) -> None:
    """Nothing of what an image was being made of is left in the pool."""
    for ending in PARTS:
        place(op, pool_id, image_id + ending).unlink(missing_ok=True)
    pool = pool_of(op, pool_id)
    op.drivers.on(pool.host_id).volume.delete(f"{pool.path}/incoming/{image_id}.qcow2")


def share(op: Op, what: str, start: float, end: float) -> Callable[[float], None]:
    """Progress of one part of a step, as a share of the whole operation."""
    text: Message = SHOWN[what]
    return lambda part: op.progress(start + (end - start) * part, text)
