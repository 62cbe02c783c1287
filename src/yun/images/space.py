"""Whether the disk of a pool holds a file on its way: asked before a copy is begun, and watched while it grows."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from yun.base.errors import DriverError, NoCapacity
from yun.base.messages import _
from yun.base.units import MIB, format_size
from yun.drivers.volume.port import VolumeStore
from yun.drivers.volume.rules import BASES, folder_of
from yun.operations.flow import Op
from yun.storage.model import Pool

LOOK_SECONDS = 1.0
TABLES, TABLES_LEAST = 1024, 2 * MIB
"""More than the tables of a qcow2 ever take: a share of its virtual size, and what the smallest one has."""
MAKE_ROOM = _("Empty the trash, delete what is not needed, or enlarge the file system of the pool.")


def left(op: Op, pool: Pool) -> int:
    """How many bytes may still be written to the pool: what its disk has free, without the reserve."""
    free = op.drivers.on(pool.host_id).volume.pool_facts(pool.path).free_bytes
    return max(free - pool.reserve_bytes, 0)


def check_copy(op: Op, pool: Pool, source: str, *, source_format: str = "") -> None:
    """Pass where an independent copy of a disk file fits into the pool, whatever the file looks like from outside: a
    small one may unpack to a large disk. Raises `NoCapacity`."""
    store, room = op.drivers.on(pool.host_id).volume, left(op, pool)
    if 0 < _most(store, source, source_format) <= room:
        return
    need = store.measure(source, source_format=source_format)
    if need > room:
        raise NoCapacity(
            _(
                "The copy of the disk needs up to {need}; the pool {pool} has {free} left.",
                need=format_size(need), pool=pool.name, free=format_size(room),
            ),
            hint=MAKE_ROOM,
            details={"pool_id": pool.id, "need_bytes": need, "left_bytes": room},
        )  # fmt: skip


def _most(store: VolumeStore, source: str, source_format: str) -> int:
    """What a copy takes that is written all over, tables included, by the first bytes of a pool's own disk; 0 where
    they do not tell, or a stranger wrote them. With room for that, nobody needs to look what it has written."""
    if source_format not in ("", "raw") or folder_of(source) not in BASES:
        return 0
    seen = store.glance(source, source_format)
    return seen.virtual_bytes + seen.virtual_bytes // TABLES + TABLES_LEAST if seen.virtual_bytes else 0


def watched(op: Op, pool: Pool, progress: Callable[[float], None]) -> Callable[[float], None]:
    """``progress`` that also looks at the pool's disk, once a second at most, and raises `NoCapacity` once the
    reserve is touched: others write to the same disk meanwhile. A look that fails is no reason to stop."""
    looked = [-LOOK_SECONDS]

    def report(part: float) -> None:
        now = op.clock.monotonic()
        if now - looked[0] >= LOOK_SECONDS or looked[0] < 0:
            looked[0] = now
            with suppress(DriverError):
                _refuse_reserve(op, pool)
        progress(part)

    return report


def _refuse_reserve(op: Op, pool: Pool) -> None:
    free = op.drivers.on(pool.host_id).volume.pool_facts(pool.path).free_bytes
    if free < pool.reserve_bytes:
        raise NoCapacity(
            _(
                "Stopped before the disk is full: {free} are free in the pool {pool}, of which {reserve} are kept in "
                "reserve.",
                free=format_size(free), pool=pool.name, reserve=format_size(pool.reserve_bytes),
            ),
            hint=MAKE_ROOM,
        )  # fmt: skip
