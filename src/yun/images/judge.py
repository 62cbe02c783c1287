"""Whether a raw file looks like a disk, and the checksum of a file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from yun.base.errors import Invalid
from yun.base.messages import _
from yun.base.units import MIB

SIGNS = (
    (510, b"\x55\xaa"), (512, b"EFI PART"), (4096, b"EFI PART"), (1080, b"\x53\xef"), (0, b"XFSB"),
    (65600, b"_BHRfS_M"), (512, b"LABELONE"), (32769, b"CD001"),
)  # fmt: skip


def looks_like_disk(path: str) -> bool:
    """Whether a raw file begins as disks do: a partition table, a file system, or LVM."""
    with open(path, "rb") as file:
        for offset, sign in SIGNS:
            file.seek(offset)
            if file.read(len(sign)) == sign:
                return True
    return False


def check_found(path: str, found: str, wanted: str) -> None:
    """Pass where a file's real format is what was said, and a raw one is a disk or was declared raw.

    Raises `Invalid`.
    """
    if wanted not in ("auto", found):
        raise Invalid(
            _("The file is {found}, not {wanted}.", found=found, wanted=wanted),
            fields={"format": _("{found}, or auto", found=found)},
        )
    if found == "raw" and wanted != "raw" and not looks_like_disk(path):
        raise Invalid(
            _("The file does not look like a disk: it has no partition table and no file system."),
            hint=_("If it is a raw disk all the same, say so: format raw."),
            fields={"format": _("raw, if it is a raw disk")},
        )


def digest(path: Path, algorithm: str, progress: Callable[[float], None]) -> str:
    """The checksum of a file in hexadecimal."""
    total, size, done = hashlib.new(algorithm), max(path.stat().st_size, 1), 0
    with path.open("rb") as file:
        while block := file.read(4 * MIB):
            total.update(block)
            done += len(block)
            progress(done / size)
    return total.hexdigest()


def check_digest(path: Path, wanted: str, progress: Callable[[float], None]) -> str:
    """The file's SHA-256. Raises `Invalid` where ``wanted`` (``ALGORITHM:HEX``, or empty) is not its checksum."""
    algorithm, _colon, digits = wanted.partition(":")
    if wanted and algorithm != "sha256":
        _compare(digest(path, algorithm, progress), digits, algorithm)
    found = digest(path, "sha256", progress)
    if wanted and algorithm == "sha256":
        _compare(found, digits, algorithm)
    return found


def _compare(found: str, wanted: str, algorithm: str) -> None:
    if found != wanted:
        raise Invalid(
            _("The checksum is wrong: the file is damaged, or not the one that was meant."),
            hint=_(
                "It is {found}, expected was {wanted}.", found=f"{algorithm}:{found}", wanted=f"{algorithm}:{wanted}"
            ),
            fields={"checksum": _("the checksum of the file that is meant")},
        )


def copy_sparse(source: str, target: str, progress: Callable[[float], None]) -> int:
    """Copy a file of the host, holes kept; returns its length. Raises `Invalid` for what is no regular file."""
    import stat

    descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Invalid(_("{path} is not a regular file.", path=source), fields={"path": _("a regular file")})
        size, at = status.st_size, 0
        with open(target, "wb") as out:
            out.truncate(size)
            while at < size:
                try:
                    at = os.lseek(descriptor, at, os.SEEK_DATA)
                except OSError:
                    break  # nothing but a hole is left
                end = os.lseek(descriptor, at, os.SEEK_HOLE)
                file.seek(at)
                out.seek(at)
                while at < end and (block := file.read(min(MIB, end - at))):
                    out.write(block)
                    at += len(block)
                    progress(at / size)
                if at < end:
                    break  # it became shorter meanwhile
        return size
