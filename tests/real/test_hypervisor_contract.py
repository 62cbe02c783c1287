"""The contract of the hypervisor port on real libvirt and QEMU, with one tiny guest booted once."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from tests.drivers.hypervisor.contract import Contract, Room, until
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


def test_a_guest_that_has_a_cd_mounted_keeps_it_until_it_is_forced(room: Room) -> None:
    assert isinstance(room, LibvirtRoom)
    until(lambda: room.driver.state(room.booted).agent, 240)
    cds = [room.cd(word) for word in ("first", "second")]

    def inside(command: str) -> str:
        """What a command prints in the guest."""
        started = room.driver.agent(
            room.booted, "guest-exec", {"path": "/bin/sh", "arg": ["-c", command], "capture-output": True}
        )
        found: dict[str, Any] = {}
        until(lambda: found.update(room.driver.agent(room.booted, "guest-exec-status", started)) or found["exited"])
        return base64.b64decode(found.get("out-data", "")).decode()

    assert room.driver.change_medium(room.booted, "sdg", cds[0], force=False)
    until(lambda: inside("mkdir -p /cd; mount -t iso9660 -o ro /dev/sr0 /cd && cat /cd/word") == "first")
    for path in ("", cds[1]):
        assert room.driver.change_medium(room.booted, "sdg", path, force=False) is False
        assert room.driver.media(room.booted) == {"sdg": cds[0]}
    assert inside("cat /cd/word") == "first"
    assert room.driver.change_medium(room.booted, "sdg", cds[1], force=True)
    assert room.driver.media(room.booted) == {"sdg": cds[1]}
    inside("umount -l /cd")
    until(lambda: inside("mount -t iso9660 -o ro /dev/sr0 /cd && cat /cd/word; umount /cd") == "second")
    assert room.driver.change_medium(room.booted, "sdg", "", force=False)
    assert room.driver.media(room.booted) == {"sdg": ""}
    assert room.driver.change_medium(room.booted, "sdg", cds[0], force=False)
    until(lambda: inside("mount -t iso9660 -o ro /dev/sr0 /cd && cat /cd/word; umount /cd") == "first")
    assert room.driver.change_medium(room.booted, "sdg", "", force=False)


class TestLibvirtKeepsTheContract(Contract):
    """The guest boots while the tests of empty machines run."""
