"""PCI and USB devices of a host: what is known of them, how a machine is given one, and what the driver does for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True)
class HostDevice:
    """A PCI or USB device that a host has now.

    ``address`` is ``0000:03:00.0`` or the kernel's name of the USB port (``1-2.4``); USB devices have a ``bus`` and a
    ``number`` too, another after each time they are plugged in. ``category`` is the PCI class (``030000``). Devices of
    one ``iommu_group`` can only be given away together; None where the host's IOMMU is off or missing. ``host_use`` is
    what the host itself does with it: ``disk`` (file systems or swap), ``network`` (its way out, or in a bridge),
    ``bridge`` (it leads to other devices), or nothing. ``driver`` is the kernel's that has it now.
    """

    kind: Literal["pci", "usb"]
    address: str
    vendor_id: str
    product_id: str
    vendor: str = ""
    product: str = ""
    serial: str = ""
    category: str = ""
    driver: str = ""
    iommu_group: int | None = None
    bus: int = 0
    number: int = 0
    host_use: str = ""


@dataclass(frozen=True)
class HostDeviceSpec:
    """A device of the host that a domain has to itself. ``key`` names it in the domain (letters, digits, ``_``).

    A PCI device is found by its ``address``. A USB device is found by vendor and product (four hexadecimal digits
    each), and where ``bus`` and ``number`` are given only there; where it is missing the domain starts without it.
    """

    key: str
    kind: Literal["pci", "usb"]
    address: str = ""
    vendor_id: str = ""
    product_id: str = ""
    bus: int = 0
    number: int = 0


class GivesDevices(Protocol):
    """The part of the hypervisor's port that gives machines devices of their host."""

    def host_devices(self) -> list[HostDevice]:
        """The host's PCI and USB devices now, by kind and address, without USB hubs."""
        ...

    def attach_host_device(self, uuid: str, device: HostDeviceSpec) -> None:
        """Give a running or paused domain a device of the host; its definition stays as it is. Nothing happens where
        it has it. `DriverError` (not retryable) where the host has no such device or cannot give it away."""
        ...

    def detach_host_device(self, uuid: str, key: str) -> None:
        """Ask the guest of a running or paused domain to let a device go; its definition stays as it is. Promises
        nothing: only `plugged_host_devices` tells whether it has gone."""
        ...

    def plugged_host_devices(self, uuid: str) -> set[str]:
        """The keys of the host's devices that a running or paused domain really has; empty where none runs."""
        ...
