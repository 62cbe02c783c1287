"""What every hypervisor driver does with devices of its host; joined to the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from yun.base.errors import DriverError
from yun.drivers.hypervisor.host_device import HostDeviceSpec
from yun.drivers.hypervisor.port import Power

if TYPE_CHECKING:
    from tests.drivers.hypervisor.contract import Room

MISSING = HostDeviceSpec("hdv_key", "usb", vendor_id="1050", product_id="ffff")
"""A USB device that no host of these tests has."""


class DeviceContract:
    """The inventory, and machines with devices that are missing or cannot be given away."""

    def test_the_inventory_names_each_device_once(self, room: Room) -> None:
        found = room.driver.host_devices()
        assert found, "every machine has a PCI device"
        assert len({(d.kind, d.address) for d in found}) == len(found)
        for device in found:
            for number in (device.vendor_id, device.product_id):
                assert len(number) == 4
                int(number, 16)
            if device.kind == "pci":
                assert len(device.category) == 6
                assert (device.bus, device.number) == (0, 0)
            else:
                assert device.number > 0
            assert device.host_use in ("", "disk", "network", "bridge")
        assert found == room.driver.host_devices()

    def test_a_pci_device_that_is_not_there_is_refused_live_and_at_the_start(self, room: Room) -> None:
        nowhere = HostDeviceSpec("hdv_none", "pci", address="0000:fe:1f.7")
        uuid = room.machine(running=True)
        with pytest.raises(DriverError) as caught:
            room.driver.attach_host_device(uuid, nowhere)
        assert not caught.value.retryable
        assert room.driver.plugged_host_devices(uuid) == set()
        room.driver.detach_host_device(uuid, "hdv_none")
        assert room.driver.state(uuid).power is Power.RUNNING
        room.driver.destroy(uuid)
        other = room.machine(host_devices=(nowhere,))
        with pytest.raises(DriverError) as caught:
            room.driver.start(other)
        assert not caught.value.retryable
        assert room.driver.state(other).power is Power.STOPPED

    def test_what_cannot_be_given_away_without_an_iommu_is_refused_by_the_hypervisor_too(self, room: Room) -> None:
        without = [d for d in room.driver.host_devices() if d.kind == "pci" and d.iommu_group is None]
        if not without:
            return  # this host has one, and its devices are left alone
        spec = room.spec(host_devices=(HostDeviceSpec("hdv_pci", "pci", address=without[0].address),))
        room.driver.define(spec)
        with pytest.raises(DriverError) as caught:
            room.driver.start(spec.uuid)
        assert not caught.value.retryable

    def test_a_definition_with_a_usb_device_is_taken_and_names_it(self, room: Room) -> None:
        twin = HostDeviceSpec("hdv_twin", "usb", vendor_id="0403", product_id="6001", bus=1, number=99)
        spec = room.spec(host_devices=(MISSING, twin))
        for _again in range(2):
            room.driver.define(spec)
        devices = ET.fromstring(room.driver.xml(spec.uuid, live=False)).findall("./devices/hostdev")
        parts = [(device.find("alias"), device.find("source")) for device in devices]
        assert [alias.get("name") for alias, _source in parts if alias is not None] == ["ua-hdv_key", "ua-hdv_twin"]
        assert [source.get("startupPolicy") for _alias, source in parts if source is not None] == ["optional"] * 2
        assert room.driver.plugged_host_devices(spec.uuid) == set()

    def test_a_machine_starts_without_a_usb_device_that_is_missing(self, room: Room) -> None:
        if not room.has_usb:
            pytest.skip("this machine has no USB at all: libvirt then starts nothing that is to have a USB device")
        uuid = room.machine(host_devices=(MISSING,))
        room.driver.start(uuid)
        assert room.driver.plugged_host_devices(uuid) == set()
        room.driver.destroy(uuid)

    def test_a_stopped_machine_has_nothing_plugged_in_and_takes_nothing(self, room: Room) -> None:
        uuid = room.machine()
        assert room.driver.plugged_host_devices(uuid) == set()
        assert room.driver.plugged_host_devices("0192ffff-0000-4000-8000-000000000001") == set()
        with pytest.raises(DriverError):
            room.driver.attach_host_device(uuid, MISSING)
        with pytest.raises(DriverError):
            room.driver.detach_host_device(uuid, MISSING.key)
