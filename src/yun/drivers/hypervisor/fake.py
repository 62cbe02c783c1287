"""A hypervisor in memory that passes the real one's contract: for tests and for `yun dev`.

`FakeWorld` is the machine room: it outlives any process, so a test that "kills" the cloud hands the same world to the
next one. `FakeHypervisor` is the driver on top. Faults are ordered from the world: calls that fail, answers that get
lost, a daemon that is away or slow, guests that ignore a shutdown, domains that crash behind our back.
"""

from __future__ import annotations

import math
import socket
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.fake_guest import FakeGuest
from yun.drivers.hypervisor.libvirt.domain_xml import domain_xml
from yun.drivers.hypervisor.nudges import Nudges
from yun.drivers.hypervisor.port import (
    DomainSpec,
    DomainState,
    DomainStats,
    HypervisorFacts,
    Power,
)

ACTIVE = (Power.RUNNING, Power.PAUSED)
LOG_BYTES = 1 << 20


@dataclass
class FakeDomain:
    """A domain as the daemon knows it: ``spec`` is the persistent definition, ``live`` what runs."""

    spec: DomainSpec
    power: Power = Power.STOPPED
    reason: str = "unknown"
    live: DomainSpec | None = None
    started: float = 0.0
    boots: int = 0
    autostart: bool = False
    has_agent: bool = True
    ignores_shutdown: bool = False
    guest: FakeGuest = field(default_factory=FakeGuest)

    def __post_init__(self) -> None:
        if self.live is not None:
            self.guest.power_on(self.live.title)


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
        self.away = False

    def crash(self, uuid: str) -> None:
        """The domain's process dies behind our back."""
        self._stop(uuid, Power.CRASHED, "crashed")

    def power_off(self, uuid: str, reason: str = "shutdown") -> None:
        """The guest powers itself off (``shutdown``), or somebody pulls its plug (``destroyed``)."""
        self._stop(uuid, Power.STOPPED, reason)

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
                    domain.guest.power_off()
                if domain.autostart:
                    self.boot(domain)
        self.nudges.put("")

    def guest(self, uuid: str, *, agent: bool | None = None, ignores_shutdown: bool | None = None) -> FakeDomain:
        """The domain, after changing how its guest behaves."""
        with self.lock:
            domain = self.domains[uuid]
            domain.has_agent = domain.has_agent if agent is None else agent
            domain.ignores_shutdown = domain.ignores_shutdown if ignores_shutdown is None else ignores_shutdown
        self.nudges.put(uuid)
        return domain

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
        """Switch a stopped domain on."""
        with self.lock:
            domain.live, domain.power, domain.reason = domain.spec, Power.RUNNING, "booted"
            domain.started, domain.boots = time.monotonic(), domain.boots + 1
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
            domain.guest.power_off()
        self.nudges.put(uuid)

    def agent_of(self, domain: FakeDomain) -> bool:
        """Whether the domain's agent answers now."""
        up = time.monotonic() - domain.started >= self.boot_seconds
        return domain.power is Power.RUNNING and domain.has_agent and up


