"""What lies where in an OVA: a tar whose every entry is looked at before anything in it is used."""

from __future__ import annotations

import os
import tarfile
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

from yun.base.errors import Invalid
from yun.base.messages import Message, _
from yun.base.units import MIB

MOST_MEMBERS = 100
MOST_READ = MIB
"""No header of a tar is longer; a longer one is a lie that would fill the memory."""


class Readable(Protocol):
    """What reads as one file and lies in several (`folder.Packed`)."""

    length: int

    def open(self) -> BinaryIO:
        """To read from, and to seek in."""
        ...


Source = str | Readable
"""Where an OVA is: the path of a file, or what reads as one."""


@dataclass(frozen=True)
class Member:
    """A file in the tar: its bytes lie at ``offset`` and are ``size`` long."""

    name: str
    offset: int
    size: int


def refuse(reason: Message, hint: Message | None = None) -> Invalid:
    """The one error for an OVA that is not accepted."""
    return Invalid(_("The OVA is not accepted: {reason}", reason=reason), hint=hint)


def shown(name: str) -> str:
    """A stranger's name, short and without what cannot be shown."""
    return "".join(c if c.isprintable() else "?" for c in name)[:100]


def plain_name(name: str) -> bool:
    """Whether a stranger's name is one of a file in the same folder, and nothing more."""
    sound = name and name not in (".", "..") and "/" not in name and "\\" not in name and name.isprintable()
    return bool(sound) and len(name) <= 255


def opened(source: Source) -> BinaryIO:
    """The OVA to read from: a file, or files beside each other that read as one."""
    return open(source, "rb") if isinstance(source, str) else source.open()


def is_archive(path: str) -> bool:
    """Whether a file is a tar that a raw disk cannot be: it says so itself."""
    with open(path, "rb") as file:
        head = file.read(512)
    return len(head) == 512 and head[257:262] == b"ustar" and head[510:] != b"\x55\xaa"


class _Careful:
    """A file that is never read in large pieces: tarfile believes what headers say about their own length."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, count: int = -1) -> bytes:
        """At most `MOST_READ` bytes at once. Raises `Invalid` for more."""
        if not 0 <= count <= MOST_READ:
            raise refuse(_("a header in it claims to be {size} bytes long", size=count))
        return self.file.read(count)


def index(path: Source) -> list[Member]:
    """The files in the tar, in their order. Raises `Invalid` for whatever is more than plain files in one folder.

    Refused: paths that lead elsewhere, links and devices, sparse entries, two of one name, more than `MOST_MEMBERS`,
    a tar that is cut off or is none.
    """
    length = os.path.getsize(path) if isinstance(path, str) else path.length
    found: dict[str, Member] = {}
    try:
        with (
            opened(path) as file,
            tarfile.open(fileobj=cast("BinaryIO", _Careful(file)), mode="r:", errorlevel=2) as tar,
        ):
            for info in tar:
                if (member := _member(info, length)) is None:
                    continue
                if member.name in found:
                    raise refuse(_("it holds {name} twice", name=shown(member.name)))
                found[member.name] = member
                if len(found) > MOST_MEMBERS:
                    raise refuse(_("it holds more than {most} files", most=MOST_MEMBERS))
    except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
        raise refuse(_("it is no sound tar file, or is cut off"), _("Fetch or upload it again.")) from error
    if not found:
        raise refuse(_("it is empty"))
    return list(found.values())


def _member(info: tarfile.TarInfo, length: int) -> Member | None:
    name = info.name.removeprefix("./")
    if info.isdir() and name in ("", "."):
        return None
    if not info.isreg() or info.issparse():
        raise refuse(_("{name} in it is a link, a device or a folder; only plain files are", name=shown(info.name)))
    if not plain_name(name):
        raise refuse(_("the name {name} in it leads outside of it", name=shown(info.name)))
    if info.size < 0 or info.offset_data + info.size > length:
        raise refuse(
            _("{name} in it is cut off", name=shown(name)), _("Fetch or upload it again.")
        )
    return Member(name, info.offset_data, info.size)


def content(path: Source, member: Member, most: int) -> bytes:
    """A small file of the tar. Raises `Invalid` where it is longer than ``most``."""
    if member.size > most:
        raise refuse(_("{name} in it is too long: {size} bytes", name=shown(member.name), size=member.size))
    with opened(path) as file:
        file.seek(member.offset)
        return file.read(member.size)
