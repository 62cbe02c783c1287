"""Taking one disk out of an OVA: read once, unpacked and held against its checksum on the way."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from yun.base.errors import NoCapacity
from yun.base.messages import _
from yun.base.units import MIB, format_size
from yun.images.appliance import manifest
from yun.images.appliance.archive import refuse, shown
from yun.images.appliance.descriptor import ApplianceDisk
from yun.images.faults import disk_full, not_written

SPARE = 64 * MIB
"""A file that holds a disk is at most this much, and an eighth, larger than the disk."""


def take(
    path: str, disk: ApplianceDisk, target: str, *, room: int, progress: Callable[[float], None]
) -> int:
    """Write the disk's file out of the OVA at ``path`` to ``target``; how many bytes it has.

    ``room`` is how many bytes may be written. Raises `Invalid` for a wrong checksum, a broken packing, and one that
    unpacks to more than the disk it claims to be; `NoCapacity` where it does not fit. A target is left behind.
    """
    most = min(room, disk.capacity + disk.capacity // 8 + SPARE)
    written = 0
    try:
        with open(path, "rb") as source, open(target, "wb") as out:
            for block in _unpacked(source, disk, progress):
                written += len(block)
                if written > most:
                    raise _too_much(disk, room)
                out.write(block)
    except OSError as error:
        raise not_written(error, shown(disk.file)) from error
    return written


def _too_much(disk: ApplianceDisk, room: int) -> Exception:
    if room <= disk.capacity:
        full: NoCapacity = disk_full(shown(disk.file))
        return full
    return refuse(
        _("{name} is larger than the disk of {size} that it claims to be",
          name=shown(disk.file), size=format_size(disk.capacity))
    )  # fmt: skip


def _unpacked(source: BinaryIO, disk: ApplianceDisk, progress: Callable[[float], None]) -> Iterator[bytes]:
    """The disk's bytes; the checksum is that of the file as it lies in the tar."""
    seen = hashlib.new(disk.algorithm) if disk.algorithm else None
    inflate = zlib.decompressobj(31) if disk.gzip else None
    source.seek(disk.offset)
    left = disk.size
    while left:
        block = source.read(min(MIB, left))
        if not block:
            raise refuse(_("{name} in it is cut off", name=shown(disk.file)), _("Fetch or upload it again."))
        left -= len(block)
        if seen:
            seen.update(block)
        yield from _inflated(inflate, block, disk) if inflate else (block,)
        progress(1 - left / disk.size)
    if inflate is not None and not inflate.eof:
        raise refuse(_("{name} in it is cut off", name=shown(disk.file)), _("Fetch or upload it again."))
    if seen:
        manifest.compare(disk.file, disk.algorithm, seen.hexdigest(), disk.digest)


def _inflated(inflate: zlib._Decompress, block: bytes, disk: ApplianceDisk) -> Iterator[bytes]:
    """At most a megabyte at a time, however much a block unpacks to."""
    while block:
        try:
            out = inflate.decompress(block, MIB)
        except zlib.error as error:
            raise refuse(_("{name} in it is not packed as it says", name=shown(disk.file))) from error
        if out:
            yield out
        block = inflate.unconsumed_tail
        if inflate.eof:
            return