class FakeHypervisor:
    """The driver on a `FakeWorld`; ``timeout`` in seconds as the real one's."""

    def __init__(self, world: FakeWorld | None = None, *, timeout: float = 30.0) -> None:
        self.world = world or FakeWorld()
        self.timeout = timeout

    @contextmanager
    def _call(self, method: str, uuid: str = "") -> Iterator[None]:
        world = self.world
        with world.lock:
            world.calls[method] += 1
        if world.away:
            raise _away()
        if (seconds := world.delay(method)) > 0:
            time.sleep(min(seconds, self.timeout))
            if seconds > self.timeout:
                raise _away()
        if fault := world.take_fault(method, uuid, after=False):
            raise DriverError(_("The hypervisor refused: {reason}", reason="ordered fault"), retryable=fault.retryable)
        with world.lock:
            yield
        if fault := world.take_fault(method, uuid, after=True):
            raise DriverError(_("The hypervisor refused: {reason}", reason="lost answer"), retryable=fault.retryable)

    def _get(self, uuid: str) -> FakeDomain:
        if uuid not in self.world.domains:
            raise DriverError(_("The hypervisor does not know this machine."), private=uuid)
        return self.world.domains[uuid]

    def _active(self, uuid: str) -> FakeDomain:
        domain = self._get(uuid)
        if domain.power not in ACTIVE:
            raise DriverError(_("The machine is not running."), private=uuid)
        return domain

    def facts(self) -> HypervisorFacts:
        with self._call("facts"):
            return HypervisorFacts("9.0.0", "7.2.0", "fake", self.world.cpus, self.world.memory_mib)

    def define(self, spec: DomainSpec) -> None:
        with self._call("define", spec.uuid):
            domain_xml(spec)
            for other in self.world.domains.values():
                if other.spec.name == spec.name and other.spec.uuid != spec.uuid:
                    raise DriverError(_("The hypervisor refused: {reason}", reason="the name is in use"))
            known = self.world.domains.get(spec.uuid)
            if known is None:
                made = self.world.domains[spec.uuid] = FakeDomain(spec, autostart=spec.autostart)
                made.guest.remember(self.world.logs.get(spec.serial_log, b""))
            elif known.spec.name != spec.name:
                raise DriverError(_("The hypervisor refused: {reason}", reason="the name of a domain is fixed"))
            else:
                known.spec, known.autostart = spec, spec.autostart
            self.world.nudges.put(spec.uuid)

    def undefine(self, uuid: str) -> None:
        with self._call("undefine", uuid):
            domain = self.world.domains.get(uuid)
            if domain is None:
                return
            if domain.power in ACTIVE:
                raise DriverError(_("The machine is running."), private=uuid)
            if domain.spec.serial_log:
                self.world.logs[domain.spec.serial_log] = domain.guest.log(LOG_BYTES)
            del self.world.domains[uuid]
            self.world.nudges.put(uuid)

    def discard_log(self, path: str) -> None:
        with self._call("discard_log"):
            if any(d.spec.serial_log == path for d in self.world.domains.values()):
                raise DriverError(_("The machine is running."), private=path)
            self.world.logs.pop(path, None)

    def start(self, uuid: str) -> None:
        with self._call("start", uuid):
            domain = self._get(uuid)
            if domain.power is Power.PAUSED:
                domain.power, domain.reason = Power.RUNNING, "user"
                self.world.nudges.put(uuid)
            elif domain.power is not Power.RUNNING:
                lost = [d.path for d in domain.spec.disks if d.path in self.world.missing_files]
                if lost:
                    reason = f"cannot access storage file {lost[0]}: No such file or directory"
                    raise DriverError(_("The hypervisor refused: {reason}", reason=reason))
                self.world.boot(domain)

    def destroy(self, uuid: str) -> None:
        with self._call("destroy", uuid):
            if uuid in self.world.domains:
                self.world.power_off(uuid, "destroyed")

    def shutdown(self, uuid: str, how: Literal["agent", "acpi"]) -> None:
        with self._call("shutdown", uuid):
            domain = self._get(uuid)
            if domain.power not in ACTIVE:
                return
            self._needs_agent(domain, how)
            if domain.power is Power.RUNNING and not domain.ignores_shutdown:
                self.world.power_off(uuid, "shutdown")

    def reboot(self, uuid: str, how: Literal["agent", "acpi", "reset"]) -> None:
        with self._call("reboot", uuid):
            domain = self._active(uuid)
            self._needs_agent(domain, how)
            if how == "reset" or not domain.ignores_shutdown:
                domain.started, domain.boots = time.monotonic(), domain.boots + 1
                domain.guest.reboot()
                self.world.nudges.put(uuid)

    def _needs_agent(self, domain: FakeDomain, how: str) -> None:
        if how == "agent" and not self.world.agent_of(domain):
            raise DriverError(_("The machine's guest agent does not answer."), private=domain.spec.uuid)

    def suspend(self, uuid: str) -> None:
        with self._call("suspend", uuid):
            domain = self._active(uuid)
            if domain.power is Power.RUNNING:
                domain.power, domain.reason = Power.PAUSED, "user"
                self.world.nudges.put(uuid)

    def resume(self, uuid: str) -> None:
        with self._call("resume", uuid):
            domain = self._active(uuid)
            if domain.power is Power.PAUSED:
                domain.power, domain.reason = Power.RUNNING, "user"
                self.world.nudges.put(uuid)

    def set_autostart(self, uuid: str, on: bool) -> None:
        with self._call("set_autostart", uuid):
            domain = self._get(uuid)
            domain.autostart = on
            domain.spec = replace(domain.spec, autostart=on)

    def state(self, uuid: str) -> DomainState:
        with self._call("state", uuid):
            domain = self.world.domains.get(uuid)
            return DomainState(Power.MISSING) if domain is None else self._state(domain)

    def states(self) -> dict[str, DomainState]:
        with self._call("states"):
            return {uuid: self._state(domain) for uuid, domain in self.world.domains.items()}

    def _state(self, domain: FakeDomain) -> DomainState:
        return DomainState(domain.power, domain.reason, self.world.agent_of(domain))

    def stats(self) -> dict[str, DomainStats]:
        with self._call("stats"):
            now = time.monotonic()
            return {u: _stats(d, now - d.started) for u, d in self.world.domains.items() if d.live is not None}

    def xml(self, uuid: str, *, live: bool) -> str:
        with self._call("xml", uuid):
            domain = self._get(uuid)
            return domain_xml(domain.live if live and domain.live else domain.spec)

    def screenshot(self, uuid: str) -> bytes:
        with self._call("screenshot", uuid):
            return self._active(uuid).guest.screenshot()

    def open_graphics(self, uuid: str) -> socket.socket:
        with self._call("open_graphics", uuid):
            return self._active(uuid).guest.open_graphics()

    def open_serial(self, uuid: str) -> socket.socket:
        with self._call("open_serial", uuid):
            return self._active(uuid).guest.open_serial()

    def serial_log(self, uuid: str, tail: int = 65536) -> bytes:
        with self._call("serial_log", uuid):
            return self._get(uuid).guest.log(tail)

    def send_keys(self, uuid: str, keycodes: Sequence[int], hold_ms: int = 50) -> None:
        with self._call("send_keys", uuid):
            self._active(uuid).guest.press(keycodes)

    def agent(
        self, uuid: str, command: str, arguments: Mapping[str, object] | None = None, timeout: float = 5
    ) -> object:
        with self._call("agent", uuid):
            domain = self._active(uuid)
            if not self.world.agent_of(domain):
                raise DriverError(_("The machine's guest agent does not answer."), retryable=True, private=uuid)
            return domain.guest.agent(command, dict(arguments or {}))

    def addresses(self, uuid: str) -> dict[str, list[str]]:
        with self._call("addresses", uuid):
            domain = self.world.domains.get(uuid)
            if domain is None or domain.live is None or not self.world.agent_of(domain):
                return {}
            return {nic.mac: list(domain.guest.addresses.get(nic.mac, [])) for nic in domain.live.nics}

    def subscribe(self, nudge: Callable[[str], None]) -> None:
        self.world.nudges.subscribe(self, nudge)

    def close(self) -> None:
        self.world.nudges.unsubscribe(self)


def _away() -> DriverError:
    message = _("The hypervisor service does not answer.")
    return DriverError(message, retryable=True, hint=_("See the host's services; start libvirt if it is stopped."))


def _stats(domain: FakeDomain, up: float) -> DomainStats:
    """Counters that move like a lightly used machine's, each machine with a rhythm of its own."""
    spec = domain.live or domain.spec
    seed = zlib.crc32(spec.uuid.encode())
    level, wave = 0.05 + seed % 40 / 100, 60 + seed % 240
    busy = up * level + level * wave / (2 * math.pi) * (1 - math.cos(2 * math.pi * up / wave))
    memory = spec.memory_mib * 1024
    used = int(memory * (0.3 + 0.1 * math.sin(up / 97 + seed % 7)))
    io = int(busy * (1 << 20) * (1 + seed % 5))
    return DomainStats(
        cpu_ns=int(busy * spec.vcpus * 0.5e9),
        vcpus=spec.vcpus,
        memory_kib=memory,
        memory_used_kib=used if domain.has_agent else None,
        disk_read_bytes=io,
        disk_write_bytes=io // 3,
        net_rx_bytes=io // 2 if spec.nics else 0,
        net_tx_bytes=io // 5 if spec.nics else 0,
    )
