"""libvirtd killed, stopped and late: calls end in time, nothing else waits, and the driver finds back by itself."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.drivers.hypervisor.contract import until
from tests.real.hypervisor_room import LibvirtRoom
from yun.base.errors import DriverError
from yun.drivers.hypervisor.libvirt.driver import LibvirtHypervisor
from yun.drivers.hypervisor.port import Power

pytestmark = pytest.mark.real
TIMEOUT = 2.0


@pytest.fixture(scope="module")
def room() -> Iterator[LibvirtRoom]:
    room = LibvirtRoom()
    yield room
    room.close()


@pytest.fixture
def driver(room: LibvirtRoom) -> Iterator[LibvirtHypervisor]:
    driver = LibvirtHypervisor(room.uri, timeout=TIMEOUT)
    until(lambda: _answers(driver))
    yield driver
    driver.close()


@pytest.fixture(scope="module")
def running(room: LibvirtRoom) -> str:
    return room.machine(running=True)


def _answers(driver: LibvirtHypervisor) -> bool:
    try:
        driver.states()
    except DriverError:
        return False
    return True


def _counted(driver: LibvirtHypervisor, uuid: str) -> bool:
    try:
        return uuid in driver.stats()
    except DriverError:
        return False


def _refusal(driver: LibvirtHypervisor) -> float:
    """Seconds that a call takes to be refused."""
    begun = time.monotonic()
    with pytest.raises(DriverError) as caught:
        driver.states()
    assert caught.value.retryable
    return time.monotonic() - begun


def test_a_killed_daemon_is_found_again_and_everybody_nudged(
    room: LibvirtRoom, driver: LibvirtHypervisor, running: str
) -> None:
    heard: list[str] = []
    driver.subscribe(heard.append)
    room.signal_libvirtd(signal.SIGKILL)
    assert _refusal(driver) < 1
    assert _refusal(driver) < 1
    room.start_daemons()
    until(lambda: "" in heard, 30)
    assert driver.state(running).power is Power.RUNNING
    heard.clear()
    driver.suspend(running)
    until(lambda: running in heard, 30)
    driver.resume(running)


def test_a_stopped_daemon_costs_one_time_out_and_then_nothing(
    room: LibvirtRoom, driver: LibvirtHypervisor, running: str
) -> None:
    room.signal_libvirtd(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(8) as callers:
            waited = list(callers.map(lambda _n: _refusal(driver), range(8)))
        assert max(waited) < TIMEOUT * 3
        assert _refusal(driver) < TIMEOUT / 2
        begun = time.monotonic()
        driver.close()
        assert time.monotonic() - begun < 5
    finally:
        room.signal_libvirtd(signal.SIGCONT)


def test_a_daemon_that_goes_on_is_used_at_once(room: LibvirtRoom, driver: LibvirtHypervisor, running: str) -> None:
    room.signal_libvirtd(signal.SIGSTOP)
    try:
        assert TIMEOUT - 0.5 < _refusal(driver) < TIMEOUT * 3
    finally:
        room.signal_libvirtd(signal.SIGCONT)
    until(lambda: _answers(driver), 15)
    assert driver.state(running).power is Power.RUNNING


def test_a_daemon_stopped_for_long_is_given_up_and_found_again(
    room: LibvirtRoom, driver: LibvirtHypervisor, running: str
) -> None:
    heard: list[str] = []
    driver.subscribe(heard.append)
    room.signal_libvirtd(signal.SIGSTOP)
    try:
        end = time.monotonic() + 30
        longest = _refusal(driver)
        while time.monotonic() < end:
            longest = max(longest, _refusal(driver))
            time.sleep(0.5)
        assert longest < TIMEOUT * 3
    finally:
        room.signal_libvirtd(signal.SIGCONT)
    until(lambda: "" in heard, 30)
    assert driver.state(running).power is Power.RUNNING


def test_a_machine_that_stands_still_delays_nobody_else(
    room: LibvirtRoom, driver: LibvirtHypervisor, running: str
) -> None:
    other = room.machine(running=True)
    process = room._qemu(other)
    room.host.run("kill", "-STOP", process)
    try:
        with pytest.raises(DriverError) as caught:
            driver.suspend(other)
        assert caught.value.retryable
        begun = time.monotonic()
        assert driver.state(running).power is Power.RUNNING
        assert set(driver.states()) >= {running, other}
        assert time.monotonic() - begun < TIMEOUT
        # One measurement may be lost to the machine that stands still, not the next.
        until(lambda: _counted(driver, running), 15)
    finally:
        room.host.run("kill", "-CONT", process)
    until(lambda: room.driver.state(other).power is Power.PAUSED)


def test_a_driver_may_be_made_before_its_daemon_runs(room: LibvirtRoom, running: str) -> None:
    room.signal_libvirtd(signal.SIGTERM)
    early = LibvirtHypervisor(room.uri, timeout=TIMEOUT)
    try:
        assert _refusal(early) < 1
        room.start_daemons()
        until(lambda: _answers(early), 10)
        assert early.state(running).power is Power.RUNNING
    finally:
        early.close()
