"""What every hypervisor driver does when disks are limited; joined to the contract of machines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from yun.base.errors import DriverError
from yun.drivers.hypervisor.port import DiskSpec, IoLimits

if TYPE_CHECKING:
    from tests.drivers.hypervisor.contract import Room

MIB = 1024 * 1024
SLOW = IoLimits(read_iops_sec=70, read_iops_sec_max=90, read_iops_sec_max_length=5, write_bytes_sec=MIB)
SHARED = IoLimits(total_iops_sec=100, total_iops_sec_max=300, total_iops_sec_max_length=2, group_name="g1")


class LimitContract:
    """Limits of machines that run, are off, and begin with them."""

    def test_a_disk_is_limited_and_freed_again_while_the_machine_runs(self, room: Room) -> None:
        uuid = room.machine(disks=(DiskSpec("vda", room.blank_disk(MIB)), DiskSpec("vdb", room.blank_disk(MIB))))
        assert room.driver.disk_limits(uuid) == {}
        with pytest.raises(DriverError) as caught:
            room.driver.limit_disk(uuid, "vda", SLOW)
        assert not caught.value.retryable, "it is off: its definition is enough"
        room.driver.start(uuid)
        for _again in range(2):
            room.driver.limit_disk(uuid, "vdb", SLOW)
            assert room.driver.disk_limits(uuid) == {"vda": IoLimits(), "vdb": SLOW}
        total = IoLimits(total_bytes_sec=5 * MIB, total_iops_sec=9)
        room.driver.limit_disk(uuid, "vdb", total)
        assert room.driver.disk_limits(uuid)["vdb"] == total, "other limits take the place of the old ones"
        for _again in range(2):
            room.driver.limit_disk(uuid, "vdb", IoLimits())
            assert room.driver.disk_limits(uuid) == {"vda": IoLimits(), "vdb": IoLimits()}
        with pytest.raises(DriverError) as caught:
            room.driver.limit_disk(uuid, "vdq", SLOW)
        assert not caught.value.retryable
        room.driver.limit_disk(uuid, "vda", SLOW)
        room.driver.destroy(uuid)
        room.driver.start(uuid)
        assert room.driver.disk_limits(uuid)["vda"] == IoLimits(), "the definition is somebody else's to change"
        room.driver.destroy(uuid)

    def test_disks_of_a_group_share_their_limits_until_they_leave_it(self, room: Room) -> None:
        slots = ("vda", "vdb", "vdc")
        uuid = room.machine(running=True, disks=tuple(DiskSpec(slot, room.blank_disk(MIB)) for slot in slots))
        limit, limits = room.driver.limit_disk, room.driver.disk_limits
        for slot in ("vda", "vdb"):
            limit(uuid, slot, SHARED)
        other = replace(SHARED, total_iops_sec=200)
        limit(uuid, "vda", other)
        assert limits(uuid) == {"vda": other, "vdb": other, "vdc": IoLimits()}
        limit(uuid, "vdb", SLOW)
        assert limits(uuid) == {"vda": other, "vdb": SLOW, "vdc": IoLimits()}, "who leaves changes nobody else"
        limit(uuid, "vdb", replace(SLOW, group_name="g2"))
        limit(uuid, "vdb", other)
        limit(uuid, "vda", IoLimits())
        assert limits(uuid) == {"vda": IoLimits(), "vdb": other, "vdc": IoLimits()}, "and who is freed neither"
        room.driver.destroy(uuid)

    def test_machines_and_disks_begin_with_the_limits_they_are_told(self, room: Room) -> None:
        first, second, third = (DiskSpec(s, room.blank_disk(MIB), limits=SHARED) for s in ("vda", "vdb", "vdc"))
        uuid = room.machine(running=True, disks=(first, replace(second, limits=SLOW)))
        assert room.driver.disk_limits(uuid) == {"vda": SHARED, "vdb": SLOW}
        room.driver.attach_disk(uuid, third)
        assert room.driver.disk_limits(uuid)["vdc"] == SHARED
        uneven = DiskSpec("vdd", room.blank_disk(MIB), limits=replace(SHARED, total_iops_sec=101))
        with pytest.raises(DriverError) as caught:
            room.driver.attach_disk(uuid, uneven)
        assert not caught.value.retryable, "one group has one budget"
        assert set(room.driver.disk_limits(uuid)) == {"vda", "vdb", "vdc"}
        room.driver.destroy(uuid)

    def test_every_io_mode_that_the_host_has_starts(self, room: Room) -> None:
        for io, cache in (("threads", "writeback"), ("native", "none"), ("io_uring", "none")):
            disk = DiskSpec("vda", room.blank_disk(MIB), io=io, cache=cache, discard=False, serial="a_b-C9")  # type: ignore[arg-type]
            uuid = room.machine(running=True, disks=(disk,))
            assert set(room.driver.disks(uuid)) == {"vda"}
            room.driver.destroy(uuid)

    def test_disks_are_only_where_their_machine_can_have_them(self, room: Room) -> None:
        old = DiskSpec("hda", room.blank_disk(MIB), bus="ide", limits=SLOW)
        fixed = DiskSpec("sdh", room.blank_disk(MIB), bus="sata", readonly=True)
        for machine, disk in (("q35", old), ("pc", replace(old, readonly=True)), ("q35", fixed)):
            with pytest.raises(DriverError) as caught:
                room.machine(running=True, machine=machine, disks=(disk,))
            assert not caught.value.retryable, (machine, disk)
        uuid = room.machine(running=True, machine="pc", disks=(old,))
        assert room.driver.disk_limits(uuid) == {"hda": SLOW}
        room.driver.destroy(uuid)
