"""The contract of the hypervisor port: one suite, run on the fake and on real libvirt.

A module that runs it offers the module fixture ``room``: a `Room` with the driver under test, and inherits `Contract`.
The machine ``booted`` runs a real guest with agent, serial port and screen; the others are empty machines.
"""

from __future__ import annotations

import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from tests.drivers.hypervisor.board_contract import BoardContract
from tests.drivers.hypervisor.boot_contract import BootContract
from tests.drivers.hypervisor.device_contract import DeviceContract
from tests.drivers.hypervisor.disk_contract import DiskContract
from tests.drivers.hypervisor.foreign_contract import ForeignContract
from tests.drivers.hypervisor.guest_contract import GuestContract
from tests.drivers.hypervisor.limit_contract import LimitContract
from tests.drivers.hypervisor.memory_contract import MemoryContract
from tests.drivers.hypervisor.nic_contract import NicContract
from tests.drivers.hypervisor.screen_contract import ScreenContract
from yun.base.errors import DriverError
from yun.base.ids import as_uuid, new_id
from yun.drivers.hypervisor.port import DiskSpec, DomainSpec, Hypervisor, Power

PATIENCE = 30.0


class Room(ABC):
    """Where the contract is tried: the driver, and the levers of the world behind it."""

    driver: Hypervisor
    has_usb: bool = True
    checks_schema: bool = False
    """Whether the driver knows what libvirt's XML may say."""
    booted: str
    booted_spec: DomainSpec
    """What ``booted`` was defined from; it names a serial log."""

    @abstractmethod
    def spec(self, **changes: object) -> DomainSpec:
        """A small machine that is not defined yet; forgotten at the end of the module."""

    @abstractmethod
    def crash(self, uuid: str) -> None:
        """Kill the machine's process behind the driver's back."""

    @abstractmethod
    def pull_plug(self, uuid: str) -> None:
        """Somebody else powers the machine off, not through our driver."""

    @abstractmethod
    def blank_disk(self, size: int, format: str = "qcow2") -> str:
        """The path of a fresh file of ``size`` virtual bytes."""

    @abstractmethod
    def head_on(self, path: str, size: int, format: str = "qcow2") -> str:
        """The path of a fresh qcow2 file of ``size`` virtual bytes; it stands on ``path``, which is a ``format``."""

    @abstractmethod
    def backing_of(self, path: str) -> str:
        """What a qcow2 file's header says that it stands on; empty for nothing."""

    @abstractmethod
    def tpm(self, uuid: str) -> str:
        """A mark of what is kept for the machine's TPM; empty for nothing."""

    @abstractmethod
    def memory(self) -> str:
        """A path for an image of memory, of which there is none yet."""

    @abstractmethod
    def cut_off(self, memory: str) -> None:
        """An image of memory loses its end."""

    @abstractmethod
    def note(self, uuid: str, word: str) -> None:
        """A guest with an agent keeps a word in its memory alone."""

    @abstractmethod
    def noted(self, uuid: str) -> str:
        """The word that a guest keeps in its memory."""

    def lost_disk(self) -> str:
        """The path of a disk that is not there."""
        return f"/nonexistent-{new_id('hed')}.qcow2"

    def machine(self, *, running: bool = False, **changes: object) -> str:
        """The UUID of a fresh, defined machine."""
        return self.made(self.spec(**changes), running=running)

    def made(self, spec: DomainSpec, *, running: bool = False) -> str:
        """The UUID of a machine, now defined."""
        self.driver.define(spec)
        if running:
            self.driver.start(spec.uuid)
        return spec.uuid


def blank(**changes: object) -> DomainSpec:
    """An empty machine of the smallest size."""
    identifier = new_id("ins")
    spec = DomainSpec(
        uuid=as_uuid(identifier), name=identifier, title="contract", memory_mib=64, vcpus=1, accel="tcg"
    )
    return replace(spec, **changes)  # type: ignore[arg-type]


