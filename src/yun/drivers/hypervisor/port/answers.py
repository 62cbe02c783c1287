"""What a hypervisor answers: of itself, of its machines, of what is plugged into them, and of their guests."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Power(StrEnum):
    """What a domain really does."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    CRASHED = "crashed"
    MISSING = "missing"


@dataclass(frozen=True)
class DomainState:
    """Power, why it came to be so (a stable word: ``shutdown``, ``destroyed``, ``crashed``, ``io_error``, ``user``,
    ``booted``, ``unknown``…), and whether the guest agent is connected."""

    power: Power
    reason: str = "unknown"
    agent: bool = False


@dataclass(frozen=True)
class Stranger:
    """A domain that no cloud has marked as its own. ``xml`` is what its next start uses, secrets included; ``live_xml``
    what runs now, empty for a stopped one. ``persistent`` tells whether it has a definition at all, ``saved`` whether
    its memory was saved for the next start. ``snapshots`` are the daemon's own as (name, whether in files of theirs).
    """

    uuid: str
    name: str
    power: Power
    xml: str
    live_xml: str = ""
    autostart: bool = False
    persistent: bool = True
    saved: bool = False
    snapshots: tuple[tuple[str, bool], ...] = ()


@dataclass(frozen=True)
class DomainStats:
    """Counters since the domain started (bytes, nanoseconds of CPU) and memory in KiB; None where unknown."""

    cpu_ns: int
    vcpus: int
    memory_kib: int
    memory_used_kib: int | None
    disk_read_bytes: int
    disk_write_bytes: int
    net_rx_bytes: int
    net_tx_bytes: int


@dataclass(frozen=True)
class PluggedDisk:
    """A disk that a running domain has now: its file, and the bytes that the guest sees (0 in the moment in which
    it lets go of it)."""

    path: str
    size: int


@dataclass(frozen=True)
class PluggedNic:
    """A network card that a running domain has now: the logical port it is wired to, what its guest sees, and whether
    its cable is in."""

    port_uuid: str
    model: str
    link_up: bool


@dataclass(frozen=True)
class BlockCopy:
    """A copy of a running domain's disk that is under way: ``done`` of ``total`` bytes. Once it is ``ready``, both
    files hold the same, and everything written goes to both."""

    done: int
    total: int
    ready: bool


@dataclass(frozen=True)
class GuestFileSystem:
    """A mounted file system as the guest sees it: sizes in bytes (None where it does not say), and the disks below by
    ``slots`` (target names as in `DiskSpec`, where the hypervisor recognizes them) and ``serials``."""

    mount: str
    type: str
    device: str
    total_bytes: int | None = None
    used_bytes: int | None = None
    slots: tuple[str, ...] = ()
    serials: tuple[str, ...] = ()


@dataclass(frozen=True)
class GuestCard:
    """A network card as the guest sees it; ``addresses`` with their prefix lengths."""

    name: str
    mac: str
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class GuestFacts:
    """What a guest tells of itself through its agent; empty texts where it does not say. ``os_id`` is a stable word
    such as ``debian`` or ``mswindows``, ``os_name`` the name for people."""

    os_id: str = ""
    os_name: str = ""
    kernel: str = ""
    hostname: str = ""
    time_zone: str = ""
    file_systems: tuple[GuestFileSystem, ...] = ()
    cards: tuple[GuestCard, ...] = ()


@dataclass(frozen=True)
class HypervisorFacts:
    """What the daemon says of itself."""

    libvirt_version: str
    qemu_version: str
    cpu_model: str
    cpus: int
    memory_mib: int


@dataclass(frozen=True)
class MemoryFacts:
    """What a finished image of a guest's memory is of: the domain's ``uuid``, its full ``machine`` type, size, disks
    (``slots``) and cards (``macs``, in lower case). ``cpu`` is its processor model, for comparison only; ``emulator``
    the QEMU that wrote it (``7.2.22``), ``host_cpu`` the processor that it ran on, both empty where nobody noted it.
    ``file_bytes`` is how long the image is."""

    uuid: str
    machine: str
    memory_mib: int
    vcpus: int
    file_bytes: int
    cpu: str = ""
    host_cpu: str = ""
    emulator: str = ""
    slots: tuple[str, ...] = ()
    macs: tuple[str, ...] = ()
