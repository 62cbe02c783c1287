"""What a pool has promised, what it holds, and whether more fits: thin disks are promises, files are real."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import NoCapacity, Unavailable
from yun.base.messages import _
from yun.base.units import MIB, format_size
from yun.storage.model import Layer, Pool, PoolState, Volume


@dataclass(frozen=True)
class Room:
    """A pool's books, in bytes. ``space`` is what the pool could fill (free and its own files), ``limit`` what may
    be promised, ``promised`` the sizes of all volumes (the trash included) and the files of all layers."""

    space: int
    limit: int
    promised: int
    free: int
    used: int

    @property
    def left(self) -> int:
        """What may still be promised."""
        return max(self.limit - self.promised, 0)


def promised(session: Session, pool_ids: list[str]) -> dict[str, int]:
    """What each pool has promised."""
    found = dict.fromkeys(pool_ids, 0)
    for table, column in ((Volume, Volume.size_bytes), (Layer, Layer.file_bytes)):
        query = sa.select(table.pool_id, sa.func.sum(column)).where(table.pool_id.in_(pool_ids)).group_by(table.pool_id)
        for pool_id, total in session.execute(query):
            found[pool_id] += int(total or 0)
    return found


def room_of(pool: Pool, promised_bytes: int) -> Room:
    """A pool's books."""
    space = pool.free_bytes + pool.used_bytes
    return Room(space, int(space * pool.overcommit), promised_bytes, pool.free_bytes, pool.used_bytes)


def check(session: Session, pool: Pool, need: int, *, now: int = 0) -> Room:
    """Pass where the pool may promise ``need`` bytes more and can hold ``now`` of them at once.

    Raises `NoCapacity` that names how much is short, and `Unavailable` where the pool does not answer.
    """
    if pool.state != PoolState.ACTIVE:
        raise Unavailable(
            _("The pool {pool} does not answer.", pool=pool.name), hint=_("Check that its file system is mounted.")
        )
    room = room_of(pool, promised(session, [pool.id])[pool.id])
    short = need - room.left
    if short > 0:
        raise NoCapacity(
            _(
                "The pool {pool} is {short} short: {need} are asked for, {left} may still be promised.",
                pool=pool.name, short=format_size(short), need=format_size(need), left=format_size(room.left),
            ),
            hint=_("Ask for less, empty the trash, or let an administrator raise the pool's overcommit."),
            details={"pool_id": pool.id, "short_bytes": short, "left_bytes": room.left},
        )  # fmt: skip
    lacking = now + pool.reserve_bytes - room.free
    if lacking > 0:
        raise NoCapacity(
            _(
                "The disk of the pool {pool} is nearly full: {short} are short, {free} are free and {reserve} of them "
                "are kept in reserve.",
                pool=pool.name, short=format_size(lacking), free=format_size(room.free),
                reserve=format_size(pool.reserve_bytes),
            ),
            hint=_("Empty the trash, delete what is not needed, or enlarge the file system of the pool."),
            details={"pool_id": pool.id, "short_bytes": lacking, "free_bytes": room.free},
        )  # fmt: skip
    return room


@contextmanager
def asked_in(field: str, *, had: int = 0) -> Iterator[None]:
    """Whoever finds in here that a pool cannot promise as much names the ``field`` in which the size was asked for, and
    the most that it could be; ``had`` bytes are promised to the same disk already."""
    try:
        yield
    except NoCapacity as error:
        left = error.details.get("left_bytes")
        if left is not None:
            most = (had + left) // MIB * MIB
            error.fields[field] = _("at most {size}", size=format_size(most)) if left >= MIB else _("another pool")
        raise
