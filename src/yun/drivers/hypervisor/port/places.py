"""The part of the hypervisor's port that tells what a running machine has room for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

OLD_CARDS = ("e1000", "rtl8139", "ne2k_pci", "pcnet")
"""Models of network cards that know only the old PCI."""


@dataclass(frozen=True)
class Places:
    """What a running domain has, and what more it takes before its next start.

    ``taken`` are the slots of its disks and CD drives and the MACs of its cards. ``own`` counts free places of those
    that need one each (disks on virtio, cards, PCI devices of the host); ``old`` those for cards of `OLD_CARDS`: on an
    old board they are the same places. ``scsi`` tells whether it has a controller that takes SCSI disks.
    """

    taken: frozenset[str]
    own: int
    old: int
    scsi: bool


class HasPlaces(Protocol):
    """Room for more in a machine that runs."""

    def places(self, uuid: str) -> Places | None:
        """What a running or paused domain has and takes; None where none runs."""
        ...
