"""The part of the hypervisor's port that plugs disks and media."""

from __future__ import annotations

from typing import Protocol

from yun.drivers.hypervisor.disk import DiskSpec, IoLimits
from yun.drivers.hypervisor.port.answers import PluggedDisk


class PlugsDisks(Protocol):
    """Disks and CD drives of a machine that runs; its definition is another matter."""

    def attach_disk(self, uuid: str, disk: DiskSpec) -> None:
        """Plug a disk into a running or paused domain (`DriverError` otherwise); its definition stays as it is.

        Nothing happens where the slot holds this very file already. `DriverError` (not retryable) where the slot is
        taken by another, or the machine has no free place for one more.
        """
        ...

    def detach_disk(self, uuid: str, slot: str) -> bool:
        """Ask the guest of a running or paused domain to let a disk go; its definition stays as it is.

        Returns when it was asked, False where the guest says no, and promises nothing: only `disks` tells whether the
        disk has gone. A paused guest answers when it goes on; asking again is fine, also for a disk that has gone.
        """
        ...

    def resize_disk(self, uuid: str, slot: str, size: int) -> None:
        """Let the guest of a running or paused domain see ``size`` bytes (a multiple of 512) in this slot, and enlarge
        the file. `DriverError` (not retryable) for a size smaller than it is now, and for an empty slot."""
        ...

    def limit_disk(self, uuid: str, slot: str, limits: IoLimits) -> None:
        """From now on this disk of a running or paused domain does no more than ``limits`` allow, and so do all that
        share its group; its definition stays as it is. `DriverError` (not retryable) for an empty slot."""
        ...

    def disk_limits(self, uuid: str) -> dict[str, IoLimits]:
        """What the disks of a running or paused domain are held to now, by slot; empty where none runs."""
        ...

    def disks(self, uuid: str) -> dict[str, PluggedDisk]:
        """What is really plugged into a running or paused domain, by slot; empty where none runs."""
        ...

    def defined_disks(self, uuid: str) -> dict[str, str]:
        """The files in the slots of the domain's definition: what its next start uses. Empty where it is missing."""
        ...

    def change_medium(self, uuid: str, slot: str, path: str, *, force: bool) -> bool:
        """Let a CD drive of a running or paused domain hold the qcow2 file ``path`` (empty: nothing); its definition
        stays as it is.

        False where the guest keeps the tray locked; it then has what it had. ``force`` opens the tray all the same.
        True at once where it holds that already. `DriverError` (not retryable) where the slot is no CD drive.
        """
        ...

    def media(self, uuid: str) -> dict[str, str]:
        """The CD drives of a running or paused domain by slot, with the file in each (empty text: none, or its tray
        is open); empty where none runs."""
        ...
