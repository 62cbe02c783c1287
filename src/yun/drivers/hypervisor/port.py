"""What the house asks of a hypervisor; one object speaks to one host.

Every method names a domain by its UUID (text). All of them may raise `DriverError`: ``retryable`` where the daemon
is away or slow. Calls end within the driver's time-out. Each is "make it so": repeating it after it succeeded
changes nothing and raises nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from yun.drivers.hypervisor.board import Board
from yun.drivers.hypervisor.boots import Boots
from yun.drivers.hypervisor.disk import DiskFormat, DiskSpec, IoLimits
from yun.drivers.hypervisor.host_device import GivesDevices, HostDeviceSpec


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


class Hypervisor(Boots, GivesDevices, Protocol):
    """One host's virtual machines."""

    def facts(self) -> HypervisorFacts:
        """Versions and size of the host; also the liveness probe of the daemon."""
        ...

    def define(self, spec: DomainSpec) -> None:
        """Make or replace the persistent definition; a running domain goes on, changes count at its next start."""
        ...

    def undefine(self, uuid: str) -> None:
        """Forget the definition; files that its spec named stay (disks, ``nvram``, serial log), so the same spec brings
        the same machine back. Precondition: stopped (a running domain is refused with a `DriverError` that is not
        retryable); a missing one is fine."""
        ...

    def discard_log(self, path: str) -> None:
        """The serial log at ``path``, as a spec named it, is gone for good with its older parts; a missing one is
        fine. Precondition: no domain writes to it any more."""
        ...

    def discard_tpm(self, uuid: str) -> None:
        """What the domain's TPM kept is gone for good; nothing happens where it had none. Precondition: undefined."""
        ...

    def copy_tpm(self, source: str, target: str) -> bool:
        """What the TPM of the domain ``source`` keeps at this moment is kept for the domain ``target`` too, running or
        not; False where it keeps nothing. What ``target`` has already stays. Precondition: ``target`` is off."""
        ...

    def start(self, uuid: str) -> None:
        """Running afterwards. Paused domains are resumed."""
        ...

    def destroy(self, uuid: str) -> None:
        """Power cut: stopped afterwards; nothing happens to a stopped or missing domain."""
        ...

    def shutdown(self, uuid: str, how: Literal["agent", "acpi"]) -> None:
        """Ask the guest to power off; returns at once and promises nothing. Stopped domains: nothing happens.
        `DriverError` (not retryable) where ``agent`` is asked and none is connected."""
        ...

    def reboot(self, uuid: str, how: Literal["agent", "acpi", "reset"]) -> None:
        """Ask the guest to reboot, or reset it like the button on the case. Precondition: running, and for
        ``agent`` a connected agent (`DriverError`, not retryable)."""
        ...

    def suspend(self, uuid: str) -> None:
        """Paused afterwards: vCPUs stand still, memory stays. Precondition: running or paused."""
        ...

    def resume(self, uuid: str) -> None:
        """Running afterwards. Precondition: running or paused."""
        ...

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

    def defined_disks(self, uuid: str) -> dict[str, str]:
        """The files in the slots of the domain's definition: what its next start uses. Empty where it is missing."""

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

    def begin_pull(self, uuid: str, slot: str, base: str) -> None:
        """Begin to copy into the file of a running or paused domain's slot what it has from the files below it, down to
        but without ``base`` (a path of its chain; empty: all of it), and return at once. The guest goes on; once all is
        there the file's header says that it stands on ``base``; where the copies lie may be known to the process alone
        until `flush_disk`. Where that job runs already nothing happens. `DriverError` (not retryable) for an empty slot
        or a base that is not below it."""
        ...

    def pull_state(self, uuid: str, slot: str) -> float | None:
        """How far that job is (0…1); None where none runs: it is done or was given up, which the header tells."""
        ...

    def flush_disk(self, uuid: str, slot: str) -> None:
        """All that a running or paused domain's disk holds is in its file and on the host's disk, whatever becomes of
        the process. `DriverError` for an empty slot, a domain that is off, or a disk that cannot be written."""
        ...

    def abandon_pull(self, uuid: str, slot: str) -> None:
        """No such job runs any more. What was copied stays, and the header is as it was unless all was there."""
        ...

    def disks(self, uuid: str) -> dict[str, PluggedDisk]:
        """What is really plugged into a running or paused domain, by slot; empty where none runs."""
        ...

    def set_vcpus(self, uuid: str, count: int) -> None:
        """A running or paused domain has at least ``count`` vCPUs: more are plugged in, none is ever taken away.
        `DriverError` (not retryable) for more than its board allows."""
        ...

    def set_memory(self, uuid: str, memory_mib: int) -> None:
        """A running or paused domain is to have so much memory, as fast as its guest gives and takes it: from what it
        was started with up to its board's most, by whole blocks of 2 MiB; where it cannot grow, down from what it was
        started with. `DriverError` (not retryable) outside of that."""
        ...

    def pin_vcpus(self, uuid: str, pins: Sequence[str]) -> None:
        """The vCPUs of a running or paused domain run on these host processors: one set for all, one for each, or on
        any where there are none. `DriverError` (not retryable) for processors that the host has not."""
        ...

    def attach_nic(self, uuid: str, nic: NicSpec) -> None:
        """Plug a network card into a running or paused domain (`DriverError` otherwise); its definition stays as it is.

        Nothing happens where a card of this MAC and this port is there already. `DriverError` (not retryable) where
        another card has the MAC, or the machine has no free place for one more.
        """
        ...

    def detach_nic(self, uuid: str, mac: str) -> None:
        """Ask the guest of a running or paused domain to let a card go; its definition stays as it is.

        Returns when it was asked and promises nothing: only `nics` tells whether the card has gone. A paused guest
        answers when it goes on; asking again is fine, also for a card that has gone.
        """
        ...

    def set_link(self, uuid: str, mac: str, up: bool) -> None:
        """Put the cable of a running or paused domain's card in, or pull it; its definition stays as it is.
        `DriverError` (not retryable) where no card has the MAC."""
        ...

    def nics(self, uuid: str) -> dict[str, PluggedNic]:
        """What cards are really plugged into a running or paused domain, by MAC in lower case; empty where none
        runs."""
        ...

    def set_autostart(self, uuid: str, on: bool) -> None:
        """Whether the daemon starts the domain when the host boots."""
        ...

    def state(self, uuid: str) -> DomainState:
        """The truth about one domain; `Power.MISSING` where it is not defined."""
        ...

    def states(self) -> dict[str, DomainState]:
        """The truth about all domains, ours and strangers', in one call."""
        ...

    def strangers(self, besides: Collection[str] = ()) -> list[Stranger]:
        """All domains that bear no mark of a cloud, by name, but for those whose UUID is among ``besides``. One that
        vanishes meanwhile is left out."""
        ...

    def claim(self, uuid: str, metadata: Mapping[str, str]) -> None:
        """The domain bears our mark, as what runs and as what is defined; nothing else of it changes."""
        ...

    def disown(self, uuid: str) -> None:
        """The domain bears no mark of ours any more; nothing else of it changes. Fine where it is missing."""
        ...

    def stats(self) -> dict[str, DomainStats]:
        """Counters of all running domains in one call that never waits for a busy domain."""
        ...

    def xml(self, uuid: str, *, live: bool) -> str:
        """The domain's XML, secrets left out: the running one, or what the next start will use."""
        ...

    def screenshot(self, uuid: str) -> bytes:
        """The screen as PNG. Precondition: running."""
        ...

    def open_graphics(self, uuid: str, kind: Literal["vnc", "spice"] = "vnc") -> socket.socket:
        """A connected, authenticated socket of the running domain's screen; the caller closes it. ``vnc`` speaks RFB;
        ``spice`` is one channel's link, of which a viewer opens several. `DriverError` (not retryable) where the
        machine has no screen of this kind."""
        ...

    def open_serial(self, uuid: str) -> socket.socket:
        """A connected stream socket of the running domain's serial port, raw bytes; the caller closes it. The port
        has room for one: whoever opens it while another holds it waits without a byte until the other leaves."""
        ...

    def serial_log(self, uuid: str, tail: int = 65536) -> bytes:
        """The last ``tail`` bytes that the serial port ever printed, over all boots; empty where nothing was."""
        ...

    def send_keys(self, uuid: str, keycodes: Sequence[int], hold_ms: int = 50) -> None:
        """Press Linux key codes together and release them. Precondition: running."""
        ...

    def agent(
        self, uuid: str, command: str, arguments: Mapping[str, object] | None = None, timeout: float = 5
    ) -> object:
        """One guest-agent command, its ``return`` value. `DriverError` where no agent answers within ``timeout`` s."""
        ...

    def guest(self, uuid: str) -> GuestFacts:
        """What the guest tells of itself. `DriverError` where no agent answers, retryable."""
        ...

    def addresses(self, uuid: str) -> dict[str, list[str]]:
        """MAC → addresses as the guest's agent tells them; empty without an agent."""
        ...

    def subscribe(self, nudge: Callable[[str], None]) -> None:
        """Call ``nudge(uuid)`` whenever a domain's life cycle or agent changed, and ``nudge('')`` after a
        reconnection (anything may have changed). From a thread of the driver's; nudges may be lost or doubled."""
        ...

    def close(self) -> None:
        """Let the connection go; guests stay as they are."""
        ...
