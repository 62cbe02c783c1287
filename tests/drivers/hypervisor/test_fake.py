"""The fake keeps the contract, and its levers do what tests of rooms above rely on."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.drivers.hypervisor.contract import Contract, Room, blank, until
from yun.base.errors import DriverError
from yun.base.ids import new_id
from yun.drivers.hypervisor.fake import FakeHypervisor, FakeWorld
from yun.drivers.hypervisor.port import DiskSpec, DomainSpec, Power


class FakeRoom(Room):
    def __init__(self) -> None:
        self.world = FakeWorld()
        self.driver = FakeHypervisor(self.world)
        self.booted_spec = self.spec(
            serial_socket="/run/x", serial_log="/run/y", disks=(DiskSpec("vda", self.blank_disk(96 << 20)),)
        )
        self.booted = self.made(self.booted_spec, running=True)

    def spec(self, **changes: object) -> DomainSpec:
        return blank(**changes)

    def blank_disk(self, size: int, format: str = "qcow2") -> str:
        path = f"/pool/heads/{new_id('hed')}.{format}"
        self.world.sizes[path] = size
        return path

    def head_on(self, path: str, size: int, format: str = "qcow2") -> str:
        head = self.blank_disk(size)
        self.world.backings[head] = path
        return head

    def backing_of(self, path: str) -> str:
        return self.world.backings[path]

    def tpm(self, uuid: str) -> str:
        return self.world.tpms.get(uuid, "")

    def lost_disk(self) -> str:
        path = super().lost_disk()
        self.world.missing_files.add(path)
        return path

    def memory(self) -> str:
        return f"/pool/seeds/{new_id('snp')}.memory"

    def cut_off(self, memory: str) -> None:
        self.world.memories[memory].broken = True

    def note(self, uuid: str, word: str) -> None:
        self.world.domains[uuid].guest.memory["word"] = word

    def noted(self, uuid: str) -> str:
        return str(self.world.domains[uuid].guest.memory["word"])

    def crash(self, uuid: str) -> None:
        self.world.crash(uuid)

    def pull_plug(self, uuid: str) -> None:
        self.world.power_off(uuid, "destroyed")


@pytest.fixture(scope="module")
def room() -> Iterator[Room]:
    room = FakeRoom()
    yield room
    room.driver.close()


class TestFakeKeepsTheContract(Contract):
    def _silence(self, room: FakeRoom, uuid: str) -> None:
        room.world.guest(uuid, agent=False)


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()


@pytest.fixture
def driver(world: FakeWorld) -> Iterator[FakeHypervisor]:
    driver = FakeHypervisor(world, timeout=0.2)
    yield driver
    driver.close()


def _machine(driver: FakeHypervisor) -> str:
    spec = blank()
    driver.define(spec)
    return spec.uuid


def test_an_ordered_fault_hits_the_next_calls_and_does_nothing(world: FakeWorld, driver: FakeHypervisor) -> None:
    uuid = _machine(driver)
    world.fail("start", times=2)
    for _n in range(2):
        with pytest.raises(DriverError) as caught:
            driver.start(uuid)
        assert caught.value.retryable
        assert driver.state(uuid).power is Power.STOPPED
    driver.start(uuid)
    assert driver.state(uuid).power is Power.RUNNING


def test_a_fault_can_be_meant_for_one_machine_and_for_good(world: FakeWorld, driver: FakeHypervisor) -> None:
    first, second = _machine(driver), _machine(driver)
    world.fail("start", retryable=False, uuid=second)
    driver.start(first)
    with pytest.raises(DriverError) as caught:
        driver.start(second)
    assert not caught.value.retryable


def test_a_lost_answer_means_that_the_work_was_done(world: FakeWorld, driver: FakeHypervisor) -> None:
    uuid = _machine(driver)
    world.fail("start", after=True)
    with pytest.raises(DriverError):
        driver.start(uuid)
    assert driver.state(uuid).power is Power.RUNNING


def test_a_daemon_that_is_away_refuses_and_nudges_when_it_is_back(world: FakeWorld, driver: FakeHypervisor) -> None:
    uuid, heard = _machine(driver), []
    driver.subscribe(heard.append)
    driver.start(uuid)
    world.away = True
    with pytest.raises(DriverError) as caught:
        driver.states()
    assert caught.value.retryable
    world.away = False
    world.flush()
    assert "" in heard
    assert driver.state(uuid).power is Power.RUNNING


def test_a_slow_daemon_costs_at_most_the_time_out(world: FakeWorld, driver: FakeHypervisor) -> None:
    world.slow("states", 60)
    begun = time.monotonic()
    with pytest.raises(DriverError) as caught:
        driver.states()
    assert caught.value.retryable
    assert time.monotonic() - begun < 5
    world.heal()
    assert driver.states() == {}


def test_a_guest_may_ignore_a_shutdown(world: FakeWorld, driver: FakeHypervisor) -> None:
    uuid = _machine(driver)
    driver.start(uuid)
    world.guest(uuid, ignores_shutdown=True)
    driver.shutdown(uuid, "acpi")
    assert driver.state(uuid).power is Power.RUNNING
    driver.destroy(uuid)
    assert driver.state(uuid).power is Power.STOPPED


def test_the_world_outlives_the_driver(world: FakeWorld, driver: FakeHypervisor) -> None:
    uuid = _machine(driver)
    driver.start(uuid)
    driver.close()
    assert FakeHypervisor(world).state(uuid).power is Power.RUNNING


def test_a_host_reboot_starts_what_has_autostart(world: FakeWorld, driver: FakeHypervisor) -> None:
    plain, again = _machine(driver), _machine(driver)
    driver.set_autostart(again, True)
    driver.start(plain)
    world.reboot_host()
    assert driver.state(plain).power is Power.STOPPED
    assert driver.state(again).power is Power.RUNNING


def test_an_agent_answers_some_time_after_the_boot() -> None:
    world = FakeWorld(boot_seconds=0.2)
    driver, heard = FakeHypervisor(world), []
    uuid = _machine(driver)
    driver.subscribe(heard.append)
    driver.start(uuid)
    assert not driver.state(uuid).agent
    until(lambda: len(heard) >= 2, 5)
    assert driver.state(uuid).agent
    driver.close()


def test_a_power_cut_hangs_up_the_consoles(driver: FakeHypervisor) -> None:
    uuid = _machine(driver)
    driver.start(uuid)
    screen, serial = driver.open_graphics(uuid), driver.open_serial(uuid)
    driver.destroy(uuid)
    for end in (screen, serial):
        end.settimeout(5)
        while end.recv(4096):
            pass
        end.close()
