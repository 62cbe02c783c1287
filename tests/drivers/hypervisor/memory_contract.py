"""What every hypervisor driver does with guests' memory; joined to the contract of machines."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from yun.base.errors import DriverError
from yun.base.ids import as_uuid, new_id
from yun.drivers.hypervisor.board import Board
from yun.drivers.hypervisor.port import DiskSpec, DomainSpec, NicSpec, Power

if TYPE_CHECKING:
    from tests.drivers.hypervisor.contract import Room

MIB = 1024 * 1024


def _generation(room: Room, uuid: str, *, live: bool) -> str:
    return ET.fromstring(room.driver.xml(uuid, live=live)).findtext("genid") or ""


class MemoryContract:
    """Memory of the booted guest, and of machines that are paused, off or gone."""

    def test_a_guest_goes_on_from_its_memory_and_another_one_too(self, room: Room) -> None:
        from tests.drivers.hypervisor.contract import until

        until(lambda: room.driver.state(room.booted).agent, 240)
        there = room.driver.disks(room.booted)["vda"]
        frozen, size = there.path, there.size
        head, memory = room.head_on(frozen, size), room.memory()
        room.note(room.booted, "one")
        pause = room.driver.freeze_with_memory(room.booted, {"vda": head}, memory)
        assert pause is not None
        assert 0 < pause < 20_000
        assert room.driver.disks(room.booted)["vda"].path == head
        assert room.driver.state(room.booted).power is Power.RUNNING
        room.note(room.booted, "two")
        facts = room.driver.memory_facts(memory)
        assert facts is not None
        assert (facts.uuid, facts.memory_mib, facts.vcpus) == (room.booted, room.booted_spec.memory_mib, 1)
        identifier = new_id("ins")
        for _twice in range(2):
            disks = tuple(
                replace(d, path=room.head_on(frozen, size)) if d.slot == "vda" else d for d in room.booted_spec.disks
            )
            twin = replace(
                room.booted_spec, uuid=as_uuid(identifier), name=identifier, title="twin", disks=disks,
                genid=as_uuid(new_id("ins")), serial_socket=room.booted_spec.serial_socket + "2",
                serial_log=room.booted_spec.serial_log + "2", metadata={"id": identifier},
            )  # fmt: skip
            assert room.driver.unfit(twin, memory) is None
            room.driver.wake(twin, memory)
            room.driver.wake(twin, memory)
            until(lambda: room.driver.state(twin.uuid).agent, 60)  # noqa: B023
            assert room.noted(twin.uuid) == "one", "it goes on from that moment"
            assert room.noted(room.booted) == "two", "and the first one from its own"
            assert room.driver.disks(twin.uuid)["vda"].path == disks[0].path
            assert identifier in room.driver.xml(twin.uuid, live=True)
            assert disks[0].path in room.driver.xml(twin.uuid, live=False)
            room.driver.destroy(twin.uuid)
        room.driver.undefine(twin.uuid)
        for _again in range(2):
            room.driver.discard_memory(memory)
        assert room.driver.memory_facts(memory) is None

    def test_a_paused_machine_is_kept_and_comes_back_paused_or_goes_on(self, room: Room) -> None:
        disk = room.blank_disk(16 * MIB)
        spec = room.spec(disks=(DiskSpec("vda", disk),))
        uuid, memory = room.made(spec, running=True), room.memory()
        room.driver.suspend(uuid)
        head = room.head_on(disk, 16 * MIB)
        assert room.driver.freeze_with_memory(uuid, {"vda": head}, memory) is None
        assert room.driver.state(uuid).power is Power.PAUSED
        assert room.driver.disks(uuid)["vda"].path == head
        with pytest.raises(DriverError):
            room.driver.freeze_with_memory(uuid, {"vda": room.head_on(head, 16 * MIB)}, memory)
        assert room.driver.disks(uuid)["vda"].path == head, "nothing changed"
        assert room.driver.memory_facts(memory) is not None
        again = room.memory()
        assert room.driver.freeze_with_memory(uuid, {"vda": room.head_on(head, 16 * MIB)}, again) is None
        assert room.driver.state(uuid).power is Power.PAUSED
        room.driver.discard_memory(again)
        for paused, power in ((True, Power.PAUSED), (False, Power.RUNNING)):
            room.driver.destroy(uuid)
            new = room.head_on(disk, 16 * MIB)
            room.driver.wake(replace(spec, disks=(DiskSpec("vda", new),)), memory, paused=paused)
            assert room.driver.state(uuid).power is power
            assert room.driver.disks(uuid)["vda"].path == new
            assert new in room.driver.xml(uuid, live=False)
        room.driver.destroy(uuid)
        room.driver.discard_memory(memory)

    def test_what_does_not_fit_is_refused_and_leaves_the_machine_off(self, room: Room) -> None:
        disk = room.blank_disk(16 * MIB)
        spec = room.spec(disks=(DiskSpec("vda", disk),))
        uuid, memory = room.made(spec, running=True), room.memory()
        head = room.head_on(disk, 16 * MIB)
        room.driver.freeze_with_memory(uuid, {"vda": head}, memory)
        room.driver.destroy(uuid)
        now = replace(spec, disks=(DiskSpec("vda", room.head_on(disk, 16 * MIB)),))
        assert room.driver.unfit(now, memory) is None
        others = (
            replace(now, memory_mib=128), replace(now, vcpus=2), replace(now, disks=()),
            replace(now, nics=(NicSpec("52:54:00:00:00:01", as_uuid(new_id("prt"))),)),
        )  # fmt: skip
        for other in others:
            assert room.driver.unfit(other, memory) is not None
        room.cut_off(memory)
        assert room.driver.memory_facts(memory) is None
        assert room.driver.unfit(now, memory) is not None
        with pytest.raises(DriverError) as caught:
            room.driver.wake(now, memory)
        assert not caught.value.retryable
        assert room.driver.state(uuid).power is Power.STOPPED
        room.driver.discard_memory(memory)

    def test_a_machine_that_is_off_has_nothing_in_memory(self, room: Room) -> None:
        disk, memory = room.blank_disk(16 * MIB), room.memory()
        uuid = room.machine(disks=(DiskSpec("vda", disk),))
        with pytest.raises(DriverError) as caught:
            room.driver.freeze_with_memory(uuid, {"vda": room.head_on(disk, 16 * MIB)}, memory)
        assert not caught.value.retryable
        assert room.driver.memory_facts(memory) is None

    def test_memory_alone_is_kept_and_nothing_of_it_where_a_head_is_missing(self, room: Room) -> None:
        disk = room.blank_disk(16 * MIB)
        spec = room.spec(disks=(DiskSpec("vda", disk),))
        uuid, memory = room.made(spec, running=True), room.memory()
        with pytest.raises(DriverError) as caught:
            room.driver.freeze_with_memory(uuid, {"vda": room.head_on(disk, 16 * MIB), "vdb": room.lost_disk()}, memory)
        assert not caught.value.retryable
        assert room.driver.memory_facts(memory) is None
        assert room.driver.disks(uuid)["vda"].path == disk
        assert room.driver.freeze_with_memory(uuid, {}, memory) is not None
        assert room.driver.disks(uuid)["vda"].path == disk
        assert room.driver.memory_facts(memory) is not None
        room.driver.destroy(uuid)
        room.driver.discard_memory(memory)

    @pytest.mark.parametrize("told", [False, True])
    def test_a_machine_that_goes_on_in_place_is_of_another_generation(self, room: Room, told: bool) -> None:
        spec = room.spec()
        uuid, memory = room.made(spec, running=True), room.memory()
        was = _generation(room, uuid, live=True)
        room.driver.freeze_with_memory(uuid, {}, memory)
        seen = {was}
        for _twice in range(2):
            room.driver.destroy(uuid)
            now = replace(spec, genid=as_uuid(new_id("ins")) if told else "", title="later")
            assert room.driver.unfit(now, memory) is None
            room.driver.wake(now, memory)
            assert room.driver.state(uuid).power is Power.RUNNING
            generation = _generation(room, uuid, live=True)
            assert generation not in seen, "its guest is told that it has gone back"
            seen.add(generation)
            assert _generation(room, uuid, live=False) == (now.genid or uuid)
            for live in (True, False):
                assert "<title>later</title>" in room.driver.xml(uuid, live=live)
        room.driver.destroy(uuid)
        room.driver.discard_memory(memory)

    def test_a_machine_that_runs_from_other_files_is_not_woken(self, room: Room) -> None:
        disk = room.blank_disk(16 * MIB)
        spec = room.spec(disks=(DiskSpec("vda", disk),))
        uuid, memory = room.made(spec, running=True), room.memory()
        room.driver.freeze_with_memory(uuid, {"vda": room.head_on(disk, 16 * MIB)}, memory)
        running = room.driver.disks(uuid)
        with pytest.raises(DriverError) as caught:
            room.driver.wake(replace(spec, disks=(DiskSpec("vda", room.head_on(disk, 16 * MIB)),)), memory)
        assert not caught.value.retryable
        assert room.driver.disks(uuid) == running
        room.driver.destroy(uuid)
        room.driver.discard_memory(memory)

    @pytest.mark.parametrize(
        "changes",
        [
            {"machine": "pc"}, {"board": Board(cpu_model="Nehalem")}, {"board": Board(rng=False)},
            {"board": Board(video="virtio")}, {"board": Board(memory_max_mib=128)}, {"board": Board(max_vcpus=2)},
            {"firmware": "uefi"}, {"board": Board(watchdog="i6300esb")},
            {"disks": (DiskSpec("vda", "/x"), DiskSpec("vdb", "/y"))}, {"disks": (DiskSpec("vda", "/x", bus="scsi"),)},
        ],
        ids=str,
    )  # fmt: skip
    def test_another_board_does_not_fit_and_the_reason_is_told(self, room: Room, changes: dict[str, object]) -> None:
        spec, memory = self._kept(room)
        assert room.driver.unfit(spec, memory) is None
        why = room.driver.unfit(replace(spec, **changes), memory)  # type: ignore[arg-type]
        assert why is not None
        assert why.render("en") != why.render("zh")

    def _kept(self, room: Room) -> tuple[DomainSpec, str]:
        """A machine that is off, and an image of it; made once."""
        if not hasattr(room, "kept_memory"):
            spec = room.spec(disks=(DiskSpec("vda", room.blank_disk(16 * MIB)),))
            uuid, memory = room.made(spec, running=True), room.memory()
            room.driver.freeze_with_memory(uuid, {}, memory)
            room.driver.destroy(uuid)
            room.kept_memory = (spec, memory)  # type: ignore[attr-defined]
        return room.kept_memory  # type: ignore[attr-defined,no-any-return]
