"""A hypervisor in memory that passes the real one's contract: for tests and for `yun dev`.

`FakeWorld` is the machine room: it outlives any process, so a test that "kills" the cloud hands the same world to the
next one. `FakeHypervisor` is the driver on top. Faults are ordered from the world: calls that fail, answers that get
lost, a daemon that is away or slow, guests that ignore a shutdown, domains that crash behind our back.
"""

from __future__ import annotations

import math
import re
import socket
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.disk import DiskFormat
from yun.drivers.hypervisor.fake_boots import FakeBoots
from yun.drivers.hypervisor.fake_devices import FakeDevices
from yun.drivers.hypervisor.fake_limits import FakeLimits, refuse_impossible, refuse_uneven
from yun.drivers.hypervisor.fake_nics import FakeNics
from yun.drivers.hypervisor.fake_pull import PullingDisks
from yun.drivers.hypervisor.fake_world import ACTIVE, FakeDomain, FakeWorld, Mirror
from yun.drivers.hypervisor.libvirt.domain_xml import domain_xml
from yun.drivers.hypervisor.port import (
    BlockCopy,
    DiskSpec,
    DomainSpec,
    DomainState,
    DomainStats,
    GuestFacts,
    HypervisorFacts,
    PluggedDisk,
    Power,
    Stranger,
)

if TYPE_CHECKING:
    from yun.drivers.volume.fake import FakeVolumeStore

LOG_BYTES = 1 << 20
DISK_PLACES = 14
__all__ = ["FakeDomain", "FakeHypervisor", "FakeWorld"]


