"""Disk files of machines that were not made here: where they lie, what they stand on. Their formats are told by the
machine's definition and by their own headers; nothing is guessed that a guest could have written."""

from __future__ import annotations

import os
import stat
import struct

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.volume import atomic, faults, rules
from yun.drivers.volume.inspection import check_size, printable, refuse, sniff
from yun.drivers.volume.port import FileFacts
from yun.drivers.volume.tool import image

LONGEST = 200
"""No sound chain of files is longer."""
BACKING_FORMAT, END = 0xE2792ACA, 0


def trace(path: str, format: str) -> list[FileFacts]:
    """As `VolumeStore.trace`."""
    chain: list[FileFacts] = []
    seen: set[str] = set()
    while True:
        real = os.path.realpath(path)
        if real in seen or len(chain) >= LONGEST:
            raise refuse(path, _("its files stand on each other in a circle"))
        seen.add(real)
        with atomic.translated(path):
            try:
                status = os.stat(path)
            except FileNotFoundError:
                return [*chain, FileFacts(path, exists=False)]
            if not stat.S_ISREG(status.st_mode):
                raise refuse(path, _("it is not a regular file"))
            virtual, backing, below = _read(path, format, status.st_size)
        chain.append(
            FileFacts(
                path, True, format, virtual, status.st_blocks * 512, backing, bool(status.st_mode & 0o222), "",
                status.st_size, status.st_mtime_ns,
            )
        )  # fmt: skip
        if not backing:
            return chain
        path, format = backing, below


def _read(path: str, format: str, length: int) -> tuple[int, str, str]:
    """Virtual size, what it stands on (absolute, or empty), and that file's format."""
    if format == "raw":
        check_size(path, length)
        return length, "", ""
    header = sniff(path)
    if header.format != format:
        why = _("its machine takes it for {format}, and it is {found}", format=format, found=header.format)
        raise refuse(path, why)
    if format != "qcow2":
        raise refuse(path, _("this format is not supported; convert it to qcow2 first"))
    if header.external_data:
        raise refuse(path, _("its data lie in another file"))
    if not header.backing:
        return header.virtual_bytes, "", ""
    if header.backing.partition("/")[0].endswith(":"):
        raise refuse(path, _("it stands on another file ({backing})", backing=header.backing[:200]))
    backing = os.path.normpath(os.path.join(os.path.dirname(path), header.backing))
    below = _backing_format(path)
    if below not in ("qcow2", "raw"):
        raise refuse(path, _("it does not say of what format the file below it is"))
    return header.virtual_bytes, backing, below


def _backing_format(path: str) -> str:
    """The format that a qcow2's header extension names for the file below it; empty where it names none."""
    with open(path, "rb", buffering=0) as file:
        head = os.pread(file.fileno(), 65536, 0)
    at = struct.unpack_from(">I", head, 100)[0] if struct.unpack_from(">I", head, 4)[0] >= 3 else 72
    while at + 8 <= len(head):
        kind, size = struct.unpack_from(">II", head, at)
        if kind == END:
            return ""
        if kind == BACKING_FORMAT:
            return printable(head[at + 8 : at + 8 + size].decode("ascii", "replace"))
        at += 8 + (size + 7) // 8 * 8
    return ""


def discard(path: str) -> None:
    """As `VolumeStore.discard`."""
    with atomic.translated(path):
        try:
            mode = os.stat(path).st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISREG(mode):
            raise DriverError(_("{name} is not a file that can be removed.", name=os.path.basename(path)))
        os.unlink(path)
        atomic.sync_folder(path)


def grow(path: str, size: int, format: str, *, timeout: float) -> None:
    """As `VolumeStore.grow` for a file that was taken over."""
    found = trace(path, format)[0]
    if not found.exists:
        raise faults.missing(path)
    if not found.writable:
        raise faults.frozen(path)
    check_size(path, size)
    rules.check_growth(found.virtual_bytes, size)
    if size != found.virtual_bytes:
        image(["resize", "-q", "-f", format, "--", path, str(size)], path=path, timeout=timeout)
