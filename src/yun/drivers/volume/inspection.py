"""What a disk file really is, read from its first bytes in plain Python before any tool sees a stranger's file.

`sniff` finds the format by its magic and refuses headers that lie: absurd sizes, encryption, unknown features. What
looks like nothing known is raw, and raw is only what can be one: whole sectors that are no text and no archive.
"""

from __future__ import annotations

import os
import stat
import struct
from dataclasses import dataclass
from typing import BinaryIO

from yun.base.errors import Invalid
from yun.base.messages import Message, _
from yun.base.units import format_size
from yun.drivers.volume.port import MAX_VIRTUAL

SECTOR = 512
NAME_LIMIT = 1023
ARCHIVES = {
    b"\x1f\x8b": "gzip", b"\xfd7zXZ\x00": "xz", b"BZh": "bzip2", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip",
    b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!": "rar", b"!<arch>": "ar", b"\x7fELF": "ELF", b"%PDF": "PDF",
}  # fmt: skip
MOST_TABLE = 32 * 1024**2
"""Bytes of the largest first table that QEMU itself opens."""
DIRTY, CORRUPT, DATA_FILE, COMPRESSION, EXTENDED_L2 = 1, 2, 4, 8, 16


@dataclass(frozen=True)
class Header:
    """What the first bytes say; ``virtual_bytes`` is 0 where only a tool can tell."""

    format: str
    virtual_bytes: int = 0
    backing: str = ""
    external_data: bool = False


def refuse(path: str, reason: Message) -> Invalid:
    """The one error for a file that is not accepted."""
    return Invalid(_("{name} is not accepted: {reason}", name=os.path.basename(path), reason=reason))


def printable(text: str) -> str:
    """The text with a question mark for whatever cannot be shown or kept: control characters, NUL, broken UTF-8."""
    return "".join(c if c.isprintable() else "?" for c in text)


def sniff(path: str) -> Header:
    """What a file is. Raises `Invalid` for what is no disk image or lies, `FileNotFoundError` for a missing one."""
    if os.path.isdir(path):
        raise refuse(path, _("it is not a regular file"))
    with open(path, "rb", buffering=0, opener=_opener) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise refuse(path, _("it is not a regular file"))
        length = os.fstat(file.fileno()).st_size
        head = _at(file, 0, 4096)
        found = _by_magic(path, file, head, length)
        if found is None:
            found = _raw(path, file, head, length)
    if found.virtual_bytes:
        check_size(path, found.virtual_bytes)
    return found


def check_size(path: str, virtual: int) -> None:
    """Pass where a virtual size is one that a disk may have. Raises `Invalid`."""
    if virtual <= 0:
        raise refuse(path, _("its virtual size is 0"))
    if virtual > MAX_VIRTUAL:
        limit = format_size(MAX_VIRTUAL)
        size = format_size(virtual)
        raise refuse(path, _("it claims to be {size} large; the limit is {limit}", size=size, limit=limit))


def maps_nothing(path: str) -> bool:
    """Whether a qcow2 that `sniff` accepted has no cluster of its own: its first table, which leads to all others, is
    all zero. Offsets as in QEMU's docs/interop/qcow2.txt. A file with snapshots of its own or with a dirty or corrupt
    mark is never empty."""
    with open(path, "rb", buffering=0, opener=_opener) as file:
        head = _at(file, 0, 104)
        if len(head) < 72 or head[:4] != b"QFI\xfb":
            return False
        version, snapshots = int.from_bytes(head[4:8], "big"), int.from_bytes(head[60:64], "big")
        features = int.from_bytes(head[72:80], "big") if version >= 3 else 0
        entries, offset = int.from_bytes(head[36:40], "big"), int.from_bytes(head[40:48], "big")
        if snapshots or features & (DIRTY | CORRUPT | DATA_FILE) or entries * 8 > MOST_TABLE:
            return False
        table = _at(file, offset, entries * 8)
    return len(table) == entries * 8 and not any(table)


def cluster_size(path: str) -> int:
    """Bytes of a cluster of a qcow2 that `sniff` accepted; its last one need not be whole."""
    with open(path, "rb", buffering=0, opener=_opener) as file:
        return 1 << int.from_bytes(_at(file, 20, 4), "big")


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _at(file: BinaryIO, offset: int, count: int) -> bytes:
    return os.pread(file.fileno(), count, offset)


