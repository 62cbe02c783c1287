"""What every hypervisor driver does about what machines boot from; joined to the contract of machines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.drivers.hypervisor.nic_contract import card
from yun.base.errors import DriverError
from yun.drivers.hypervisor.port import DiskSpec

if TYPE_CHECKING:
    from tests.drivers.hypervisor.contract import Room

MIB = 1024 * 1024


class BootContract:
    """Machines without a system: which devices they would try."""

    def test_a_restart_tries_what_its_start_tried_until_it_is_told_to_go_by_the_definition(self, room: Room) -> None:
        nic = replace(card("52:54:00:aa:0b:01"), boot_order=1)
        disk, cd = DiskSpec("vdb", room.blank_disk(16 * MIB)), room.blank_disk(MIB)
        drive = DiskSpec("sdg", cd, device="cdrom", bus="scsi", readonly=True, discard=False, boot_order=2)
        spec = room.spec(disks=(disk, drive), nics=(nic,))
        uuid = room.made(spec)
        assert room.driver.restart_order(uuid) == ()
        with pytest.raises(DriverError) as caught:
            room.driver.restart_as_defined(uuid)
        assert not caught.value.retryable
        room.driver.start(uuid)
        assert room.driver.restart_order(uuid) == (nic.mac, "sdg")
        later = replace(
            spec, disks=(replace(disk, boot_order=1), replace(drive, boot_order=3)), nics=(replace(nic, boot_order=2),)
        )
        room.driver.define(later)
        assert room.driver.restart_order(uuid) == (nic.mac, "sdg")
        for _again in range(2):
            room.driver.restart_as_defined(uuid)
            assert room.driver.restart_order(uuid) == ("vdb", nic.mac, "sdg")
        room.driver.define(replace(spec, disks=(replace(disk, boot_order=1), replace(drive, boot_order=None)), nics=()))
        room.driver.restart_as_defined(uuid)
        assert room.driver.restart_order(uuid) == ("vdb",)
        room.driver.destroy(uuid)
        assert room.driver.restart_order(uuid) == ()
