"""A real guest gets a processor while it runs, and gives memory back."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.drivers.hypervisor.contract import until
from tests.real.hypervisor_room import LibvirtRoom
from yun.base.errors import DriverError
from yun.drivers.hypervisor.board import Board

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def room() -> Iterator[LibvirtRoom]:
    room = LibvirtRoom()
    try:
        room.boot_tiny(board=Board(max_vcpus=2, display="both", tpm=True))
        until(lambda: room.driver.state(room.booted).agent, 120)
        yield room
    finally:
        room.driver.destroy(room.booted)
        room.driver.undefine(room.booted)
        room.close()


def processors(room: LibvirtRoom) -> int:
    """How many the guest counts; 0 while its agent is busy."""
    try:
        found = room.driver.agent(room.booted, "guest-get-vcpus", timeout=10)
    except DriverError:
        return 0
    assert isinstance(found, list), json.dumps(found)
    return len(found)


def test_the_guest_sees_a_processor_that_was_plugged_in(room: LibvirtRoom) -> None:
    until(lambda: processors(room) == 1, 60)
    room.driver.set_vcpus(room.booted, 2)
    until(lambda: processors(room) == 2, 60)
    assert room.driver.stats()[room.booted].vcpus == 2


def test_the_guest_gives_memory_back_and_gets_it_again(room: LibvirtRoom) -> None:
    whole = room.driver.stats()[room.booted].memory_kib
    room.driver.set_memory(room.booted, 100)
    until(lambda: room.driver.stats()[room.booted].memory_kib <= 100 * 1024, 60)
    room.driver.set_memory(room.booted, whole // 1024)
    until(lambda: room.driver.stats()[room.booted].memory_kib == whole, 60)
