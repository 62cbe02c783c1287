"""What the house asks of a hypervisor; one object speaks to one host.

Every method names a domain by its UUID (text). All of them may raise `DriverError`: ``retryable`` where the daemon
is away or slow. Calls end within the driver's time-out. Each is "make it so": repeating it after it succeeded
changes nothing and raises nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from yun.drivers.hypervisor.boots import Boots
from yun.drivers.hypervisor.disk import DiskSpec, IoLimits
from yun.drivers.hypervisor.host_device import GivesDevices
from yun.drivers.hypervisor.port.answers import (
    BlockCopy,
    DomainState,
    DomainStats,
    GuestCard,
    GuestFacts,
    GuestFileSystem,
    HypervisorFacts,
    MemoryFacts,
    PluggedDisk,
    PluggedNic,
    Power,
    Stranger,
)
from yun.drivers.hypervisor.port.asking import AsksGuests
from yun.drivers.hypervisor.port.console import Consoles
from yun.drivers.hypervisor.port.copies import Rewrites
from yun.drivers.hypervisor.port.definitions import Definitions
from yun.drivers.hypervisor.port.disks import PlugsDisks
from yun.drivers.hypervisor.port.look import Looks
from yun.drivers.hypervisor.port.memory import Remembers
from yun.drivers.hypervisor.port.nics import PlugsNics
from yun.drivers.hypervisor.port.places import HasPlaces, Places
from yun.drivers.hypervisor.port.power import Switches
from yun.drivers.hypervisor.port.size import Sizes
from yun.drivers.hypervisor.port.spec import DomainSpec, Kept, NicSpec

__all__ = [
    "BlockCopy",
    "DiskSpec",
    "DomainSpec",
    "DomainState",
    "DomainStats",
    "GuestCard",
    "GuestFacts",
    "GuestFileSystem",
    "Hypervisor",
    "HypervisorFacts",
    "IoLimits",
    "Kept",
    "MemoryFacts",
    "NicSpec",
    "Places",
    "PluggedDisk",
    "PluggedNic",
    "Power",
    "Stranger",
]


class Hypervisor(
    Definitions, Switches, PlugsDisks, Rewrites, Remembers, PlugsNics, GivesDevices, HasPlaces, Sizes, Boots, Looks,
    Consoles, AsksGuests, Protocol,
):  # fmt: skip
    """One host's virtual machines."""

    def subscribe(self, nudge: Callable[[str], None]) -> None:
        """Call ``nudge(uuid)`` whenever a domain's life cycle or agent changed, and ``nudge('')`` after a
        reconnection (anything may have changed). From a thread of the driver's; nudges may be lost or doubled."""
        ...

    def close(self) -> None:
        """Let the connection go; guests stay as they are."""
        ...
