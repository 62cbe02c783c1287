"""The machine room behind the hypervisor in memory, and its levers for everything that goes wrong."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from yun.drivers.hypervisor.disk import DiskFormat
from yun.drivers.hypervisor.fake.guest import FakeGuest
from yun.drivers.hypervisor.fake.room import DEVICES
from yun.drivers.hypervisor.host_device import HostDevice, HostDeviceSpec
from yun.drivers.hypervisor.nudges import Nudges
from yun.drivers.hypervisor.port import DomainSpec, Power

if TYPE_CHECKING:
    from yun.drivers.hypervisor.fake.pull import FakePull

ACTIVE = (Power.RUNNING, Power.PAUSED)


@dataclass
class Mirror:
    """A copy of a disk that is under way: ready once it was looked at often enough."""

    path: str
    format: DiskFormat = "qcow2"
    looks: int = 0


@dataclass
class FakeDomain:
    """A domain as the daemon knows it: ``spec`` is the persistent definition, ``live`` what runs."""

    spec: DomainSpec
    power: Power = Power.STOPPED
    reason: str = "unknown"
    live: DomainSpec | None = None
    started: float = 0.0
    began: DomainSpec | None = None
    """As what it was switched on last."""
    boots: int = 0
    begun_mib: int = 0
    autostart: bool = False
    has_agent: bool = True
    ignores_shutdown: bool = False
    keeps_disks: bool = False
    refuses_disks: bool = False
    keeps_nics: bool = False
    keeps_devices: bool = False
    locks_trays: bool = False
    asked_for: set[str] = field(default_factory=set)
    guest: FakeGuest = field(default_factory=FakeGuest)
    mirrors: dict[str, Mirror] = field(default_factory=dict)
    restarts_from: tuple[str, ...] = ()
    boots_from: list[tuple[str, ...]] = field(default_factory=list)
    """What each of its boots tried, in turn."""

    def __post_init__(self) -> None:
        if self.live is not None:
            self.began = self.live
            self.guest.power_on(self.live.title)
            self.restarts_from = tried(self.live)


def tried(spec: DomainSpec) -> tuple[str, ...]:
    """The devices (slots, MACs) that a machine tries to boot from, in turn."""
    told = [(d.boot_order, d.slot) for d in spec.disks] + [(n.boot_order, n.mac) for n in spec.nics]
    return tuple(name for _turn, name in sorted((turn, name) for turn, name in told if turn is not None))


@dataclass
class _Fault:
    times: int
    retryable: bool
    after: bool
    uuid: str | None


class FakeWorld:
    """One host's machine room with levers for everything that goes wrong. Thread-safe.

    ``boot_seconds`` pass before a started guest's agent answers.
    """

    def __init__(self, *, boot_seconds: float = 0.0, cpus: int = 8, memory_mib: int = 65536) -> None:
        self.lock = threading.RLock()
        self.domains: dict[str, FakeDomain] = {}
        self.missing_files: set[str] = set()
        self.logs: dict[str, bytes] = {}
        self.sizes: dict[str, int] = {}
        self.tpms: dict[str, str] = {}
        self.memories: dict[str, Any] = {}
        self.host_devices: list[HostDevice] = list(DEVICES)
        self.copy_looks = 3
        self.pulls: dict[tuple[str, str], FakePull] = {}
        self.pull_looks = 2
        self.backings: dict[str, str] = {}
        self.memory_full = False
        """Whether the disk is full on which images of memory are written."""
        self.boot_seconds = boot_seconds
        self.cpus, self.memory_mib = cpus, memory_mib
        self.calls: Counter[str] = Counter()
        self.nudges = Nudges()
        self._faults: dict[str, list[_Fault]] = {}
        self._slow: dict[str, float] = {}
        self._away = False

    # levers ------------------------------------------------------------------------------------------------

    def fail(
        self, method: str, times: int = 1, *, retryable: bool = True, after: bool = False, uuid: str | None = None
    ) -> None:
        """Let the next ``times`` calls of ``method`` fail; ``after`` does the work and loses the answer."""
        with self.lock:
            self._faults.setdefault(method, []).append(_Fault(times, retryable, after, uuid))

    def slow(self, method: str, seconds: float) -> None:
        """Let each call of ``method`` take ``seconds``; 0 heals."""
        with self.lock:
            self._slow[method] = seconds

    @property
    def away(self) -> bool:
        """Whether the daemon is away; guests go on meanwhile. Setting it to False nudges everybody."""
        return self._away

    @away.setter
    def away(self, value: bool) -> None:
        came_back, self._away = self._away and not value, value
        if came_back:
            self.nudges.put("")

    def heal(self) -> None:
        """Forget all ordered faults."""
        with self.lock:
            self._faults.clear()
            self._slow.clear()
            self.missing_files.clear()
            self.memory_full = False
        self.away = False

    def crash(self, uuid: str) -> None:
        """The domain's process dies behind our back."""
        self._stop(uuid, Power.CRASHED, "crashed")

    def power_off(self, uuid: str, reason: str = "shutdown") -> None:
        """The guest powers itself off (``shutdown``), or somebody pulls its plug (``destroyed``)."""
        self._stop(uuid, Power.STOPPED, reason)

    def lose_copies(self, uuid: str) -> None:
        """The hypervisor gives up every copy of the domain's disks, such as for a full disk; the guest goes on."""
        with self.lock:
            self.domains[uuid].mirrors.clear()

    def pause(self, uuid: str, reason: str = "io_error") -> None:
        """The hypervisor pauses the domain, such as for a full disk."""
        with self.lock:
            domain = self.domains[uuid]
            if domain.power is Power.RUNNING:
                domain.power, domain.reason = Power.PAUSED, reason
        self.nudges.put(uuid)

    def lose(self, uuid: str) -> None:
        """Somebody removes domain and definition behind our back."""
        with self.lock:
            domain = self.domains.pop(uuid)
            domain.guest.power_off()
        self.nudges.put(uuid)

    def reboot_host(self) -> None:
        """Power failure of the host: every domain stops, then those with autostart start."""
        with self.lock:
            for domain in self.domains.values():
                if domain.power in ACTIVE:
                    domain.power, domain.reason, domain.live = Power.STOPPED, "unknown", None
                    domain.mirrors.clear()
                    domain.guest.power_off()
                if domain.autostart:
                    self.boot(domain)
        self.nudges.put("")

    def guest(self, uuid: str, **behaviour: bool) -> FakeDomain:
        """The domain, after changing how its guest behaves: ``agent``, ``ignores_shutdown``, ``keeps_disks``,
        ``refuses_disks``, ``keeps_nics``, ``keeps_devices``, ``locks_trays``."""
        with self.lock:
            domain = self.domains[uuid]
            for name, value in behaviour.items():
                setattr(domain, "has_agent" if name == "agent" else name, value)
        self.nudges.put(uuid)
        return domain

    def let_go(self, domain: FakeDomain) -> None:
        """A guest that runs and is willing lets go of the disks and cards that it was asked for."""
        with self.lock:
            if domain.live is None or domain.power is not Power.RUNNING:
                return
            asked, live = domain.asked_for, domain.live
            disks = live.disks if domain.keeps_disks else tuple(d for d in live.disks if d.slot not in asked)
            nics = live.nics if domain.keeps_nics else tuple(n for n in live.nics if n.mac not in asked)
            kept = live.host_devices if domain.keeps_devices else tuple(
                d for d in live.host_devices if d.key not in asked
            )  # fmt: skip
            domain.live = replace(live, disks=disks, nics=nics, host_devices=kept)
            domain.asked_for = asked & {*(d.slot for d in disks), *(n.mac for n in nics), *(d.key for d in kept)}

    def unplug(self, address: str) -> HostDevice:
        """Somebody pulls a device out of the host; machines that have it lose it. The device."""
        with self.lock:
            found = next(d for d in self.host_devices if d.address == address)
            for domain in self.domains.values():
                if domain.live is not None:
                    left = tuple(d for d in domain.live.host_devices if self.device_of(d) != found)
                    domain.live = replace(domain.live, host_devices=left)
            self.host_devices.remove(found)
            return found

    def device_of(self, spec: HostDeviceSpec) -> HostDevice | None:
        """The device of the host that is meant; None where it is missing."""
        for device in self.host_devices:
            same = (device.vendor_id, device.product_id) == (spec.vendor_id, spec.product_id)
            there = not spec.number or (device.bus, device.number) == (spec.bus, spec.number)
            if device.kind == spec.kind and (device.address == spec.address if spec.kind == "pci" else same and there):
                return device
        return None

    def flush(self, timeout: float = 5.0) -> None:
        """Return when all nudges so far were delivered."""
        self.nudges.flush(timeout)

    # what the driver uses ----------------------------------------------------------------------------------

    def take_fault(self, method: str, uuid: str, *, after: bool) -> _Fault | None:
        """The fault ordered for this call, used up once."""
        with self.lock:
            for fault in self._faults.get(method, []):
                if fault.after is after and fault.times > 0 and fault.uuid in (None, uuid):
                    fault.times -= 1
                    return fault
        return None

    def delay(self, method: str) -> float:
        """Seconds that a call of ``method`` takes."""
        with self.lock:
            return self._slow.get(method, 0.0)

    def boot(self, domain: FakeDomain) -> None:
        """Switch a stopped domain on; USB devices that are missing are left out."""
        with self.lock:
            there = tuple(d for d in domain.spec.host_devices if d.kind == "pci" or self.device_of(d) is not None)
            domain.live, domain.power, domain.reason = replace(domain.spec, host_devices=there), Power.RUNNING, "booted"
            domain.began = domain.live
            domain.begun_mib = domain.spec.memory_mib
            if domain.spec.board.tpm:
                self.tpms.setdefault(domain.spec.uuid, f"keys made for {domain.spec.uuid}")
            domain.restarts_from = tried(domain.spec)
            domain.boots_from.append(domain.restarts_from)
            domain.started, domain.boots, domain.asked_for = time.monotonic(), domain.boots + 1, set()
            domain.guest.power_on(domain.spec.title)
        self.nudges.put(domain.spec.uuid)
        if self.boot_seconds:
            self.nudges.put(domain.spec.uuid, delay=self.boot_seconds)

    def _stop(self, uuid: str, power: Power, reason: str) -> None:
        with self.lock:
            domain = self.domains[uuid]
            if domain.power not in ACTIVE:
                return
            domain.power, domain.reason, domain.live = power, reason, None
            domain.mirrors.clear()
            domain.guest.power_off()
        self.nudges.put(uuid)

    def agent_of(self, domain: FakeDomain) -> bool:
        """Whether the domain's agent answers now."""
        up = time.monotonic() - domain.started >= self.boot_seconds
        return domain.power is Power.RUNNING and domain.has_agent and up
