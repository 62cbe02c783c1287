"""The part of the hypervisor's port that keeps what a guest has in memory, and lets guests go on from there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from yun.base.messages import Message
from yun.drivers.hypervisor.port.answers import MemoryFacts
from yun.drivers.hypervisor.port.spec import DomainSpec


class Remembers(Protocol):
    """Images of memory. ``memory`` is always an absolute path on the host."""

    def freeze_with_memory(self, uuid: str, heads: Mapping[str, str], memory: str) -> float | None:
        """As `Rewrites.freeze_disks`, and what the guest of a running or paused domain has in memory at that same
        moment is in the new file ``memory``; the domain goes on as it was.

        For how many milliseconds the guest stood still, by the hypervisor's own clock; None for one that was paused,
        and where it is not known. One that changes its memory faster than it is written stands still for the rest. A
        paused domain that was kept already since it was paused runs for an instant before it is kept again.

        All or nothing: whatever fails, the guest goes on with its old files, and no image is left; after a retryable
        error that says that the daemon was lost, `disks` and `memory_facts` tell what became of it. `DriverError` (not
        retryable) where a device of the domain cannot be kept. Repeating it is a `DriverError`: look with `disks`
        first, and ask for `memory_facts`.
        """
        ...

    def memory_facts(self, memory: str) -> MemoryFacts | None:
        """What a finished image is of; None where none is there, or what is there is cut off or no image."""
        ...

    def unfit(self, spec: DomainSpec, memory: str) -> Message | None:
        """Why a domain of this definition could not go on from the image on this host; None where nothing speaks
        against it: it is the same machine in all that its guest can see. A newer QEMU takes what an older one wrote,
        never the other way round. Changes nothing."""
        ...

    def wake(self, spec: DomainSpec, memory: str, *, paused: bool = False) -> None:
        """The domain goes on from the image, or stands ``paused`` there, with the files that ``spec`` has in its slots,
        its cards by MAC, else in turn, and its other paths; its definition is ``spec`` afterwards. What its firmware
        and its TPM keep is as it was at that moment, whatever became of it since.

        Precondition: every writable disk stands on what was frozen with the image. One that runs with these files
        already stays as it is; one that runs with others is a `DriverError`. Where ``spec`` has another UUID than the
        image it becomes a domain of its own beside the first, with the name and mark of ``spec``. Its guest sees a
        generation (``genid``) that nobody had before, in place too, whatever ``spec`` says of its next start; it has
        the MACs of the image until a card is taken out. A try that fails leaves it off, with a `DriverError`.
        """
        ...

    def discard_memory(self, memory: str) -> None:
        """The image is gone, with all that was noted of it; a missing one is fine."""
        ...
