"""What the house asks of a pool of disk files; one object serves one host's directories.

Paths are absolute. Frozen files are read-only (0444) and are never written again. "Make it so": repeating a call
that succeeded changes nothing. Sizes are bytes. All methods may raise `DriverError`; a full disk raises `NoCapacity`.
Whatever fails, or is cancelled, leaves nothing half written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Progress = Callable[[float], None]
"""Called with 0…1; may raise to cancel, and then nothing is left behind."""

FOLDERS = ("layers", "heads", "incoming", "seeds")
"""The directories of a pool: frozen files, writable files, files on their way in, and what machines have beside their
disks (cloud-init seeds, NVRAM)."""

FINISHED = ("layers", "heads")
"""The directories of a pool whose every file has a row in storage."""

MAX_VIRTUAL = 64 * 1024**4
"""No disk is larger than this, in bytes."""

HeadFormat = Literal["qcow2", "raw"]
"""What a writable file may be."""

OutFormat = Literal["qcow2", "raw", "vmdk"]
"""What `VolumeStore.convert` writes."""

DISK_FORMATS = ("qcow2", "raw", "iso", "vmdk", "vdi", "vhdx", "vpc")
"""What `VolumeStore.inspect` may find; ``vpc`` is VHD, ``iso`` is raw with an ISO 9660 file system."""


@dataclass(frozen=True)
class FileFacts:
    """What a file really is: found by reading it, never believed.

    ``format`` is one of `DISK_FORMATS`. ``length`` is what the file claims to be long (a shorter one was truncated),
    ``file_bytes`` what it takes on the disk. ``backing`` is an absolute path or empty. ``writable`` looks at the mode.
    ``mtime_ns`` moves with every write.
    """

    path: str
    exists: bool
    format: str = ""
    virtual_bytes: int = 0
    file_bytes: int = 0
    backing: str = ""
    writable: bool = False
    data_file: str = ""
    length: int = 0
    mtime_ns: int = 0


@dataclass(frozen=True)
class PoolFacts:
    """A pool's file system: all, free, and what files of the pool take."""

    path: str
    capacity_bytes: int
    free_bytes: int
    used_bytes: int
    writable: bool