class FakeHypervisor(FakeBoots, FakeLimits, FakeNics, FakeDevices, PullingDisks):
    """The driver on a `FakeWorld`; ``timeout`` in seconds as the real one's. ``files`` is the disk store whose files
    its machines write to, where the house has one."""

    def __init__(
        self, world: FakeWorld | None = None, *, timeout: float = 30.0, files: FakeVolumeStore | None = None
    ) -> None:
        self.world = world or FakeWorld()
        self.timeout = timeout
        self.files = files

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

    def discard_tpm(self, uuid: str) -> None:
        with self._call("discard_tpm", uuid):
            if uuid in self.world.domains:
                raise DriverError(_("The hypervisor still has this machine."), private=uuid)
            self.world.tpms.pop(uuid, None)

    def copy_tpm(self, source: str, target: str) -> bool:
        with self._call("copy_tpm", target):
            if target not in self.world.tpms and source in self.world.tpms:
                self.world.tpms[target] = self.world.tpms[source]
            return target in self.world.tpms

    def start(self, uuid: str) -> None:
        with self._call("start", uuid):
            domain = self._get(uuid)
            if domain.power is Power.PAUSED:
                domain.power, domain.reason = Power.RUNNING, "user"
                self.world.nudges.put(uuid)
            elif domain.power is not Power.RUNNING:
                lost = [d.path for d in domain.spec.disks if d.path in self.world.missing_files]
                refuse_impossible(domain.spec)
                if lost:
                    reason = f"cannot access storage file {lost[0]}: No such file or directory"
                    raise DriverError(_("The hypervisor refused: {reason}", reason=reason))
                self._check_devices(domain)
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
                domain.boots_from.append(domain.restarts_from)
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

    def attach_disk(self, uuid: str, disk: DiskSpec) -> None:
        with self._call("attach_disk", uuid):
            domain = self._active(uuid)
            assert domain.live is not None
            there = {d.slot: d for d in domain.live.disks}.get(disk.slot)
            if there is not None and there.path != disk.path:
                raise DriverError(_("The slot {slot} holds another disk.", slot=disk.slot), private=disk.path)
            if disk.path in self.world.missing_files:
                reason = f"cannot access storage file {disk.path}: No such file or directory"
                raise DriverError(_("The hypervisor refused: {reason}", reason=reason))
            if there is None:
                refuse_uneven((*domain.live.disks, disk))
                if len(domain.live.disks) >= DISK_PLACES:
                    raise DriverError(_("The hypervisor refused: {reason}", reason="No more available PCI slots"))
                domain.live = replace(domain.live, disks=(*domain.live.disks, disk))

    def detach_disk(self, uuid: str, slot: str) -> bool:
        with self._call("detach_disk", uuid):
            domain = self._active(uuid)
            if domain.refuses_disks and domain.power is Power.RUNNING and slot in self._plugged(domain):
                return False
            domain.asked_for.add(slot)
            self.world.let_go(domain)
            return True

    def resize_disk(self, uuid: str, slot: str, size: int) -> None:
        with self._call("resize_disk", uuid):
            domain = self._active(uuid)
            if slot not in self._plugged(domain):
                raise DriverError(_("The slot {slot} is empty.", slot=slot))
            if size % 512 or size < self.world.sizes.get(self._plugged(domain)[slot].path, 0):
                raise DriverError(_("A disk cannot be made smaller."), private=slot)
            self.world.sizes[self._plugged(domain)[slot].path] = size

    def freeze_disks(self, uuid: str, heads: Mapping[str, str], *, quiesce: bool) -> bool:
        with self._call("freeze_disks", uuid):
            domain = self._active(uuid)
            assert domain.live is not None
            there = {d.slot: d.path for d in domain.live.disks if d.device == "disk" and not d.readonly}
            wrong = [slot for slot, path in heads.items() if there.get(slot) in (None, path)]
            if wrong or not heads:
                raise DriverError(_("The hypervisor refused: {reason}", reason=f"no disk {wrong} to freeze"))
            domain.live = onto(domain.live, there, heads)
            domain.spec = onto(domain.spec, there, heads)
            for slot, path in heads.items():
                self.world.sizes[path] = self.world.sizes.get(there[slot], 0)
            rests = quiesce and self.world.agent_of(domain)
            if rests:
                domain.guest.agent("guest-fsfreeze-freeze", {})
                domain.guest.agent("guest-fsfreeze-thaw", {})
            return rests

    def begin_copy(self, uuid: str, slot: str, path: str, *, format: DiskFormat = "qcow2") -> None:
        with self._call("begin_copy", uuid):
            domain = self._active(uuid)
            if slot not in self._plugged(domain):
                raise DriverError(_("The slot {slot} is empty.", slot=slot))
            domain.mirrors.setdefault(slot, Mirror(path, format))

    def copy_state(self, uuid: str, slot: str) -> BlockCopy | None:
        with self._call("copy_state", uuid):
            domain = self.world.domains.get(uuid)
            if domain is None or domain.power not in ACTIVE or slot not in domain.mirrors:
                return None
            mirror = domain.mirrors[slot]
            mirror.looks += 1
            done = min(mirror.looks, self.world.copy_looks)
            return BlockCopy(done, self.world.copy_looks, done == self.world.copy_looks)

    def finish_copy(self, uuid: str, slot: str) -> None:
        with self._call("finish_copy", uuid):
            domain = self._active(uuid)
            mirror = domain.mirrors.get(slot)
            if mirror is None or domain.live is None:
                raise DriverError(_("No copy of {slot} is under way.", slot=slot))
            if mirror.looks < self.world.copy_looks:
                raise DriverError(_("The copy of {slot} is not ready yet.", slot=slot), retryable=True)
            old = {slot: self._plugged(domain)[slot].path}
            domain.live = onto(domain.live, old, {slot: mirror.path}, mirror.format)
            domain.spec = onto(domain.spec, old, {slot: mirror.path}, mirror.format)
            self.world.sizes[mirror.path] = self.world.sizes.get(old[slot], 0)
            del domain.mirrors[slot]

    def abandon_copy(self, uuid: str, slot: str) -> None:
        with self._call("abandon_copy", uuid):
            domain = self.world.domains.get(uuid)
            if domain is not None:
                domain.mirrors.pop(slot, None)

    def defined_disks(self, uuid: str) -> dict[str, str]:
        with self._call("defined_disks", uuid):
            domain = self.world.domains.get(uuid)
            return {d.slot: d.path for d in domain.spec.disks if d.path} if domain is not None else {}

    def change_medium(self, uuid: str, slot: str, path: str, *, force: bool) -> bool:
        with self._call("change_medium", uuid):
            domain = self._active(uuid)
            assert domain.live is not None
            now = {d.slot: d.path for d in domain.live.disks if d.device == "cdrom"}.get(slot)
            if now is None:
                raise DriverError(_("The slot {slot} is no CD drive.", slot=slot))
            if path in self.world.missing_files:
                reason = f"cannot access storage file {path}: No such file or directory"
                raise DriverError(_("The hypervisor refused: {reason}", reason=reason))
            if now != path and now and domain.locks_trays and not force:
                return False
            domain.live = replace(
                domain.live, disks=tuple(replace(d, path=path) if d.slot == slot else d for d in domain.live.disks)
            )
            return True

    def media(self, uuid: str) -> dict[str, str]:
        with self._call("media", uuid):
            domain = self.world.domains.get(uuid)
            if domain is None or domain.power not in ACTIVE:
                return {}
            assert domain.live is not None
            return {d.slot: d.path for d in domain.live.disks if d.device == "cdrom"}

    def disks(self, uuid: str) -> dict[str, PluggedDisk]:
        with self._call("disks", uuid):
            domain = self.world.domains.get(uuid)
            if domain is None or domain.power not in ACTIVE:
                return {}
            self.world.let_go(domain)
            return self._plugged(domain)

    def _plugged(self, domain: FakeDomain) -> dict[str, PluggedDisk]:
        assert domain.live is not None
        return {d.slot: PluggedDisk(d.path, self.world.sizes.get(d.path, 0)) for d in domain.live.disks if d.path}

    def set_vcpus(self, uuid: str, count: int) -> None:
        with self._call("set_vcpus", uuid):
            domain = self._active(uuid)
            assert domain.live is not None
            most = max(domain.live.board.max_vcpus, domain.live.vcpus)
            if count > most:
                raise DriverError(_("The machine can have {most} vCPUs at most.", most=most))
            domain.live = replace(domain.live, vcpus=max(count, domain.live.vcpus))

    def set_memory(self, uuid: str, memory_mib: int) -> None:
        with self._call("set_memory", uuid):
            domain = self._active(uuid)
            assert domain.live is not None
            least, most = domain.begun_mib, domain.live.board.memory_max_mib
            if most <= least:
                least, most = 1, domain.begun_mib
            if not least <= memory_mib <= most or (most > domain.begun_mib and (memory_mib - least) % 2):
                text = _("The machine can have from {least} to {most} MiB of memory.", least=least, most=most)
                raise DriverError(text)
            domain.live = replace(domain.live, memory_mib=memory_mib)

    def pin_vcpus(self, uuid: str, pins: Sequence[str]) -> None:
        with self._call("pin_vcpus", uuid):
            domain = self._active(uuid)
            assert domain.live is not None
            if any(int(n) >= self.world.cpus for pin in pins for n in re.findall(r"\d+", pin)):
                raise DriverError(_("The host has {count} processors.", count=self.world.cpus))
            domain.live = replace(domain.live, board=replace(domain.live.board, pins=tuple(pins)))

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

    def strangers(self, besides: Collection[str] = ()) -> list[Stranger]:
        with self._call("strangers"):
            found = [d for d in self.world.domains.values() if not d.spec.metadata and d.spec.uuid not in besides]
            return [
                Stranger(
                    d.spec.uuid, d.spec.name, d.power, domain_xml(d.spec),
                    domain_xml(d.live) if d.live is not None else "", d.autostart,
                )
                for d in sorted(found, key=lambda d: d.spec.name)
            ]  # fmt: skip

    def claim(self, uuid: str, metadata: Mapping[str, str]) -> None:
        with self._call("claim", uuid):
            self._mark(self._get(uuid), metadata)

    def disown(self, uuid: str) -> None:
        with self._call("disown", uuid):
            if uuid in self.world.domains:
                self._mark(self.world.domains[uuid], {})

    def _mark(self, domain: FakeDomain, metadata: Mapping[str, str]) -> None:
        domain.spec = replace(domain.spec, metadata=dict(metadata))
        if domain.live is not None:
            domain.live = replace(domain.live, metadata=dict(metadata))

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

    def open_graphics(self, uuid: str, kind: Literal["vnc", "spice"] = "vnc") -> socket.socket:
        with self._call("open_graphics", uuid):
            domain = self._active(uuid)
            assert domain.live is not None
            if domain.live.board.display not in (kind, "both"):
                raise DriverError(_("The machine has no {kind} screen.", kind=kind.upper()), private=uuid)
            return domain.guest.open_graphics() if kind == "vnc" else domain.guest.open_spice()

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

    def guest(self, uuid: str) -> GuestFacts:
        with self._call("guest", uuid):
            domain = self._active(uuid)
            if not self.world.agent_of(domain) or domain.live is None:
                raise DriverError(_("The machine's guest agent does not answer."), retryable=True, private=uuid)
            return domain.guest.facts(domain.live, self.world.sizes)

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


def onto(
    spec: DomainSpec, old: Mapping[str, str], new: Mapping[str, str], format: DiskFormat = "qcow2"
) -> DomainSpec:
    """The spec with each slot that holds its ``old`` file holding its ``new`` one, of this ``format``."""
    disks = tuple(
        replace(d, path=new[d.slot], format=format) if d.slot in new and d.path == old[d.slot] else d
        for d in spec.disks
    )
    return replace(spec, disks=disks)


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
