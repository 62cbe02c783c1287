"""The hypervisor port on libvirt: each method is one call, done in the connection's worker threads."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.disk import DiskFormat
from yun.drivers.hypervisor.host_device import HostDevice, HostDeviceSpec
from yun.drivers.hypervisor.libvirt import (
    boots,
    copying,
    disks,
    files,
    guest,
    host_devices,
    look,
    nics,
    pulling,
    size,
    strangers,
    tpm,
    tuning,
)
from yun.drivers.hypervisor.libvirt.connect import Connection, binding
from yun.drivers.hypervisor.libvirt.domain_xml import domain_xml, mark
from yun.drivers.hypervisor.libvirt.errors import NO_DOMAIN, OPERATION_INVALID
from yun.drivers.hypervisor.libvirt.events import Events, agent_connected
from yun.drivers.hypervisor.nudges import Nudges
from yun.drivers.hypervisor.port import (
    BlockCopy,
    DiskSpec,
    DomainSpec,
    DomainState,
    DomainStats,
    GuestFacts,
    HypervisorFacts,
    IoLimits,
    NicSpec,
    PluggedDisk,
    PluggedNic,
    Power,
    Stranger,
)

T = TypeVar("T")
UNDEFINE = 1 | 2 | 8 | 16
"""Without managed save, snapshot metadata and checkpoint metadata; NVRAM is kept."""
STATE_ONLY = 1
VALIDATE = 1
COUNTERS = 1 | 2 | 4 | 8 | 16 | 32
"""State, CPU, balloon, vCPU, interface, block."""
ACTIVE_ONLY, NEVER_WAIT = 1, 1 << 29
SKIP_AUTH = 1
FROM_AGENT = 1
LINUX_KEYS = 0


class LibvirtHypervisor:
    """One host's virtual machines through libvirt at ``uri``; calls end within ``timeout`` seconds."""

    def __init__(
        self, uri: str = "qemu:///system", *, timeout: float = 30.0, tpm_states: Path = tpm.STATES
    ) -> None:
        self._tpm_states = tpm_states
        self._nudges = Nudges()
        self._events = Events(self._nudges)
        self._connection = Connection(uri, timeout=timeout, greet=self._events.greet)

    def _on(
        self, uuid: str, work: Callable[[Any], T], *, missing: Callable[[], T] | None = None,
        timeout: float | None = None,
    ) -> T:  # fmt: skip
        """``work(domain)``; where there is no such domain, ``missing()`` instead, if given."""

        def find_and_work(conn: Any) -> T:
            try:
                return work(conn.lookupByUUIDString(uuid))
            except Exception as error:
                if missing is not None and _code(error) == NO_DOMAIN:
                    return missing()
                raise

        return self._connection.call(find_and_work, uuid=uuid, timeout=timeout)

    def _make(self, uuid: str, wish: Callable[[Any], bool], work: Callable[[Any], object]) -> None:
        """Do ``work(domain)`` unless ``wish(domain)`` already holds, also when somebody else was quicker."""

        def make(domain: Any) -> None:
            if wish(domain):
                return
            try:
                work(domain)
            except Exception as error:
                if _code(error) != OPERATION_INVALID or not wish(domain):
                    raise

        self._on(uuid, make)

    def facts(self) -> HypervisorFacts:
        def ask(conn: Any) -> HypervisorFacts:
            model, memory_mib, cpus = conn.getInfo()[:3]
            return HypervisorFacts(_version(conn.getLibVersion()), _version(conn.getVersion()), model, cpus, memory_mib)

        return self._connection.call(ask)

    def define(self, spec: DomainSpec) -> None:
        text = domain_xml(spec)
        files.prepare(spec)

        def define(conn: Any) -> None:
            # What a person wrote is held against the schema: libvirt would ignore what it does not know.
            conn.defineXMLFlags(text, VALIDATE if spec.board.overlay else 0).setAutostart(int(spec.autostart))

        self._connection.call(define, uuid=spec.uuid)

    def undefine(self, uuid: str) -> None:
        def undefine(domain: Any) -> None:
            # An undefined running domain would go on nameless and vanish with all it had: never that.
            if domain.isActive():
                raise DriverError(_("The machine is running."), private=uuid)
            if domain.isPersistent():
                domain.undefineFlags(UNDEFINE)

        self._on(uuid, undefine, missing=lambda: None)

    def discard_log(self, path: str) -> None:
        files.discard_serial_log(path)

    def discard_tpm(self, uuid: str) -> None:
        tpm.discard(self._tpm_states, uuid)

    def copy_tpm(self, source: str, target: str) -> bool:
        return tpm.copy(self._tpm_states, source, target)

    def start(self, uuid: str) -> None:
        def start(domain: Any) -> None:
            if _power(domain) is Power.PAUSED:
                domain.resume()
                return
            if domain.isActive():  # a panicked machine that was kept for a look
                domain.destroy()
            domain.create()

        self._make(uuid, lambda domain: _power(domain) is Power.RUNNING, start)

    def destroy(self, uuid: str) -> None:
        def destroy(domain: Any) -> None:
            if domain.isActive():
                try:
                    domain.destroy()
                except Exception as error:
                    if _code(error) != OPERATION_INVALID or domain.isActive():
                        raise

        self._on(uuid, destroy, missing=lambda: None)

    def shutdown(self, uuid: str, how: Literal["agent", "acpi"]) -> None:
        libvirt = binding()
        flags = libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN
        if how == "agent":
            flags = libvirt.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT

        def shutdown(domain: Any) -> None:
            _needs_agent(domain, how)
            domain.shutdownFlags(flags)

        self._make(uuid, lambda domain: not domain.isActive(), shutdown)

    def reboot(self, uuid: str, how: Literal["agent", "acpi", "reset"]) -> None:
        libvirt = binding()

        def reboot(domain: Any) -> None:
            _must_run(domain)
            _needs_agent(domain, how)
            if how == "reset":
                domain.reset(0)
            elif how == "agent":
                domain.reboot(libvirt.VIR_DOMAIN_REBOOT_GUEST_AGENT)
            else:
                domain.reboot(libvirt.VIR_DOMAIN_REBOOT_ACPI_POWER_BTN)

        self._on(uuid, reboot)

    def suspend(self, uuid: str) -> None:
        def suspend(domain: Any) -> None:
            _must_run(domain)
            domain.suspend()

        self._make(uuid, lambda domain: _power(domain) is Power.PAUSED, suspend)

    def resume(self, uuid: str) -> None:
        def resume(domain: Any) -> None:
            _must_run(domain)
            domain.resume()

        self._make(uuid, lambda domain: _power(domain) is Power.RUNNING, resume)

    def attach_disk(self, uuid: str, disk: DiskSpec) -> None:
        self._on_running(uuid, lambda domain: disks.attach(domain, disk))

    def detach_disk(self, uuid: str, slot: str) -> bool:
        def detach(domain: Any) -> bool:
            _must_run(domain)
            return disks.detach(domain, slot)

        return self._on(uuid, detach)

    def resize_disk(self, uuid: str, slot: str, size: int) -> None:
        self._on_running(uuid, lambda domain: disks.resize(domain, slot, size))

    def limit_disk(self, uuid: str, slot: str, limits: IoLimits) -> None:
        self._on_running(uuid, lambda domain: tuning.limit(domain, slot, limits))

    def disk_limits(self, uuid: str) -> dict[str, IoLimits]:
        return self._on(uuid, lambda domain: tuning.limits(domain) if domain.isActive() else {}, missing=dict)

    def freeze_disks(self, uuid: str, heads: Mapping[str, str], *, quiesce: bool) -> bool:
        def freeze(domain: Any) -> bool:
            _must_run(domain)
            rests = quiesce and agent_connected(domain.XMLDesc(0))
            return disks.freeze(domain, heads, quiesce=rests)

        return self._on(uuid, freeze)

    def begin_copy(self, uuid: str, slot: str, path: str, *, format: DiskFormat = "qcow2") -> None:
        self._on_running(uuid, lambda domain: copying.begin(domain, slot, path, format))

    def copy_state(self, uuid: str, slot: str) -> BlockCopy | None:
        return self._on(
            uuid, lambda domain: copying.state(domain, slot) if domain.isActive() else None, missing=lambda: None
        )

    def finish_copy(self, uuid: str, slot: str) -> None:
        self._on_running(uuid, lambda domain: copying.finish(domain, slot))

    def abandon_copy(self, uuid: str, slot: str) -> None:
        self._on(
            uuid, lambda domain: copying.abandon(domain, slot) if domain.isActive() else None, missing=lambda: None
        )

    def defined_disks(self, uuid: str) -> dict[str, str]:
        return self._on(uuid, copying.defined, missing=dict)

    def change_medium(self, uuid: str, slot: str, path: str, *, force: bool) -> bool:
        def change(domain: Any) -> bool:
            _must_run(domain)
            return disks.change_medium(domain, slot, path, force=force)

        return self._on(uuid, change)

    def media(self, uuid: str) -> dict[str, str]:
        return self._on(uuid, lambda domain: disks.media(domain) if domain.isActive() else {}, missing=dict)

    def begin_pull(self, uuid: str, slot: str, base: str) -> None:
        self._on_running(uuid, lambda domain: pulling.begin(domain, slot, base))

    def pull_state(self, uuid: str, slot: str) -> float | None:
        return self._on(
            uuid, lambda domain: pulling.state(domain, slot) if domain.isActive() else None, missing=lambda: None
        )

    def flush_disk(self, uuid: str, slot: str) -> None:
        self._on_running(uuid, lambda domain: pulling.flush(domain, slot))

    def abandon_pull(self, uuid: str, slot: str) -> None:
        def abandon(domain: Any) -> None:
            if domain.isActive():
                pulling.abandon(domain, slot)

        self._on(uuid, abandon, missing=lambda: None)

    def disks(self, uuid: str) -> dict[str, PluggedDisk]:
        return self._on(uuid, lambda domain: disks.plugged(domain) if domain.isActive() else {}, missing=dict)

    def attach_nic(self, uuid: str, nic: NicSpec) -> None:
        self._on_running(uuid, lambda domain: nics.attach(domain, nic))

    def detach_nic(self, uuid: str, mac: str) -> None:
        self._on_running(uuid, lambda domain: nics.detach(domain, mac))

    def set_link(self, uuid: str, mac: str, up: bool) -> None:
        self._on_running(uuid, lambda domain: nics.set_link(domain, mac, up))

    def nics(self, uuid: str) -> dict[str, PluggedNic]:
        return self._on(uuid, lambda domain: nics.plugged(domain) if domain.isActive() else {}, missing=dict)

    def restart_order(self, uuid: str) -> tuple[str, ...]:
        return self._on(
            uuid, lambda domain: boots.restart_order(domain) if domain.isActive() else (), missing=lambda: ()
        )

    def restart_as_defined(self, uuid: str) -> None:
        self._on_running(uuid, boots.restart_as_defined)

    def host_devices(self) -> list[HostDevice]:
        return self._connection.call(host_devices.inventory)

    def attach_host_device(self, uuid: str, device: HostDeviceSpec) -> None:
        self._on_running(uuid, lambda domain: host_devices.attach(domain, device))

    def detach_host_device(self, uuid: str, key: str) -> None:
        self._on_running(uuid, lambda domain: host_devices.detach(domain, key))

    def plugged_host_devices(self, uuid: str) -> set[str]:
        return self._on(
            uuid, lambda domain: host_devices.plugged(domain) if domain.isActive() else set(), missing=set
        )

    def _on_running(self, uuid: str, work: Callable[[Any], None]) -> None:
        def check_and_work(domain: Any) -> None:
            _must_run(domain)
            work(domain)

        self._on(uuid, check_and_work)

    def set_vcpus(self, uuid: str, count: int) -> None:
        self._on_running(uuid, lambda domain: size.set_vcpus(domain, count))

    def set_memory(self, uuid: str, memory_mib: int) -> None:
        self._on_running(uuid, lambda domain: size.set_memory(domain, memory_mib))

    def pin_vcpus(self, uuid: str, pins: Sequence[str]) -> None:
        self._on_running(uuid, lambda domain: size.pin_vcpus(domain, tuple(pins)))

    def set_autostart(self, uuid: str, on: bool) -> None:
        self._on(uuid, lambda domain: domain.setAutostart(int(on)))

    def state(self, uuid: str) -> DomainState:
        def look_at(domain: Any) -> DomainState:
            state, reason = domain.state()
            agent = bool(domain.isActive()) and agent_connected(domain.XMLDesc(0))
            return look.read_state(state, reason, agent)

        return self._on(uuid, look_at, missing=lambda: DomainState(Power.MISSING))

    def states(self) -> dict[str, DomainState]:
        def look_at_all(conn: Any) -> dict[str, DomainState]:
            found = {}
            for domain, record in conn.getAllDomainStats(STATE_ONLY, NEVER_WAIT):
                uuid = domain.UUIDString()
                state, reason = record.get("state.state", 0), record.get("state.reason", 0)
                found[uuid] = look.read_state(state, reason, self._events.agent(uuid))
            return found

        return self._connection.call(look_at_all)

    def strangers(self, besides: Collection[str] = ()) -> list[Stranger]:
        known = frozenset(besides)
        return self._connection.call(lambda conn: strangers.find(conn, known))

    def claim(self, uuid: str, metadata: Mapping[str, str]) -> None:
        self._on(uuid, lambda domain: strangers.write_mark(domain, mark(metadata)))

    def disown(self, uuid: str) -> None:
        self._on(uuid, lambda domain: strangers.write_mark(domain, None), missing=lambda: None)

    def stats(self) -> dict[str, DomainStats]:
        def count(conn: Any) -> dict[str, DomainStats]:
            records = conn.getAllDomainStats(COUNTERS, ACTIVE_ONLY | NEVER_WAIT)
            return {domain.UUIDString(): look.read_stats(record) for domain, record in records}

        return self._connection.call(count)

    def xml(self, uuid: str, *, live: bool) -> str:
        inactive = 2
        return self._on(uuid, lambda domain: str(domain.XMLDesc(0 if live else inactive)))

    def screenshot(self, uuid: str) -> bytes:
        def shoot(domain: Any) -> bytes:
            _must_run(domain)
            stream = domain.connect().newStream(0)
            domain.screenshot(stream, 0)
            parts = []
            while part := stream.recv(262120):
                parts.append(part)
            stream.finish()
            return b"".join(parts)

        return look.as_png(self._on(uuid, shoot))

    def open_graphics(self, uuid: str, kind: Literal["vnc", "spice"] = "vnc") -> socket.socket:
        def open_it(domain: Any) -> socket.socket:
            _must_run(domain)
            screens = look.screens(domain.XMLDesc(0))
            if kind not in screens:
                raise DriverError(_("The machine has no {kind} screen.", kind=kind.upper()), private=uuid)
            return socket.socket(fileno=domain.openGraphicsFD(screens.index(kind), SKIP_AUTH))

        return self._on(uuid, open_it)

    def open_serial(self, uuid: str) -> socket.socket:
        def live_xml(domain: Any) -> str:
            _must_run(domain)
            return str(domain.XMLDesc(0))

        return files.connect_serial(self._on(uuid, live_xml))

    def serial_log(self, uuid: str, tail: int = 65536) -> bytes:
        return files.read_serial_log(self.xml(uuid, live=False), tail)

    def send_keys(self, uuid: str, keycodes: Sequence[int], hold_ms: int = 50) -> None:
        def press(domain: Any) -> None:
            _must_run(domain)
            domain.sendKey(LINUX_KEYS, hold_ms, list(keycodes), len(keycodes), 0)

        self._on(uuid, press)

    def agent(
        self, uuid: str, command: str, arguments: Mapping[str, object] | None = None, timeout: float = 5
    ) -> object:
        import libvirt_qemu  # type: ignore[import-untyped]

        question: dict[str, object] = {"execute": command}
        if arguments:
            question["arguments"] = dict(arguments)

        def ask(domain: Any) -> object:
            _must_run(domain)
            answer = libvirt_qemu.qemuAgentCommand(domain, json.dumps(question), max(1, round(timeout)), 0)
            return json.loads(answer)["return"]

        # libvirt asks whether the agent is there at all before it asks the question: that takes up to five seconds.
        return self._on(uuid, ask, timeout=timeout + 10)

    def guest(self, uuid: str) -> GuestFacts:
        def ask(domain: Any) -> GuestFacts:
            _must_run(domain)
            if not agent_connected(domain.XMLDesc(0)):
                raise DriverError(_("The machine's guest agent does not answer."), retryable=True, private=uuid)
            return guest.ask(domain)

        return self._on(uuid, ask)

    def addresses(self, uuid: str) -> dict[str, list[str]]:
        def ask(domain: Any) -> dict[str, list[str]]:
            if not domain.isActive() or not agent_connected(domain.XMLDesc(0)):
                return {}
            found: dict[str, list[str]] = {}
            for card in domain.interfaceAddresses(FROM_AGENT, 0).values():
                if card.get("hwaddr") and card["hwaddr"] != "00:00:00:00:00:00":
                    found[card["hwaddr"]] = [a["addr"] for a in card.get("addrs") or []]
            return found

        return self._on(uuid, ask, missing=dict)

    def subscribe(self, nudge: Callable[[str], None]) -> None:
        self._nudges.subscribe(self, nudge)
        # Events only come on an open connection: open it now if nobody has asked anything yet.
        self._connection.begin()

    def close(self) -> None:
        self._nudges.close()
        self._connection.close()


def _code(error: BaseException) -> int | None:
    ask = getattr(error, "get_error_code", None)
    return ask() if ask else None


def _power(domain: Any) -> Power:
    state, reason = domain.state()
    return look.read_state(state, reason, False).power


def _must_run(domain: Any) -> None:
    if not domain.isActive():
        raise DriverError(_("The machine is not running."), private=domain.UUIDString())


def _needs_agent(domain: Any, how: str) -> None:
    if how == "agent" and not agent_connected(domain.XMLDesc(0)):
        raise DriverError(_("The machine's guest agent does not answer."), private=domain.UUIDString())


def _version(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