class VolumeStore(Protocol):
    """Directories of layers (frozen) and heads (writable)."""

    def prepare_pool(self, path: str) -> None:
        """Make the pool's directories (`FOLDERS`), passable for the hypervisor. Refuses with `Invalid` a path that
        is not absolute or a directory that holds something else already."""
        ...

    def remove_pool(self, path: str) -> None:
        """Remove the pool's own empty directories; never a file."""
        ...

    def pool_facts(self, path: str) -> PoolFacts:
        """Space of the pool, as the file system says. `DriverError` where it is not a pool (any more)."""
        ...

    def inspect(self, path: str, format: str = "") -> FileFacts:
        """What a file is, in a pool or anywhere on the host; ``exists=False`` for a missing one. A backing file is
        allowed only for a file in ``heads`` or ``layers``, and only in those of the same pool. Raises `Invalid`
        for a file that cannot be trusted (other backing, data file, lying header, absurd virtual size) and for what
        is no disk image at all.

        ``format`` is what the file was made as, where that is known: of one that is ``raw`` not a byte is read then,
        since its guest could have written a header into it that names any file; one that was made as something else
        and is not that any more is refused."""
        ...

    def glance(self, path: str, format: str = "") -> FileFacts:
        """As `inspect`, by the file's first bytes alone: for looking at thousands. ``virtual_bytes`` is 0 where only
        a tool can tell."""
        ...

    def trace(self, path: str, format: str) -> list[FileFacts]:
        """The files of a disk that lies anywhere on the host, the top one first, each as it is now: ``format`` is what
        its machine was told, since a raw file must never be guessed at. The last one stands on nothing, or is missing
        (``exists=False``). Raises `Invalid` for a disk whose files cannot be told for sure."""
        ...

    def discard(self, path: str) -> None:
        """Remove a file that was taken over, wherever it lies, for good; a missing one is fine. Precondition: nobody's
        backing file (the caller knows). `DriverError` for what is not a regular file."""
        ...

    def measure(self, path: str, *, source_format: str = "") -> int:
        """How many bytes an independent qcow2 copy of the file (its whole chain) needs at most. ``source_format`` is
        what its machine was told that it is, where that is known: then nothing that a guest wrote is believed."""
        ...

    def unwritten(self, path: str) -> bool:
        """Whether a qcow2 shows exactly what it stands on, because nothing was ever written to it: then a frozen file
        has it all. False for everything else, and for what stands on nothing. Costs one look at its tables.
        Precondition: nobody has it open for writing."""
        ...

    def usage(self, pool: str) -> dict[str, int]:
        """How many bytes of the disk each writable file of the pool takes, by path: one look for all of them."""
        ...

    def list_files(self, pool: str, folders: Sequence[str] = FINISHED) -> list[str]:
        """Absolute paths of all finished files in the pool's ``folders`` (of `FOLDERS`), sorted."""
        ...

    def create_head(
        self, path: str, *, size: int, backing: str | None, backing_format: str = "qcow2", live: bool = False,
        format: HeadFormat = "qcow2",
    ) -> None:  # fmt: skip
        """A writable file of ``size`` virtual bytes on ``backing`` (a frozen file of the pool, or nothing), which is
        taken for a ``backing_format`` whatever is written in it. A ``raw`` one is sparse and stands on nothing. One
        that is there already and is so stays as it is; `DriverError` where something else is there, `Invalid` for a
        size that is absurd or smaller than the backing's, `DriverError` for a backing that is missing or writable. With
        ``live`` the backing may still be written to, by a running machine: it is about to be frozen, and the caller
        lets nobody write to the new head before that."""
        ...

    def freeze(self, path: str, into: str) -> None:
        """Move a finished file to ``into`` (same pool) and make it read-only for good. Where ``into`` exists, it is
        content-named, so ``path`` is simply dropped."""
        ...

    def protect(self, path: str) -> None:
        """Make a frozen file that somebody made writable read-only again."""
        ...

    def convert(
        self, source: str, target: str, *, format: OutFormat, progress: Progress, compress: bool = False,
        source_format: str = "", alone: bool = False,
    ) -> None:  # fmt: skip
        """Write an independent copy of ``source`` (its whole chain) to ``target``; atomic: all or nothing. ``vmdk`` is
        compressed and written front to back (streamOptimized), as other hypervisors import it. ``source``
        may be in use (its copy is then torn) and may lie outside of a pool; a ``target`` that exists is replaced,
        unless it is frozen (`DriverError`). ``source_format`` as in `measure`. With ``alone``
        a source that a program writes to is refused with `DriverError`."""
        ...

    def bundle(self, target: str, members: Sequence[tuple[str, bytes | str]], progress: Progress) -> int:
        """Write a tar of ``members`` to ``target`` (names, each with its bytes or the path of a pool's file that holds
        them); its length. A file is removed as soon as it is in the tar, so no more room is needed than for one of
        them besides; when it fails, those that were not yet read stay. Replaces what is there."""
        ...

    def stand_again(
        self, path: str, backing: str, backing_format: str = "qcow2", *, frozen: bool = False
    ) -> None:  # fmt: skip
        """A head's header names ``backing`` again, a frozen file of the pool that it stood on before, or another that
        shows the same; no other byte changes. What it has not of its own is read from there then. With ``frozen`` it is
        a frozen file, and stays one. Precondition: nobody has it open."""
        ...

    def thaw(self, path: str) -> None:
        """The hypervisor may write to a frozen qcow2 of the pool until `protect`: nothing less may be asked for than
        that what is seen through those that stand on it stays the same."""
        ...

    def merge(self, path: str, into: str, progress: Progress) -> None:
        """A frozen qcow2 has all that it had from the files below it down to and with ``into``, a frozen qcow2 of its
        chain, and stands on what that stood on; it keeps its name, ``into`` is gone. What lies between is not touched.

        What it has is written into ``into``, the two are held against each other, and then that file takes its name in
        one moment: whatever breaks off before, it shows what it showed and can be merged again. Nothing else changes
        for those that stand on it. Precondition: nobody but they stands on ``into`` or on what lies between.
        `DriverError` where a program has one of them open, `NoCapacity` where the disk is full."""
        ...

    def flatten(self, path: str, base: str, progress: Progress, *, base_format: str = "qcow2") -> None:
        """A qcow2 head that no machine has open stands on ``base`` (a file of its chain; empty: on nothing), which is
        taken for a ``base_format``, with all that it had from the files between. In place: at every moment it has all
        its data, and what breaks off can be done again. A frozen file is refused with `DriverError`; a full disk
        raises `NoCapacity`, and it is as it was."""
        ...

    def grow(self, path: str, size: int, *, format: str = "", adopted: str = "") -> None:
        """Enlarge a stopped head to ``size``; a smaller size is refused with `Invalid`, a frozen file with
        `DriverError`. ``format`` as in `inspect`. ``adopted`` is the format of one that was taken over and lies
        anywhere; empty for a pool's."""
        ...

    def digest(self, path: str, progress: Progress) -> str:
        """SHA-256 of the file's bytes, hexadecimal."""
        ...

    def check(self, path: str) -> list[str]:
        """Damage found in a qcow2 file (``qemu-img check``), one line each; empty when sound or not qcow2."""
        ...

    def delete(self, path: str) -> None:
        """Remove a file of a pool, and what an interrupted call left of it, for good. Precondition: nobody's backing
        file (the caller knows). `DriverError` outside of a pool."""
        ...

    def write_seed(self, path: str, files: dict[str, bytes]) -> None:
        """Write a NoCloud seed (ISO 9660, label ``cidata``), readable by the hypervisor alone besides root."""
        ...
