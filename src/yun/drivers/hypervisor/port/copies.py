"""The part of the hypervisor's port that gives a running machine's disks new files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from yun.drivers.hypervisor.disk import DiskFormat
from yun.drivers.hypervisor.port.answers import BlockCopy


class Rewrites(Protocol):
    """Freezing, copying and pulling disks below a guest that goes on."""

    def freeze_disks(self, uuid: str, heads: Mapping[str, str], *, quiesce: bool) -> bool:
        """From one moment on a running or paused domain, and its definition, write to new files: ``heads`` maps slots
        to qcow2 files that stand on what the slots hold now, and nothing writes to that any more.

        All slots or none. With ``quiesce`` the guest's agent is asked to bring its file systems to rest for that
        moment; whether it did is the answer (False also where no agent answers). Precondition: running or paused.
        Repeating it is a `DriverError`: look with `disks` first, which shows the new files as soon as it has happened.
        """
        ...

    def begin_copy(self, uuid: str, slot: str, path: str, *, format: DiskFormat = "qcow2") -> None:
        """Begin to copy the disk in ``slot`` of a running or paused domain, with all that it stands on, to ``path``: a
        file of this ``format`` that is there, stands on nothing and is as large. The domain goes on with its old file.

        Nothing happens where a copy of this slot is under way. `DriverError` (not retryable) for an empty slot.
        """
        ...

    def copy_state(self, uuid: str, slot: str) -> BlockCopy | None:
        """The copy of this slot that is under way; None where none is: it has been finished or abandoned, the
        hypervisor has given up, or the domain is off."""
        ...

    def finish_copy(self, uuid: str, slot: str) -> None:
        """From now on the domain and its definition use the copy, and nothing writes to the old file any more.
        Precondition: a copy that is ready (`DriverError` otherwise, retryable where it only is not ready yet)."""
        ...

    def abandon_copy(self, uuid: str, slot: str) -> None:
        """No copy of this slot is under way, and the domain uses its old file; the new one stays as it is. Nothing
        happens where none is, or where the domain is off."""
        ...

    def begin_pull(self, uuid: str, slot: str, base: str) -> None:
        """Begin to copy into the file of a running or paused domain's slot what it has from the files below it, down to
        but without ``base`` (a path of its chain; empty: all of it), and return at once. The guest goes on; once all is
        there the file's header says that it stands on ``base``; where the copies lie may be known to the process alone
        until `flush_disk`. Where that job runs already nothing happens. `DriverError` (not retryable) for an empty slot
        or a base that is not below it."""
        ...

    def begin_commit(self, uuid: str, slot: str, top: str, base: str) -> None:
        """Begin to write what ``top`` has, a file below that of a running or paused domain's slot, into ``base``, one
        that it stands on, with what lies between; and return at once. The guest goes on; once all is there, the file
        that stood on ``top`` stands on ``base`` by its header, and the domain has neither ``top`` nor what lay between
        open any more. Until then ``top`` shows what it showed, whatever becomes of the process.

        Precondition: nobody else has ``base`` open, and it and the file on ``top`` may be written to (`DriverError`,
        not retryable; also for an empty slot and for files that are not so below it). Where a job of this slot runs
        already nothing happens."""
        ...

    def pull_state(self, uuid: str, slot: str) -> float | None:
        """How far such a job is, a pull or a commit (0…1); None where none runs: it is done or was given up, which the
        header tells."""
        ...

    def flush_disk(self, uuid: str, slot: str) -> None:
        """All that a running or paused domain's disk holds is in its file and on the host's disk, whatever becomes of
        the process. `DriverError` for an empty slot, a domain that is off, or a disk that cannot be written."""
        ...

    def abandon_pull(self, uuid: str, slot: str) -> None:
        """No such job, pull or commit, runs any more. What was copied stays, and the header is as it was unless all was
        there."""
        ...