def _by_magic(path: str, file: BinaryIO, head: bytes, length: int) -> Header | None:
    if head.startswith(b"QFI\xfb"):
        return _qcow2(path, file, head, length)
    if head.startswith(b"KDMV"):
        return Header("vmdk", struct.unpack_from("<Q", head, 12)[0] * SECTOR if len(head) >= 512 else 0)
    if head.startswith(b"COWD") or head.startswith(b"# Disk DescriptorFile"):
        raise refuse(path, _("this kind of VMDK keeps its data in other files; export it as one file"))
    if head[64:68] == b"\x7f\x10\xda\xbe":
        return Header("vdi", struct.unpack_from("<Q", head, 368)[0] if len(head) >= 512 else 0)
    if head.startswith(b"vhdxfile"):
        return Header("vhdx")
    if head.startswith(b"conectix") or (length >= SECTOR and _at(file, length - SECTOR, 8) == b"conectix"):
        return Header("vpc")
    if head.startswith((b"QED\0", b"WithoutFreeSpace", b"WithouFreSpacExt", b"OOOO CryptoMount")):
        raise refuse(path, _("this format is not supported; convert it to qcow2 first"))
    return None


def _qcow2(path: str, file: BinaryIO, head: bytes, length: int) -> Header:
    if len(head) < 104:
        raise refuse(path, _("its header is cut off"))
    version, name_at, name_size, bits, virtual, crypt, l1_size, l1_at = struct.unpack_from(">IQIIQIIQ", head, 4)
    snapshots = struct.unpack_from(">I", head, 60)[0]
    features = struct.unpack_from(">Q", head, 72)[0] if version >= 3 else 0
    if version not in (2, 3):
        raise refuse(path, _("its qcow2 version {version} is unknown", version=version))
    if not 9 <= bits <= 21:
        raise refuse(path, _("its header is damaged or lies"))
    if crypt:
        raise refuse(path, _("it is encrypted"))
    if features & ~(DIRTY | CORRUPT | DATA_FILE | COMPRESSION | EXTENDED_L2):
        raise refuse(path, _("it uses features that are unknown here"))
    if features & CORRUPT:
        raise refuse(path, _("it is marked as corrupt"))
    check_size(path, virtual)
    per_entry = (1 << bits) * ((1 << bits) // (16 if features & EXTENDED_L2 else 8))
    lies = l1_size * 8 > 32 * 1024**2 or l1_size * per_entry < virtual or l1_at >= max(length, 1) or snapshots > 65536
    backing = ""
    if name_at:
        if name_size > NAME_LIMIT or name_at + name_size > length:
            lies = True
        else:
            backing = _at(file, name_at, name_size).decode("utf-8", "surrogateescape")
    if lies:
        raise refuse(path, _("its header is damaged or lies"))
    if (shown := printable(backing)) != backing:
        raise refuse(path, _("it stands on another file ({backing})", backing=shown[:200]))
    return Header("qcow2", virtual, backing, bool(features & DATA_FILE))


def _raw(path: str, file: BinaryIO, head: bytes, length: int) -> Header:
    if not length:
        raise refuse(path, _("it is empty"))
    for magic, name in ARCHIVES.items():
        if head.startswith(magic):
            raise refuse(path, _("it is a {kind} file, not a disk image; unpack it first", kind=name))
    if head[257:262] == b"ustar":
        raise refuse(path, _("it is a {kind} file, not a disk image; unpack it first", kind="tar"))
    if _at(file, 32769, 5) == b"CD001" and head[510:512] in (b"\0\0", b"\x55\xaa"):
        return Header("iso", -(-length // SECTOR) * SECTOR)
    if _is_text(head[:SECTOR]):
        raise refuse(path, _("it is a text file, not a disk image"))
    if length % SECTOR:
        raise refuse(path, _("it is no disk image of a known format, and too uneven for a raw one"))
    return Header("raw", length)


def _is_text(start: bytes) -> bool:
    """Whether the start is readable text: no zero byte, and UTF-8 up to a character cut in two."""
    if b"\0" in start:
        return False
    try:
        start.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(start) - 4
    return True
