"""A disk as the hypervisor is told of it, and how much it may do each second."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal

from yun.drivers.hypervisor.board import DiskFull

DiskFormat = Literal["qcow2", "raw"]
"""What the file of a disk may be."""


@dataclass(frozen=True)
class IoLimits:
    """The most that a disk may read and write each second, in requests (``iops``) and bytes; 0 is no limit.

    ``…_max`` is what it may do for a short while (a burst), ``…_max_length`` for how many seconds (0: one). A total
    goes with no limit of the same kind for reads or writes alone. The disks of one domain with the same ``group_name``
    share one budget, and so have the same limits.
    """

    total_bytes_sec: int = 0
    read_bytes_sec: int = 0
    write_bytes_sec: int = 0
    total_iops_sec: int = 0
    read_iops_sec: int = 0
    write_iops_sec: int = 0
    total_bytes_sec_max: int = 0
    read_bytes_sec_max: int = 0
    write_bytes_sec_max: int = 0
    total_iops_sec_max: int = 0
    read_iops_sec_max: int = 0
    write_iops_sec_max: int = 0
    total_bytes_sec_max_length: int = 0
    read_bytes_sec_max_length: int = 0
    write_bytes_sec_max_length: int = 0
    total_iops_sec_max_length: int = 0
    read_iops_sec_max_length: int = 0
    write_iops_sec_max_length: int = 0
    group_name: str = ""

    @property
    def rates(self) -> dict[str, int]:
        """All numbers by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "group_name"}

    @property
    def any(self) -> bool:
        """Whether anything is limited."""
        return any(self.rates.values())


NO_LIMITS = IoLimits()


@dataclass(frozen=True)
class DiskSpec:
    """A disk or CD of a domain. ``path`` is absolute; ``slot`` is the target name (``vda``, ``sda``).

    ``io`` is how the host reads and writes it (None: as the hypervisor likes); ``discard``: what the guest gives up is
    given back to the host.
    """

    slot: str
    path: str
    format: DiskFormat = "qcow2"
    device: Literal["disk", "cdrom"] = "disk"
    bus: Literal["virtio", "scsi", "sata", "ide"] = "virtio"
    cache: Literal["none", "writeback", "writethrough", "unsafe", "directsync"] = "none"
    io: Literal["threads", "native", "io_uring"] | None = None
    discard: bool = True
    readonly: bool = False
    serial: str = ""
    boot_order: int | None = None
    error_policy: DiskFull = "stop"
    limits: IoLimits = field(default=NO_LIMITS)