def until(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    """Return when the condition holds; fail when it never does."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.05)


def missing() -> str:
    """The UUID of a machine that nobody knows."""
    return as_uuid(new_id("ins"))


class Contract(
    BoardContract, BootContract, DeviceContract, DiskContract, ForeignContract, GuestContract, LimitContract,
    MemoryContract, NicContract, ScreenContract,
):  # fmt: skip
    """What every hypervisor driver does."""

    def test_facts_tell_versions_and_size(self, room: Room) -> None:
        facts = room.driver.facts()
        assert re.fullmatch(r"\d+\.\d+\.\d+", facts.libvirt_version)
        assert re.fullmatch(r"\d+\.\d+\.\d+", facts.qemu_version)
        assert facts.cpus > 0
        assert facts.memory_mib > 0

    def test_a_defined_machine_is_stopped_and_listed(self, room: Room) -> None:
        uuid = room.machine()
        assert room.driver.state(uuid).power is Power.STOPPED
        assert room.driver.states()[uuid].power is Power.STOPPED

    def test_an_unknown_machine_is_missing(self, room: Room) -> None:
        uuid = missing()
        assert room.driver.state(uuid).power is Power.MISSING
        assert uuid not in room.driver.states()

    @pytest.mark.parametrize(
        "verb",
        ["start", "suspend", "resume", "screenshot", "open_graphics", "open_serial", "serial_log"],
    )
    def test_verbs_on_an_unknown_machine_fail_for_good(self, room: Room, verb: str) -> None:
        with pytest.raises(DriverError) as caught:
            getattr(room.driver, verb)(missing())
        assert not caught.value.retryable

    @pytest.mark.parametrize("verb", ["suspend", "resume", "screenshot", "open_graphics", "open_serial"])
    def test_verbs_for_running_machines_are_refused_by_a_stopped_one(self, room: Room, verb: str) -> None:
        with pytest.raises(DriverError) as caught:
            getattr(room.driver, verb)(room.machine())
        assert not caught.value.retryable

    def test_forgetting_and_cutting_an_unknown_machine_is_fine(self, room: Room) -> None:
        room.driver.undefine(missing())
        room.driver.destroy(missing())

    def test_a_new_definition_counts_at_the_next_start(self, room: Room) -> None:
        spec = room.spec()
        room.driver.define(spec)
        room.driver.define(spec)
        room.driver.start(spec.uuid)
        room.driver.define(replace(spec, title="later", vcpus=2))
        assert _root(room, spec.uuid, live=True).findtext("vcpu") == "1"
        assert _root(room, spec.uuid, live=False).findtext("vcpu") == "2"
        assert _root(room, spec.uuid, live=False).findtext("title") == "later"
        room.driver.destroy(spec.uuid)
        assert _root(room, spec.uuid, live=True).findtext("vcpu") == "2"

    def test_two_machines_cannot_have_one_name(self, room: Room) -> None:
        first = room.spec()
        room.driver.define(first)
        with pytest.raises(DriverError) as caught:
            room.driver.define(room.spec(name=first.name))
        assert not caught.value.retryable

    def test_a_persons_words_survive(self, room: Room) -> None:
        words = "云主机 <b>&\"'; $(reboot) / .. 🐧"
        text = words + "\nsecond line ]]>"
        uuid = room.machine(title=words, description=text, metadata={"owner": words})
        root = _root(room, uuid, live=False)
        assert root.findtext("title") == words
        assert root.findtext("description") == text
        assert words in [e.text for e in root.find("metadata").iter()]

    def test_start_pause_resume_and_power_cut_can_be_repeated(self, room: Room) -> None:
        uuid = room.machine()
        for verb, power in (
            ("start", Power.RUNNING), ("suspend", Power.PAUSED), ("resume", Power.RUNNING),
            ("suspend", Power.PAUSED), ("start", Power.RUNNING), ("destroy", Power.STOPPED),
        ):  # fmt: skip
            for _again in range(2):
                getattr(room.driver, verb)(uuid)
                assert room.driver.state(uuid).power is power, verb
                assert room.driver.states()[uuid].power is power, verb
        assert room.driver.state(uuid).reason == "destroyed"

    def test_asking_a_stopped_machine_to_power_off_does_nothing(self, room: Room) -> None:
        uuid = room.machine()
        room.driver.shutdown(uuid, "acpi")
        room.driver.shutdown(uuid, "agent")
        assert room.driver.state(uuid).power is Power.STOPPED

    def test_a_guest_without_agent_cannot_be_asked_through_it(self, room: Room) -> None:
        uuid = room.machine(running=True)
        self._silence(room, uuid)
        assert not room.driver.state(uuid).agent
        for ask in (room.driver.shutdown, room.driver.reboot):
            with pytest.raises(DriverError) as caught:
                ask(uuid, "agent")
            assert not caught.value.retryable
        with pytest.raises(DriverError):
            room.driver.agent(uuid, "guest-ping", timeout=1)
        assert room.driver.addresses(uuid) == {}

    def _silence(self, room: Room, uuid: str) -> None:
        """Make sure that the empty machine's guest has no agent."""

    def test_a_reset_machine_goes_on(self, room: Room) -> None:
        uuid = room.machine(running=True)
        room.driver.reboot(uuid, "reset")
        assert room.driver.state(uuid).power is Power.RUNNING
        with pytest.raises(DriverError):
            room.driver.reboot(room.machine(), "reset")

    def test_a_running_machine_is_not_forgotten(self, room: Room) -> None:
        uuid = room.machine(running=True)
        with pytest.raises(DriverError) as caught:
            room.driver.undefine(uuid)
        assert not caught.value.retryable
        assert room.driver.state(uuid).power is Power.RUNNING
        room.driver.destroy(uuid)
        room.driver.undefine(uuid)
        room.driver.undefine(uuid)
        assert room.driver.state(uuid).power is Power.MISSING

    def test_autostart_can_be_set_twice(self, room: Room) -> None:
        uuid = room.machine()
        for wish in (True, True, False, False):
            room.driver.set_autostart(uuid, wish)
        with pytest.raises(DriverError):
            room.driver.set_autostart(missing(), True)

    def test_counters_are_of_what_runs(self, room: Room) -> None:
        stopped, running = room.machine(), room.machine(running=True)
        until(lambda: room.driver.stats()[running].cpu_ns > 0)
        stats = room.driver.stats()
        assert stopped not in stats
        assert (stats[running].vcpus, stats[running].memory_kib) == (1, 64 * 1024)
        later = room.driver.stats()[running]
        assert later.cpu_ns >= stats[running].cpu_ns

    def test_a_vanished_disk_is_named_and_nothing_runs(self, room: Room) -> None:
        path = room.lost_disk()
        uuid = room.machine(disks=(DiskSpec("vda", path),))
        with pytest.raises(DriverError) as caught:
            room.driver.start(uuid)
        assert not caught.value.retryable
        assert path in caught.value.message.render("en")
        assert room.driver.state(uuid).power is Power.STOPPED

    def test_what_happens_behind_our_back_nudges(self, room: Room) -> None:
        heard: list[str] = []
        room.driver.subscribe(heard.append)
        uuid = room.machine(running=True)
        until(lambda: uuid in heard)
        heard.clear()
        room.pull_plug(uuid)
        until(lambda: uuid in heard)
        assert room.driver.state(uuid).power is Power.STOPPED
        room.driver.start(uuid)
        heard.clear()
        room.crash(uuid)
        until(lambda: uuid in heard and room.driver.state(uuid).power is Power.CRASHED)
        assert room.driver.states()[uuid].power is Power.CRASHED
        room.driver.start(uuid)
        assert room.driver.state(uuid).power is Power.RUNNING

    def test_a_failing_subscriber_harms_nobody(self, room: Room) -> None:
        heard: list[str] = []

        def stumble(uuid: str) -> None:
            raise RuntimeError(uuid)

        room.driver.subscribe(stumble)
        room.driver.subscribe(heard.append)
        for _n in range(2):
            uuid = room.machine()
            until(lambda uuid=uuid: uuid in heard)

    def test_many_callers_at_once(self, room: Room) -> None:
        machines = [room.machine() for _n in range(8)]
        with ThreadPoolExecutor(8) as callers:
            found = list(callers.map(lambda u: (room.driver.states(), room.driver.state(u)), machines * 8))
        assert all(state.power is Power.STOPPED for _all, state in found)

    # the booted guest, in the order of its life ------------------------------------------------------------

    def test_the_guests_agent_answers(self, room: Room) -> None:
        until(lambda: room.driver.state(room.booted).agent, 240)
        until(lambda: room.driver.states()[room.booted].agent)
        assert room.driver.agent(room.booted, "guest-ping") == {}
        assert isinstance(room.driver.addresses(room.booted), dict)

    def test_the_screen_is_a_png(self, room: Room) -> None:
        assert room.driver.screenshot(room.booted).startswith(b"\x89PNG\r\n")

    def test_the_screen_speaks_rfb_without_a_password(self, room: Room) -> None:
        with room.driver.open_graphics(room.booted) as viewer:
            viewer.settimeout(PATIENCE)
            assert viewer.recv(12) == b"RFB 003.008\n"
            viewer.sendall(b"RFB 003.008\n")
            assert viewer.recv(2) == b"\x01\x01"

    def test_keys_are_pressed(self, room: Room) -> None:
        room.driver.send_keys(room.booted, [29, 56, 15])
        room.driver.send_keys(room.booted, [28], hold_ms=10)
        with pytest.raises(DriverError):
            room.driver.send_keys(room.machine(), [28])

    def test_the_serial_port_takes_and_prints_bytes_and_keeps_a_log(self, room: Room) -> None:
        with room.driver.open_serial(room.booted) as end:
            end.settimeout(PATIENCE)
            got = b""
            until(lambda: b"login:" in room.driver.serial_log(room.booted))
            end.sendall(b"echo-me\n")
            while b"echo-me" not in got:
                got += end.recv(4096)
        until(lambda: b"echo-me" in room.driver.serial_log(room.booted))
        assert len(room.driver.serial_log(room.booted, 10)) == 10

    def test_the_serial_port_has_room_for_one(self, room: Room) -> None:
        first, second = room.driver.open_serial(room.booted), room.driver.open_serial(room.booted)
        for end in (first, second):
            end.settimeout(PATIENCE)
        heard = threading.Event()
        reader = threading.Thread(target=lambda: second.recv(1) and heard.set(), daemon=True)
        reader.start()
        first.sendall(b"x\n")  # a line feed ends a line in every mode of the terminal
        assert first.recv(1)
        assert not heard.wait(0.3)
        first.close()
        time.sleep(0.2)
        second.sendall(b"y\n")
        assert heard.wait(PATIENCE)
        second.close()

    def test_a_guest_that_is_asked_powers_itself_off(self, room: Room) -> None:
        room.driver.shutdown(room.booted, "acpi")
        until(lambda: room.driver.state(room.booted).power is Power.STOPPED, 60)
        assert room.driver.state(room.booted).reason == "shutdown"
        assert not room.driver.states()[room.booted].agent
        assert room.driver.serial_log(room.booted) != b""

    def test_what_a_machine_printed_outlives_its_definition_until_it_is_discarded(self, room: Room) -> None:
        printed = room.driver.serial_log(room.booted)
        room.driver.undefine(room.booted)
        room.driver.define(room.booted_spec)
        assert room.driver.serial_log(room.booted) == printed
        room.driver.undefine(room.booted)
        for _again in range(2):
            room.driver.discard_log(room.booted_spec.serial_log)
        room.driver.define(room.booted_spec)
        assert room.driver.serial_log(room.booted) == b""

    def test_a_driver_may_be_closed_twice(self, room: Room) -> None:
        room.driver.close()
        room.driver.close()


def _root(room: Room, uuid: str, *, live: bool) -> ET.Element:
    return ET.fromstring(room.driver.xml(uuid, live=live))
