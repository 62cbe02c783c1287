"""What every hypervisor driver does with the network cards of running machines; joined to the contract of machines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from yun.base.errors import DriverError
from yun.base.ids import as_uuid, new_id
from yun.drivers.hypervisor.port import NicSpec, PluggedNic, Power

if TYPE_CHECKING:
    from tests.drivers.hypervisor.contract import Room


def card(mac: str, model: str = "virtio") -> NicSpec:
    """A card of a port that no network engine knows: nothing goes through, all else is as ever."""
    return NicSpec(mac=mac, port_uuid=as_uuid(new_id("prt")), model=model)


class NicContract:
    """Cards of the booted guest, whose kernel lets go of what is asked for, and of machines that are off or paused."""

    def test_a_card_is_plugged_in_once_and_only_into_what_runs(self, room: Room) -> None:
        nic = card("52:54:00:aa:00:01")
        uuid = room.machine()
        with pytest.raises(DriverError) as caught:
            room.driver.attach_nic(uuid, nic)
        assert not caught.value.retryable
        room.driver.start(uuid)
        for _again in range(2):
            room.driver.attach_nic(uuid, nic)
            assert room.driver.nics(uuid) == {nic.mac: PluggedNic(nic.port_uuid, "virtio", True)}
        with pytest.raises(DriverError) as caught:
            room.driver.attach_nic(uuid, replace(nic, port_uuid=as_uuid(new_id("prt"))))
        assert not caught.value.retryable
        room.driver.destroy(uuid)
        assert room.driver.nics(uuid) == {}
        room.driver.start(uuid)
        assert room.driver.nics(uuid) == {}, "the definition is somebody else's to change"
        room.driver.destroy(uuid)

    def test_a_cable_is_pulled_and_put_in_again(self, room: Room) -> None:
        nic = card("52:54:00:aa:00:02", "e1000e")
        uuid = room.machine(running=True, nics=(nic,))
        for up in (False, False, True):
            room.driver.set_link(uuid, nic.mac, up)
            assert room.driver.nics(uuid) == {nic.mac: PluggedNic(nic.port_uuid, "e1000e", up)}
        with pytest.raises(DriverError) as caught:
            room.driver.set_link(uuid, "52:54:00:aa:ff:ff", False)
        assert not caught.value.retryable
        room.driver.set_link(uuid, nic.mac, False)
        room.driver.destroy(uuid)
        room.driver.start(uuid)
        assert room.driver.nics(uuid)[nic.mac].link_up, "the definition is somebody else's to change"
        room.driver.destroy(uuid)

    def test_a_guest_lets_go_of_a_card_it_is_asked_for(self, room: Room) -> None:
        from tests.drivers.hypervisor.contract import until

        until(lambda: room.driver.state(room.booted).agent, 240)
        before = room.driver.nics(room.booted)
        nic = card("52:54:00:aa:00:03")
        room.driver.attach_nic(room.booted, nic)
        assert set(room.driver.nics(room.booted)) == {*before, nic.mac}
        room.driver.detach_nic(room.booted, nic.mac)
        until(lambda: nic.mac not in room.driver.nics(room.booted))
        room.driver.detach_nic(room.booted, nic.mac)

    def test_a_paused_guest_lets_go_of_a_card_when_it_goes_on(self, room: Room) -> None:
        from tests.drivers.hypervisor.contract import until

        until(lambda: room.driver.state(room.booted).agent, 240)
        nic = card("52:54:00:aa:00:04")
        room.driver.attach_nic(room.booted, nic)
        room.driver.suspend(room.booted)
        for _again in range(2):
            room.driver.detach_nic(room.booted, nic.mac)
        assert nic.mac in room.driver.nics(room.booted)
        room.driver.resume(room.booted)
        until(lambda: nic.mac not in room.driver.nics(room.booted))
        assert room.driver.state(room.booted).power is Power.RUNNING
