"""An OVF whose files lie beside each other, read as the one tar that an OVA would be: nothing is copied for it."""

from __future__ import annotations

import io
import tarfile
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

from yun.base.errors import Invalid
from yun.base.messages import _
from yun.base.units import MIB
from yun.images.appliance import descriptor, manifest
from yun.images.appliance.archive import plain_name, refuse, shown

BLOCK = 512
MOST_TEXT = 4 * MIB
Piece = tuple[bytes | Path, int]


class Packed:
    """Pieces of bytes and files, one after the other, as one file; ``name`` is what it is called where it arrives."""

    def __init__(self, name: str, pieces: list[Piece]) -> None:
        self.name, self.stem = name, name.rpartition(".")[0]
        self.pieces = pieces
        self.ends = list(accumulate(length for _source, length in pieces))
        self.length = self.ends[-1]

    def open(self) -> io.BufferedReader:
        """To read from, and to seek in."""
        return io.BufferedReader(_Reader(self), 4 * MIB)


class _Reader(io.RawIOBase):
    """Where the reading of a `Packed` stands; one of its files is open at a time."""

    def __init__(self, packed: Packed) -> None:
        self.packed, self.at = packed, 0
        self.number, self.file = -1, io.BytesIO()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.at = max({io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.packed.length}[whence] + offset, 0)
        return self.at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """The next bytes, of one piece at most. A file that became shorter is an `OSError`."""
        number = bisect_right(self.packed.ends, self.at)
        if number == len(self.packed.pieces):
            return 0
        source, length = self.packed.pieces[number]
        inside = self.at - (self.packed.ends[number] - length)
        count = min(len(buffer), length - inside)
        if isinstance(source, bytes):
            data = source[inside : inside + count]
        else:
            data = self._of_file(number, source, inside, count)
        buffer[: len(data)] = data
        self.at += len(data)
        return len(data)

    def _of_file(self, number: int, path: Path, inside: int, count: int) -> bytes:
        if self.number != number:
            self.file.close()
            self.file, self.number = path.open("rb"), number  # type: ignore[assignment]
        self.file.seek(inside)
        data = self.file.read(count)
        if not data:
            raise OSError(f"{path} has become shorter")
        return data

    def close(self) -> None:
        self.file.close()
        super().close()


def pack(path: Path) -> Packed:
    """The OVF at ``path`` (its description, or the folder that holds it) with all files that it and its manifest name,
    in the order of an OVA. Raises `Invalid` for names that lead elsewhere, links, and a folder with no description or
    several."""
    text = _description(path)
    data = _small(text)
    names = [text.name]
    sums = _manifest(text)
    if sums is not None:
        names.append(sums.name)
    names += descriptor.references(data)
    names += manifest.parse(_small(sums)) if sums is not None else []
    pieces: list[Piece] = []
    for name in dict.fromkeys(names):
        if (file := _inside(text.parent, name)) is not None:
            pieces += _member(file)
    return Packed(f"{text.stem}.ova", [*pieces, (bytes(2 * BLOCK), 2 * BLOCK)])


def is_folder(path: Path) -> bool:
    """Whether this is an OVF with its files beside it, or the folder of one."""
    return path.is_dir() or path.suffix.lower() == ".ovf"


def _description(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = sorted(p for p in path.iterdir() if p.suffix.lower() == ".ovf")
    if len(found) > 1:
        raise refuse(_("it holds {count} files that end in {ending}", count=len(found), ending=".ovf"))
    if not found:
        raise refuse(_("it holds no description (.ovf)"))
    return found[0]


def _manifest(text: Path) -> Path | None:
    """The manifest beside a description: that of its name, else the only one there is."""
    found = sorted(p for p in text.parent.iterdir() if p.suffix.lower() == ".mf")
    same = [p for p in found if p.stem == text.stem]
    if same or len(found) == 1:
        return (same or found)[0]
    return None


def _small(file: Path) -> bytes:
    if _inside(file.parent, file.name) is None:
        raise refuse(_("it holds no description (.ovf)"))
    if (size := file.stat().st_size) > MOST_TEXT:
        raise refuse(_("{name} in it is too long: {size} bytes", name=shown(file.name), size=size))
    return file.read_bytes()


def _inside(folder: Path, name: str) -> Path | None:
    """The file of this name in the folder; None where there is none. Raises `Invalid` for what is none."""
    if not plain_name(name):
        raise refuse(_("the name {name} in it leads outside of it", name=shown(name)))
    file = folder / name
    if not file.exists() and not file.is_symlink():
        return None
    if file.is_symlink() or not file.is_file():
        raise refuse(_("{name} in it is a link, a device or a folder; only plain files are", name=shown(name)))
    return file


def _member(file: Path) -> Iterator[Piece]:
    info = tarfile.TarInfo(file.name)
    info.size, info.mode = file.stat().st_size, 0o644
    try:
        head = info.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")
    except (ValueError, UnicodeError) as error:
        raise _no_name(file) from error
    yield head, len(head)
    if info.size:
        yield file, info.size
    if rest := -info.size % BLOCK:
        yield bytes(rest), rest


def _no_name(file: Path) -> Invalid:
    return refuse(_("the name {name} in it leads outside of it", name=shown(file.name)))
