"""What the house asks of a pool of disk files; one object serves one host's directories.

Paths are absolute. Frozen files are read-only (0444) and are never written again. "Make it so": repeating a call
that succeeded changes nothing. Sizes are bytes. All methods may raise `DriverError`; a full disk is not retryable
and leaves nothing half written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

Progress = Callable[[float], None]
"""Called with 0…1; may raise to cancel, and then nothing is left behind."""


@dataclass(frozen=True)
class FileFacts:
    """What a file of a pool really is: found by reading it, never believed."""

    path: str
    exists: bool
    format: str = ""
    virtual_bytes: int = 0
    file_bytes: int = 0
    backing: str = ""
    writable: bool = False
    data_file: str = ""


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
        """Make the pool's directories (``layers``, ``heads``, ``incoming``, ``seeds``), readable by the hypervisor."""
        ...

    def remove_pool(self, path: str) -> None:
        """Remove the pool's own empty directories; never a file."""
        ...

    def pool_facts(self, path: str) -> PoolFacts:
        """Space of the pool, as the file system says."""
        ...

    def inspect(self, path: str) -> FileFacts:
        """What a file is; ``exists=False`` for a missing one. Raises `Invalid` for a file that cannot be trusted
        (backing or data file outside the pool, lying header, absurd virtual size)."""
        ...

    def list_files(self, pool: str) -> list[str]:
        """Absolute paths of all files below the pool's ``layers`` and ``heads``."""
        ...

    def create_head(self, path: str, *, size: int, backing: str | None, backing_format: str = "qcow2") -> None:
        """A writable qcow2 of ``size`` virtual bytes on ``backing`` (a frozen file, or nothing)."""
        ...

    def freeze(self, path: str, into: str) -> None:
        """Move a finished file to ``into`` (same file system) and make it read-only for good."""
        ...

    def convert(self, source: str, target: str, *, format: Literal["qcow2", "raw"], progress: Progress, compress: bool = False) -> None:
        """Write an independent copy of ``source`` (its whole chain) to ``target``; atomic: all or nothing."""
        ...

    def grow(self, path: str, size: int) -> None:
        """Enlarge a stopped head to ``size``; a smaller size is refused with `Invalid`."""
        ...

    def digest(self, path: str, progress: Progress) -> str:
        """SHA-256 of the file's bytes, hexadecimal."""
        ...

    def check(self, path: str) -> list[str]:
        """Damage found in a qcow2 file (``qemu-img check``), one line each; empty when sound."""
        ...

    def delete(self, path: str) -> None:
        """Remove the file for good. Precondition: inside a pool, and nobody's backing file (the caller knows)."""
        ...

    def write_seed(self, path: str, files: dict[str, bytes]) -> None:
        """Write a NoCloud seed (ISO 9660, label ``cidata``), readable by the hypervisor alone besides root."""
        ...
