"""Making an OVA of disk files in pools: each is copied to a compressed VMDK, then all go into one tar."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from yun.images.appliance.writing import DiskFile, Machine, describe, manifest
from yun.images.model import Export
from yun.images.places import pool_of, share
from yun.images.space import check_copy, watched
from yun.operations.flow import Op
from yun.storage.model import Pool


@dataclass(frozen=True)
class Source:
    """A disk to go in: the file that holds it, how large its guest sees it, and its bus. ``format`` is given where the
    file must not be looked at for it."""

    path: str
    capacity: int
    bus: str
    format: str = ""


def bundle(
    op: Op, export_id: str, name: str, sources: Sequence[Source], machine: Callable[[list[DiskFile]], Machine]
) -> dict[str, Any]:
    """The export's file is an OVA of these disks, and the export is ready. Each copy is thrown away as it is in the
    tar. Repeating it begins anew. ``name`` begins the names of the files in it; ``machine`` describes what they belong
    to. Raises `NoCapacity` before or while the pool's reserve is touched."""
    with op.read() as session:
        export = session.get_one(Export, export_id)
    pool = pool_of(op, export.pool_id)
    store = op.drivers.on(pool.host_id).volume
    files = []
    for number, source in enumerate(sources):
        done = (0.8 * number / len(sources), 0.8 * (number + 1) / len(sources))
        where = f"{pool.path}/incoming/{export_id}.{number}"
        files.append((_copied(op, pool, source, f"{name}-disk{number + 1}.vmdk", where, done), where))
    text = describe(machine([file for file, _path in files]))
    sums = manifest([
        (f"{name}.ovf", hashlib.sha256(text).hexdigest()), *((file.file, file.sha256) for file, _path in files)
    ])  # fmt: skip
    members: list[tuple[str, bytes | str]] = [(f"{name}.ovf", text), (f"{name}.mf", sums)]
    members += [(file.file, where) for file, where in files]
    length = store.bundle(export.path, members, watched(op, pool, share(op, "copy", 0.8, 0.9)))
    sha256 = store.digest(export.path, share(op, "check", 0.9, 1.0))
    with op.write() as session:
        row = session.get_one(Export, export_id)
        row.state, row.size_bytes, row.checksum = "ready", length, sha256
    return {"export_id": export_id, "format": "ova", "size_bytes": length, "sha256": sha256}


def _copied(
    op: Op, pool: Pool, source: Source, name: str, path: str, done: tuple[float, float]
) -> DiskFile:
    """One disk is a VMDK in the pool; what the description says of it."""
    store = op.drivers.on(pool.host_id).volume
    middle = done[0] + 0.8 * (done[1] - done[0])
    check_copy(op, pool, source.path, source_format=source.format)
    store.convert(
        source.path, path, format="vmdk", progress=watched(op, pool, share(op, "convert", done[0], middle)),
        source_format=source.format,
    )
    sha256 = store.digest(path, share(op, "check", middle, done[1]))
    return DiskFile(name, store.inspect(path).length, source.capacity, sha256, source.bus)


def unbundle(op: Op, export_id: str) -> None:
    """Nothing of the export's files is left in its pool; its row stays."""
    with op.read() as session:
        row = session.get(Export, export_id)
        pool = session.get(Pool, row.pool_id) if row is not None else None
    if pool is None:
        return
    store = op.drivers.on(pool.host_id).volume
    for each in store.list_files(pool.path, ("incoming",)):
        if each.rpartition("/")[2].startswith(export_id + "."):
            store.delete(each)
