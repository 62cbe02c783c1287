"""What every hypervisor driver does with the disks of running machines; joined to the contract of machines."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.drivers.hypervisor.nic_contract import card
from yun.base.errors import DriverError
from yun.drivers.hypervisor.port import DiskSpec, PluggedDisk, Power

if TYPE_CHECKING:
    from tests.drivers.hypervisor.contract import Room

MIB = 1024 * 1024


def _format(xml: str, path: str) -> str:
    """What the machine takes the file of one of its disks for."""
    for disk in ET.fromstring(xml).iterfind("./devices/disk"):
        source, driver = disk.find("source"), disk.find("driver")
        if source is not None and driver is not None and source.get("file") == path:
            return driver.get("type", "")
    return ""


class DiskContract:
    """Disks of the booted guest, whose kernel lets go of what is asked for, and of machines that are off or paused."""

    def test_a_disk_is_plugged_in_once_and_only_into_what_runs(self, room: Room) -> None:
        disk = DiskSpec("vdb", room.blank_disk(16 * MIB), serial="data")
        uuid = room.machine()
        with pytest.raises(DriverError) as caught:
            room.driver.attach_disk(uuid, disk)
        assert not caught.value.retryable
        room.driver.start(uuid)
        for _again in range(2):
            room.driver.attach_disk(uuid, disk)
            assert room.driver.disks(uuid) == {"vdb": PluggedDisk(disk.path, 16 * MIB)}
        with pytest.raises(DriverError) as caught:
            room.driver.attach_disk(uuid, replace(disk, path=room.blank_disk(16 * MIB)))
        assert not caught.value.retryable
        room.driver.destroy(uuid)
        assert room.driver.disks(uuid) == {}
        room.driver.start(uuid)
        assert room.driver.disks(uuid) == {}, "the definition is somebody else's to change"
        room.driver.destroy(uuid)

    def test_a_disk_whose_file_is_not_there_is_refused_for_good(self, room: Room) -> None:
        uuid = room.machine(running=True)
        with pytest.raises(DriverError) as caught:
            room.driver.attach_disk(uuid, DiskSpec("vdb", room.lost_disk()))
        assert not caught.value.retryable
        assert room.driver.disks(uuid) == {}
        room.driver.destroy(uuid)

    def test_a_guest_lets_go_of_a_disk_it_is_asked_for(self, room: Room) -> None:
        from tests.drivers.hypervisor.contract import until

        until(lambda: room.driver.state(room.booted).agent, 240)
        before = room.driver.disks(room.booted)
        for slot, bus in (("vdb", "virtio"), ("sdb", "scsi")):
            disk = DiskSpec(slot, room.blank_disk(16 * MIB), bus=bus)  # type: ignore[arg-type]
            room.driver.attach_disk(room.booted, disk)
            assert set(room.driver.disks(room.booted)) == {*before, slot}
            room.driver.detach_disk(room.booted, slot)
            until(lambda slot=slot: slot not in room.driver.disks(room.booted))
            room.driver.detach_disk(room.booted, slot)

    def test_a_paused_guest_lets_go_when_it_goes_on(self, room: Room) -> None:
        from tests.drivers.hypervisor.contract import until

        until(lambda: room.driver.state(room.booted).agent, 240)
        room.driver.attach_disk(room.booted, DiskSpec("vdc", room.blank_disk(16 * MIB)))
        room.driver.suspend(room.booted)
        for _again in range(2):
            room.driver.detach_disk(room.booted, "vdc")
        assert "vdc" in room.driver.disks(room.booted)
        room.driver.resume(room.booted)
        until(lambda: "vdc" not in room.driver.disks(room.booted))
        assert room.driver.state(room.booted).power is Power.RUNNING

    @pytest.mark.parametrize(
        ("machine", "bus", "slot"), [("q35", "sata", "sdh"), ("pc", "ide", "hdc"), ("pc", "sata", "sdh")]
    )
    def test_a_cd_is_changed_and_taken_out_while_the_machine_runs(self, room: Room, machine: str, bus: str, slot: str
    ) -> None:
        first, second = room.blank_disk(MIB), room.blank_disk(MIB)
        drive = DiskSpec(slot, "", device="cdrom", bus=bus, readonly=True, discard=False)  # type: ignore[arg-type]
        uuid = room.machine(disks=(drive,), machine=machine)
        assert room.driver.media(uuid) == {}
        with pytest.raises(DriverError) as caught:
            room.driver.change_medium(uuid, slot, first, force=False)
        assert not caught.value.retryable, "it is off: its definition is enough"
        room.driver.start(uuid)
        assert room.driver.media(uuid) == {slot: ""}
        for path in (first, first, second, "", "", first):
            assert room.driver.change_medium(uuid, slot, path, force=False)
            assert room.driver.media(uuid) == {slot: path}
        for where, path in (("sdq", first), (slot, room.lost_disk())):
            with pytest.raises(DriverError) as caught:
                room.driver.change_medium(uuid, where, path, force=False)
            assert not caught.value.retryable
        assert room.driver.media(uuid) == {slot: first}
        room.driver.destroy(uuid)
        assert room.driver.media(uuid) == {}
        room.driver.start(uuid)
        assert room.driver.media(uuid) == {slot: ""}, "the definition is somebody else's to change"
        room.driver.destroy(uuid)

    def test_a_disk_grows_under_its_guest_and_never_shrinks(self, room: Room) -> None:
        uuid = room.machine(running=True)
        room.driver.attach_disk(uuid, DiskSpec("vdb", room.blank_disk(16 * MIB)))
        for _again in range(2):
            room.driver.resize_disk(uuid, "vdb", 32 * MIB)
            assert room.driver.disks(uuid)["vdb"].size == 32 * MIB
        for size in (16 * MIB, 32 * MIB + 1):
            with pytest.raises(DriverError) as caught:
                room.driver.resize_disk(uuid, "vdb", size)
            assert not caught.value.retryable
        with pytest.raises(DriverError):
            room.driver.resize_disk(uuid, "vdq", 64 * MIB)
        assert room.driver.disks(uuid)["vdb"].size == 32 * MIB
        room.driver.destroy(uuid)

    def test_a_machine_has_places_for_a_dozen_disks_more_and_says_when_they_are_taken(self, room: Room) -> None:
        uuid = room.machine()
        assert room.driver.places(uuid) is None
        room.driver.start(uuid)
        first = room.driver.places(uuid)
        assert first is not None
        assert (first.taken, first.old, first.scsi) == (frozenset(), 0, True)
        assert 10 <= first.own <= 16
        slots = [f"vd{letter}" for letter in "bcdefghijklmnopqrstuvw"]
        for count, slot in enumerate(slots[: first.own], start=1):
            room.driver.attach_disk(uuid, DiskSpec(slot, room.blank_disk(MIB)))
            assert room.driver.places(uuid) == replace(first, taken=frozenset(slots[:count]), own=first.own - count)
        with pytest.raises(DriverError) as caught:
            room.driver.attach_disk(uuid, DiskSpec("vdy", room.blank_disk(MIB)))
        assert not caught.value.retryable
        for model in ("virtio", "e1000e", "e1000"):
            with pytest.raises(DriverError) as caught:
                room.driver.attach_nic(uuid, card("52:54:00:aa:01:01", model))
            assert not caught.value.retryable
        room.driver.attach_disk(uuid, DiskSpec("sdb", room.blank_disk(MIB), bus="scsi"))
        found = room.driver.places(uuid)
        assert found is not None
        assert found.own == 0
        assert "sdb" in found.taken, "a controller takes many"
        room.driver.destroy(uuid)

    def test_an_old_card_has_a_place_where_the_machine_began_with_one_or_has_an_old_board(self, room: Room) -> None:
        for begins in ({"nics": (card("52:54:00:aa:01:02", "rtl8139"),)}, {"machine": "pc"}):
            uuid = room.machine(running=True, **begins)
            first = room.driver.places(uuid)
            assert first is not None
            assert first.old > 10
            room.driver.attach_nic(uuid, card("52:54:00:aa:01:03", "e1000"))
            found = room.driver.places(uuid)
            assert found is not None
            assert found.old == first.old - 1
            assert found.own == (found.old if "machine" in begins else first.own)
            assert "52:54:00:aa:01:03" in found.taken
            room.driver.attach_disk(uuid, DiskSpec("vdb", room.blank_disk(MIB)))
            after = room.driver.places(uuid)
            assert after is not None
            assert after.own == found.own - 1
            room.driver.destroy(uuid)

    def test_a_running_machine_moves_to_new_heads_at_one_moment_or_not_at_all(self, room: Room) -> None:
        first, second = room.blank_disk(16 * MIB), room.blank_disk(32 * MIB)
        uuid = room.machine(disks=(DiskSpec("vda", first), DiskSpec("vdb", second)))
        heads = {"vda": room.head_on(first, 16 * MIB), "vdb": room.head_on(second, 32 * MIB)}
        with pytest.raises(DriverError) as caught:
            room.driver.freeze_disks(uuid, heads, quiesce=False)
        assert not caught.value.retryable, "it is off: freezing it needs no hypervisor"
        room.driver.start(uuid)
        with pytest.raises(DriverError):
            room.driver.freeze_disks(uuid, {**heads, "vdc": heads["vda"]}, quiesce=False)
        assert {s: d.path for s, d in room.driver.disks(uuid).items()} == {"vda": first, "vdb": second}
        assert room.driver.freeze_disks(uuid, heads, quiesce=False) is False
        assert room.driver.disks(uuid) == {
            "vda": PluggedDisk(heads["vda"], 16 * MIB), "vdb": PluggedDisk(heads["vdb"], 32 * MIB)
        }  # fmt: skip
        with pytest.raises(DriverError):
            room.driver.freeze_disks(uuid, heads, quiesce=False)
        assert {s: d.path for s, d in room.driver.disks(uuid).items()} == heads, "and is still there"
        assert heads["vda"] in room.driver.xml(uuid, live=False), "the next start knows it too"
        room.driver.destroy(uuid)

    def test_a_guest_with_an_agent_is_brought_to_rest_for_the_moment(self, room: Room) -> None:
        from tests.drivers.hypervisor.contract import until

        until(lambda: room.driver.state(room.booted).agent, 240)
        disk = DiskSpec("vdf", room.blank_disk(16 * MIB))
        room.driver.attach_disk(room.booted, disk)
        head = room.head_on(disk.path, 16 * MIB)
        assert room.driver.freeze_disks(room.booted, {"vdf": head}, quiesce=True) is True
        assert room.driver.disks(room.booted)["vdf"].path == head
        assert room.driver.state(room.booted).power is Power.RUNNING
        room.driver.detach_disk(room.booted, "vdf")
        until(lambda: "vdf" not in room.driver.disks(room.booted))

    def test_a_disk_is_copied_under_the_machine_that_goes_on_with_the_copy(self, room: Room) -> None:
        from tests.drivers.hypervisor.contract import until

        old, new = room.blank_disk(16 * MIB), room.blank_disk(16 * MIB)
        uuid = room.machine(disks=(DiskSpec("vda", old),))
        assert room.driver.copy_state(uuid, "vda") is None
        room.driver.abandon_copy(uuid, "vda")
        with pytest.raises(DriverError) as caught:
            room.driver.begin_copy(uuid, "vda", new)
        assert not caught.value.retryable
        room.driver.start(uuid)
        with pytest.raises(DriverError):
            room.driver.begin_copy(uuid, "vdq", new)
        with pytest.raises(DriverError):
            room.driver.finish_copy(uuid, "vda")
        for _again in range(2):
            room.driver.begin_copy(uuid, "vda", new)
        until(lambda: (now := room.driver.copy_state(uuid, "vda")) is not None and now.ready)
        assert room.driver.disks(uuid)["vda"].path == old, "it goes on with its old file until it is told"
        room.driver.abandon_copy(uuid, "vda")
        assert room.driver.copy_state(uuid, "vda") is None
        assert room.driver.disks(uuid)["vda"].path == old
        room.driver.begin_copy(uuid, "vda", new)
        until(lambda: (now := room.driver.copy_state(uuid, "vda")) is not None and now.ready)
        room.driver.suspend(uuid)
        room.driver.finish_copy(uuid, "vda")
        assert room.driver.disks(uuid) == {"vda": PluggedDisk(new, 16 * MIB)}
        assert room.driver.copy_state(uuid, "vda") is None
        assert room.driver.defined_disks(uuid) == {"vda": new}, "the next start knows it too"
        room.driver.destroy(uuid)

    def test_a_raw_disk_is_copied_to_a_raw_file_and_frozen_below_a_qcow2_one(self, room: Room) -> None:
        from tests.drivers.hypervisor.contract import until

        uuid = room.machine(running=True)
        old, new = room.blank_disk(16 * MIB, "raw"), room.blank_disk(16 * MIB, "raw")
        for _again in range(2):
            room.driver.attach_disk(uuid, DiskSpec("vdb", old, format="raw"))
        room.driver.begin_copy(uuid, "vdb", new, format="raw")
        until(lambda: (now := room.driver.copy_state(uuid, "vdb")) is not None and now.ready)
        room.driver.finish_copy(uuid, "vdb")
        assert room.driver.disks(uuid)["vdb"] == PluggedDisk(new, 16 * MIB)
        assert _format(room.driver.xml(uuid, live=True), new) == "raw"
        room.driver.resize_disk(uuid, "vdb", 32 * MIB)
        head = room.head_on(new, 32 * MIB, "raw")
        room.driver.freeze_disks(uuid, {"vdb": head}, quiesce=False)
        assert room.driver.disks(uuid)["vdb"] == PluggedDisk(head, 32 * MIB)
        assert _format(room.driver.xml(uuid, live=True), head) == "qcow2"
        room.driver.begin_pull(uuid, "vdb", "")
        until(lambda: room.driver.pull_state(uuid, "vdb") is None)
        assert room.backing_of(head) == ""
        room.driver.destroy(uuid)

    def test_a_copy_ends_with_its_machine_and_leaves_it_as_it_was(self, room: Room) -> None:
        old, new = room.blank_disk(16 * MIB), room.blank_disk(16 * MIB)
        uuid = room.machine(running=True, disks=(DiskSpec("vda", old),))
        room.driver.begin_copy(uuid, "vda", new)
        room.driver.destroy(uuid)
        assert room.driver.copy_state(uuid, "vda") is None
        room.driver.abandon_copy(uuid, "vda")
        assert room.driver.defined_disks(uuid) == {"vda": old}
        room.driver.start(uuid)
        assert room.driver.disks(uuid)["vda"].path == old
        assert room.driver.copy_state(uuid, "vda") is None
        room.driver.destroy(uuid)

    def test_a_chain_of_sixty_files_is_pulled_down_to_its_base_while_the_machine_runs(self, room: Room) -> None:
        from tests.drivers.hypervisor.contract import until

        base = top = room.blank_disk(16 * MIB)
        for _layer in range(60):
            top = room.head_on(top, 16 * MIB)
        uuid = room.machine(running=True, disks=(DiskSpec("vda", top),))
        with pytest.raises(DriverError):
            room.driver.begin_pull(uuid, "vdb", base)
        with pytest.raises(DriverError):
            room.driver.begin_pull(uuid, "vda", top)
        assert room.driver.pull_state(uuid, "vda") is None
        for _again in range(2):
            room.driver.begin_pull(uuid, "vda", base)
        until(lambda: room.driver.pull_state(uuid, "vda") is None)
        assert room.backing_of(top) == base
        assert room.driver.disks(uuid)["vda"].path == top
        assert room.driver.state(uuid).power is Power.RUNNING
        room.driver.begin_pull(uuid, "vda", "")
        until(lambda: room.driver.pull_state(uuid, "vda") is None)
        assert room.backing_of(top) == ""
        for _again in range(2):
            room.driver.flush_disk(uuid, "vda")
        with pytest.raises(DriverError):
            room.driver.flush_disk(uuid, "vdb")
        room.driver.abandon_pull(uuid, "vda")
        room.driver.destroy(uuid)
        assert room.driver.pull_state(uuid, "vda") is None
        with pytest.raises(DriverError):
            room.driver.flush_disk(uuid, "vda")

    def test_files_below_a_running_machines_disk_are_merged_while_it_runs(self, room: Room) -> None:
        from tests.drivers.hypervisor.contract import until

        chain = [room.blank_disk(16 * MIB)]
        for _layer in range(5):
            chain.append(room.head_on(chain[-1], 16 * MIB))
        base, lowest, between, child, upper, top = chain
        uuid = room.machine(running=True, disks=(DiskSpec("vda", top),))
        for slot, over, under in (("vdb", child, lowest), ("vda", lowest, child), ("vda", child, room.blank_disk(MIB))):
            with pytest.raises(DriverError):
                room.driver.begin_commit(uuid, slot, over, under)
        assert room.driver.pull_state(uuid, "vda") is None
        room.driver.begin_commit(uuid, "vda", child, lowest)
        until(lambda: room.driver.pull_state(uuid, "vda") is None)
        assert [room.backing_of(each) for each in (upper, lowest)] == [lowest, base]
        assert room.backing_of(child) == between, "the old ones are left as they are"
        assert room.driver.disks(uuid)["vda"].path == top
        assert room.driver.state(uuid).power is Power.RUNNING
        with pytest.raises(DriverError):
            room.driver.begin_commit(uuid, "vda", child, lowest)
        room.driver.suspend(uuid)
        room.driver.begin_commit(uuid, "vda", upper, lowest)
        until(lambda: room.driver.pull_state(uuid, "vda") is None)
        assert room.backing_of(top) == lowest
        room.driver.abandon_pull(uuid, "vda")
        room.driver.destroy(uuid)
        with pytest.raises(DriverError):
            room.driver.begin_commit(uuid, "vda", lowest, base)
