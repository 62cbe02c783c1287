"""What every hypervisor driver does with boards, and with the size of running machines; joined to the contract."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from yun.base.errors import DriverError
from yun.drivers.hypervisor.board import Board
from yun.drivers.hypervisor.port import DomainSpec, Power

if TYPE_CHECKING:
    from tests.drivers.hypervisor.contract import Room

BOARDS: dict[str, dict[str, object]] = {
    "two screens": {"board": Board(display="both", video="qxl", keyboard="de")},
    "spice alone": {"board": Board(display="spice", video="virtio")},
    "old": {"machine": "pc", "board": Board(watchdog="ib700", clock="localtime", video="cirrus", rng=False)},
    "watched": {
        "board": Board(watchdog="i6300esb", watchdog_action="pause", panic="preserve", serial_ports=3, video="bochs")
    },
    "shaped": {"vcpus": 2, "board": Board(max_vcpus=4, sockets=1, cores=2, threads=2, cpu_model="Nehalem")},
    "pinned": {"vcpus": 2, "board": Board(pins=("0", "0-1"), cpu_model="maximum", agent=False)},
    "growing": {"vcpus": 2, "board": Board(max_vcpus=3, memory_max_mib=300)},
    "laid over": {
        "board": Board(overlay='<devices><sound model="ich9"/></devices><pm><suspend-to-mem enabled="no"/></pm>')
    },
    "trusted": {"firmware": "uefi", "memory_mib": 128, "board": Board(tpm=True)},
}


def _live(room: Room, uuid: str) -> ET.Element:
    return ET.fromstring(room.driver.xml(uuid, live=True))


class BoardContract:
    """Machines of every kind of board, and machines that grow and shrink while they run."""

    @pytest.mark.parametrize("name", BOARDS)
    def test_a_machine_of_every_board_starts(self, room: Room, name: str) -> None:
        spec: DomainSpec = room.spec(**BOARDS[name])
        room.driver.define(spec)
        room.driver.start(spec.uuid)
        assert room.driver.state(spec.uuid).power is Power.RUNNING
        found = {g.get("type") for g in _live(room, spec.uuid).iterfind("devices/graphics")}
        assert found == ({"vnc", "spice"} if spec.board.display == "both" else {spec.board.display})
        room.driver.destroy(spec.uuid)
        room.driver.undefine(spec.uuid)
        room.driver.discard_tpm(spec.uuid)

    def test_machines_start_with_the_models_that_are_offered(self, room: Room) -> None:
        offered = room.driver.cpu_models("tcg")
        assert offered["qemu64"], "the emulator gives all of its own"
        poor = [name for name, whole in offered.items() if not whole]
        assert poor, "and not all of every other"
        for model in ("qemu64", poor[0]):
            spec = room.spec(board=Board(cpu_model=model))
            room.driver.define(spec)
            room.driver.start(spec.uuid)
            assert room.driver.state(spec.uuid).power is Power.RUNNING
            room.driver.destroy(spec.uuid)
            room.driver.undefine(spec.uuid)

    def test_extra_xml_that_makes_no_sense_is_refused_and_leaves_the_old_definition(self, room: Room) -> None:
        spec = room.spec()
        room.driver.define(spec)
        for wrong in ('<devices><sound model="trumpet"/></devices>', "<pm><suspend-to-mars/></pm>"):
            if not room.checks_schema:
                break
            with pytest.raises(DriverError) as caught:
                room.driver.define(replace(spec, vcpus=2, board=Board(overlay=wrong)))
            assert not caught.value.retryable
        assert ET.fromstring(room.driver.xml(spec.uuid, live=False)).findtext("vcpu") == "1"

    def test_a_processor_that_the_host_does_not_know_is_refused_and_leaves_the_old_definition(self, room: Room) -> None:
        spec = room.spec()
        room.driver.define(spec)
        for wrong in ("Pentium9", "EPYC-v3"):
            with pytest.raises(DriverError) as caught:
                room.driver.define(replace(spec, vcpus=2, board=Board(cpu_model=wrong)))
            assert not caught.value.retryable
            assert wrong in caught.value.message.render("en")
        assert ET.fromstring(room.driver.xml(spec.uuid, live=False)).findtext("vcpu") == "1"

    def test_vcpus_are_plugged_in_up_to_the_most_and_never_taken_away(self, room: Room) -> None:
        uuid = room.machine(board=Board(max_vcpus=3))
        with pytest.raises(DriverError):
            room.driver.set_vcpus(uuid, 2)
        room.driver.start(uuid)
        for count in (2, 2, 1):
            room.driver.set_vcpus(uuid, count)
            vcpu = _live(room, uuid).find("vcpu")
            assert (vcpu.text, vcpu.get("current")) == ("3", "2")
        with pytest.raises(DriverError) as caught:
            room.driver.set_vcpus(uuid, 4)
        assert not caught.value.retryable
        room.driver.destroy(uuid)

    def test_memory_grows_and_shrinks_by_blocks_within_its_bounds(self, room: Room) -> None:
        uuid = room.machine(running=True, board=Board(memory_max_mib=256))
        for size in (128, 128, 256, 64):
            room.driver.set_memory(uuid, size)
        for size in (62, 65, 258):
            with pytest.raises(DriverError) as caught:
                room.driver.set_memory(uuid, size)
            assert not caught.value.retryable
        room.driver.destroy(uuid)

    def test_a_machine_that_cannot_grow_is_asked_to_give_memory_back(self, room: Room) -> None:
        uuid = room.machine(running=True)
        for size in (48, 48, 64):
            room.driver.set_memory(uuid, size)
        with pytest.raises(DriverError) as caught:
            room.driver.set_memory(uuid, 65)
        assert not caught.value.retryable
        room.driver.destroy(uuid)

    def test_vcpus_are_tied_to_host_processors_and_let_loose(self, room: Room) -> None:
        uuid = room.machine(running=True, vcpus=2)
        for pins in (("0",), ("0", "0-1"), ()):
            room.driver.pin_vcpus(uuid, pins)
        with pytest.raises(DriverError) as caught:
            room.driver.pin_vcpus(uuid, ("4000",))
        assert not caught.value.retryable
        assert room.driver.state(uuid).power is Power.RUNNING
        room.driver.destroy(uuid)

    def test_a_deleted_machine_keeps_its_tpm_until_that_is_discarded(self, room: Room) -> None:
        spec = room.spec(board=Board(tpm=True))
        for _again in range(2):
            room.driver.define(replace(spec, title="again"))
            room.driver.start(spec.uuid)
            room.driver.destroy(spec.uuid)
            room.driver.undefine(spec.uuid)
        for _again in range(2):
            room.driver.discard_tpm(spec.uuid)

    def test_a_tpm_is_copied_while_its_machine_runs_and_the_copy_starts_with_it(self, room: Room) -> None:
        spec, other, third = (room.spec(board=Board(tpm=True)) for _number in range(3))
        assert not room.driver.copy_tpm(spec.uuid, other.uuid), "a machine that was never on keeps nothing"
        room.driver.define(spec)
        room.driver.start(spec.uuid)
        for _again in range(2):
            assert room.driver.copy_tpm(spec.uuid, other.uuid)
        before = room.tpm(other.uuid)
        assert before == room.tpm(spec.uuid) != ""
        room.driver.define(other)
        room.driver.start(other.uuid)
        assert room.driver.state(other.uuid).power is Power.RUNNING
        assert room.tpm(other.uuid) == before, "the machine took what was kept for it, and made nothing anew"
        room.driver.define(third)
        room.driver.start(third.uuid)
        assert room.tpm(third.uuid) != before, "machines that are no copies have TPMs of their own"
        for each in (spec, other, third):
            room.driver.destroy(each.uuid)
            room.driver.undefine(each.uuid)
            room.driver.discard_tpm(each.uuid)
            assert room.tpm(each.uuid) == ""
