"""The contract of the hypervisor port on real libvirt and QEMU, with one tiny guest booted once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.drivers.hypervisor.contract import Contract, Room
from tests.real.hypervisor_room import LibvirtRoom

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def room() -> Iterator[Room]:
    room = LibvirtRoom()
    try:
        room.boot_tiny()
        yield room
    finally:
        room.close()


class TestLibvirtKeepsTheContract(Contract):
    """The guest boots while the tests of empty machines run."""
