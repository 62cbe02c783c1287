"""What the house wants a machine to be: a definition in the house's words, and the cards in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from yun.drivers.hypervisor.board import Board
from yun.drivers.hypervisor.disk import DiskSpec
from yun.drivers.hypervisor.host_device import HostDeviceSpec


@dataclass(frozen=True)
class NicSpec:
    """A network card plugged into an Open vSwitch bridge; ``port_uuid`` is OVN's name of the logical port."""

    mac: str
    port_uuid: str
    bridge: str = "br-int"
    mtu: int = 1442
    model: str = "virtio"
    link_up: bool = True
    host_checksum_offload: bool = True
    boot_order: int | None = None


@dataclass(frozen=True)
class Kept:
    """The definition that a machine came with when it was taken over: domain XML, and the slots of those of its
    ``disks`` that the spec speaks for. Everything else in it stays as it is."""

    xml: str
    disks: tuple[str, ...] = ()


@dataclass(frozen=True)
class DomainSpec:
    """A whole virtual machine, ready to be written as domain XML.

    ``name`` is the daemon's own name of the domain: ASCII, without ``/``, never changed later (use the id);
    ``title`` is what a person calls it. ``memory_mib`` in MiB; ``accel`` is ``kvm`` or ``tcg``; ``serial_socket``,
    ``serial_log`` and ``nvram`` are absolute paths (the socket's at most 107 bytes); the last is where UEFI keeps its
    variables, made at the first start. ``genid`` is the generation that the guest
    sees (VM generation id); empty means the UUID: give a fresh one to a copy that resumes another's memory.
    ``kept`` is for a machine that was taken over: of the spec only size, disks, further cards and host devices, and
    metadata count then.
    """

    uuid: str
    name: str
    title: str
    memory_mib: int
    vcpus: int
    accel: Literal["kvm", "tcg"]
    disks: tuple[DiskSpec, ...] = ()
    nics: tuple[NicSpec, ...] = ()
    description: str = ""
    firmware: Literal["bios", "uefi", "uefi-secure"] = "bios"
    machine: str = "q35"
    autostart: bool = False
    serial_socket: str = ""
    serial_log: str = ""
    nvram: str = ""
    on_crash: Literal["destroy", "restart", "preserve"] = "destroy"
    metadata: Mapping[str, str] = field(default_factory=dict)
    genid: str = ""
    board: Board = field(default_factory=Board)
    host_devices: tuple[HostDeviceSpec, ...] = ()
    kept: Kept | None = None
