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


def test_a_uefi_machine_keeps_its_variables_through_undefinition(room: Room) -> None:
    assert isinstance(room, LibvirtRoom)
    nvram = room.folder / "uefi.nvram"
    spec = room.spec(firmware="uefi", memory_mib=128, nvram=str(nvram))
    uuid = room.made(spec, running=True)
    room.driver.destroy(uuid)
    with nvram.open("r+b") as file:
        file.write(b"MARK")
    room.driver.undefine(uuid)
    room.made(spec, running=True)
    room.driver.destroy(uuid)
    assert nvram.read_bytes()[:4] == b"MARK"


class TestLibvirtKeepsTheContract(Contract):
    """The guest boots while the tests of empty machines run."""
