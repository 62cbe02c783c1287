"""What a machine's board is made of, besides its disks, network cards, memory and processors of the moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Display = Literal["vnc", "spice", "both"]
Video = Literal["vga", "virtio", "qxl", "bochs", "cirrus"]
Clock = Literal["utc", "localtime"]
Watchdog = Literal["", "i6300esb", "ib700"]
WatchdogAction = Literal["reset", "poweroff", "pause", "none"]
DiskFull = Literal["stop", "report", "enospace"]
Panic = Literal["ignore", "destroy", "restart", "preserve"]
NAMELESS_CPUS = ("", "host-passthrough", "host-model", "maximum")
"""What a processor model can be besides the name of one."""


@dataclass(frozen=True)
class Board:
    """The parts of a machine that a person chooses seldom.

    ``keyboard`` is a QEMU layout (``de``), empty for none. ``serial_ports`` counts all of them, the first is the
    console. ``cpu_model`` is empty for the best that the accelerator has. ``sockets``, ``cores`` and ``threads`` are
    all 0 or multiply to the most vCPUs there can be: ``max_vcpus``, or ``vcpus`` where that is 0. ``pins`` are sets of
    host processors (``0-3,8``): one for all vCPUs, or one for each. ``memory_max_mib`` is how far memory can grow while
    the machine runs, 0 for not at all. ``disk_full`` is what happens when the host cannot write a disk; ``panic`` what
    happens when the guest's kernel gives up (``ignore``: the machine has no device to tell it). ``overlay`` is XML
    that is added to the definition: children of ``<domain>`` from a short list.
    """

    display: Display = "vnc"
    video: Video = "vga"
    keyboard: str = ""
    clock: Clock = "utc"
    watchdog: Watchdog = ""
    watchdog_action: WatchdogAction = "reset"
    rng: bool = True
    agent: bool = True
    serial_ports: int = 1
    cpu_model: str = ""
    sockets: int = 0
    cores: int = 0
    threads: int = 0
    max_vcpus: int = 0
    pins: tuple[str, ...] = ()
    memory_max_mib: int = 0
    huge_pages: bool = False
    disk_full: DiskFull = "stop"
    panic: Panic = "ignore"
    tpm: bool = False
    overlay: str = ""
