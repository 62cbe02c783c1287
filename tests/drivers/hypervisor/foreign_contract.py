"""What every hypervisor driver does with domains that nobody here made; joined to the contract of machines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from yun.drivers.hypervisor.definition import read_definition
from yun.drivers.hypervisor.libvirt.domain_xml import NAMESPACE
from yun.drivers.hypervisor.port import DiskSpec, Kept, Power

if TYPE_CHECKING:
    from tests.drivers.hypervisor.contract import Room

MIB = 1024 * 1024
MARK = {"id": "ins_1", "project": "prj_1"}


class ForeignContract:
    """Domains without a mark are strangers; a mark takes one over, and nothing else of it moves."""

    def test_a_domain_without_a_mark_is_a_stranger_until_it_is_claimed(self, room: Room) -> None:
        uuid = room.machine(running=True)
        ours = room.machine(metadata=MARK)
        found = {s.uuid: s for s in room.driver.strangers()}
        assert uuid in found
        assert ours not in found
        assert found[uuid].power is Power.RUNNING
        assert found[uuid].live_xml
        assert found[uuid].persistent
        before = room.driver.xml(uuid, live=False)
        for _again in range(2):
            room.driver.claim(uuid, MARK)
        assert uuid not in {s.uuid for s in room.driver.strangers()}
        assert room.driver.state(uuid).power is Power.RUNNING
        for live in (True, False):
            assert read_definition(room.driver.xml(uuid, live=live), namespace=NAMESPACE).metadata
        for _again in range(2):
            room.driver.disown(uuid)
        assert uuid in {s.uuid for s in room.driver.strangers()}
        # libvirt keeps the empty element that held the mark.
        assert room.driver.xml(uuid, live=False).replace("  <metadata/>\n", "") == before
        room.driver.disown(room.spec().uuid)
        room.driver.destroy(uuid)

    def test_a_kept_definition_stays_what_it_was_with_what_changed(self, room: Room) -> None:
        disk = DiskSpec("vda", room.blank_disk(16 * MIB), cache="writeback")
        spec = room.spec(disks=(disk,))
        room.made(spec)
        xml = next(s.xml for s in room.driver.strangers() if s.uuid == spec.uuid)
        came = read_definition(xml, namespace=NAMESPACE)
        assert [(d.slot, d.path, d.kept) for d in came.disks] == [("vda", disk.path, "")]
        disk = replace(disk, boot_order=came.disks[0].boot_order)
        kept = replace(spec, disks=(disk,), kept=Kept(xml, ("vda",)), metadata=MARK)
        room.driver.define(kept)
        now = read_definition(room.driver.xml(spec.uuid, live=False), namespace=NAMESPACE)
        assert replace(now, metadata=False) == came
        more = DiskSpec("vdb", room.blank_disk(16 * MIB))
        room.driver.define(replace(kept, disks=(disk, more), memory_mib=96, vcpus=2))
        now = read_definition(room.driver.xml(spec.uuid, live=False), namespace=NAMESPACE)
        assert [d.slot for d in now.disks] == ["vda", "vdb"]
        assert (now.memory_mib, now.vcpus) == (96, 2)
        room.driver.start(spec.uuid)
        assert set(room.driver.disks(spec.uuid)) == {"vda", "vdb"}
        room.driver.destroy(spec.uuid)
        room.driver.define(replace(kept, disks=()))
        assert read_definition(room.driver.xml(spec.uuid, live=False), namespace=NAMESPACE).disks == ()
