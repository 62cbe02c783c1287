"""Where a new file goes, and whether it fits there beside what others were promised already."""

from __future__ import annotations

import os

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import NoCapacity, Unavailable
from yun.base.messages import _
from yun.base.units import format_size
from yun.images.model import Upload
from yun.storage import service as storage
from yun.storage.model import Pool


def room_for(session: Session, need: int, *, besides: str | None = None, pool: Pool | None = None) -> Pool:
    """The pool that images go to (or ``pool``). Raises `NoCapacity` where ``need`` bytes do not fit beside what open
    uploads (all but ``besides``) still have to receive."""
    pool = pool or storage.default_pool(session)
    if pool.state != "active":
        raise Unavailable(
            _("The pool {pool} does not answer.", pool=pool.name), hint=_("Check that its file system is mounted.")
        )
    free = max(pool.free_bytes - pool.reserve_bytes - outstanding(session, pool, besides), 0)
    if need > free:
        raise NoCapacity(
            _(
                "The file of {need} does not fit: the pool {pool} has {free} left.",
                need=format_size(need), pool=pool.name, free=format_size(free),
            ),
            hint=_("Empty the trash, delete what is not needed, or enlarge the file system of the pool."),
        )  # fmt: skip
    return pool


def outstanding(session: Session, pool: Pool, besides: str | None = None) -> int:
    """How many bytes the pool's open uploads still have to receive."""
    query = sa.select(Upload).where(Upload.pool_id == pool.id, Upload.operation_id.is_(None))
    return sum(upload.length_bytes - received(upload) for upload in session.scalars(query) if upload.id != besides)


def received(upload: Upload) -> int:
    """How many bytes have come: the length of the file, all of it once it has become an image."""
    if upload.operation_id is not None:
        return upload.length_bytes
    try:
        return min(os.path.getsize(upload.path), upload.length_bytes)
    except FileNotFoundError:
        return 0
