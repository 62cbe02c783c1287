"""What is plugged into running domains: disks, media, cards, devices of the host; and what they boot from."""

from __future__ import annotations

from typing import Any

from yun.drivers.hypervisor.host_device import HostDevice, HostDeviceSpec
from yun.drivers.hypervisor.libvirt import boots, copying, disks, host_devices, nics, places, tuning
from yun.drivers.hypervisor.libvirt.driver.domains import Domains, must_run
from yun.drivers.hypervisor.port import DiskSpec, IoLimits, NicSpec, Places, PluggedDisk, PluggedNic


class PlugsDevices(Domains):
    """The part of the driver that plugs."""

    def attach_disk(self, uuid: str, disk: DiskSpec) -> None:
        self._on_running(uuid, lambda domain: disks.attach(domain, disk))

    def detach_disk(self, uuid: str, slot: str) -> bool:
        def detach(domain: Any) -> bool:
            must_run(domain)
            return disks.detach(domain, slot)

        return self._on(uuid, detach)

    def resize_disk(self, uuid: str, slot: str, size: int) -> None:
        self._on_running(uuid, lambda domain: disks.resize(domain, slot, size))

    def limit_disk(self, uuid: str, slot: str, limits: IoLimits) -> None:
        self._on_running(uuid, lambda domain: tuning.limit(domain, slot, limits))

    def disk_limits(self, uuid: str) -> dict[str, IoLimits]:
        return self._on(uuid, lambda domain: tuning.limits(domain) if domain.isActive() else {}, missing=dict)

    def disks(self, uuid: str) -> dict[str, PluggedDisk]:
        return self._on(uuid, lambda domain: disks.plugged(domain) if domain.isActive() else {}, missing=dict)

    def defined_disks(self, uuid: str) -> dict[str, str]:
        return self._on(uuid, copying.defined, missing=dict)

    def change_medium(self, uuid: str, slot: str, path: str, *, force: bool) -> bool:
        def change(domain: Any) -> bool:
            must_run(domain)
            return disks.change_medium(domain, slot, path, force=force)

        return self._on(uuid, change)

    def media(self, uuid: str) -> dict[str, str]:
        return self._on(uuid, lambda domain: disks.media(domain) if domain.isActive() else {}, missing=dict)

    def attach_nic(self, uuid: str, nic: NicSpec) -> None:
        self._on_running(uuid, lambda domain: nics.attach(domain, nic))

    def detach_nic(self, uuid: str, mac: str) -> None:
        self._on_running(uuid, lambda domain: nics.detach(domain, mac))

    def set_link(self, uuid: str, mac: str, up: bool) -> None:
        self._on_running(uuid, lambda domain: nics.set_link(domain, mac, up))

    def nics(self, uuid: str) -> dict[str, PluggedNic]:
        return self._on(uuid, lambda domain: nics.plugged(domain) if domain.isActive() else {}, missing=dict)

    def host_devices(self) -> list[HostDevice]:
        return self._connection.call(host_devices.inventory)

    def attach_host_device(self, uuid: str, device: HostDeviceSpec) -> None:
        self._on_running(uuid, lambda domain: host_devices.attach(domain, device))

    def detach_host_device(self, uuid: str, key: str) -> None:
        self._on_running(uuid, lambda domain: host_devices.detach(domain, key))

    def plugged_host_devices(self, uuid: str) -> set[str]:
        return self._on(
            uuid, lambda domain: host_devices.plugged(domain) if domain.isActive() else set(), missing=set
        )

    def places(self, uuid: str) -> Places | None:
        return self._on(uuid, lambda domain: places.look(domain) if domain.isActive() else None, missing=lambda: None)

    def restart_order(self, uuid: str) -> tuple[str, ...]:
        return self._on(
            uuid, lambda domain: boots.restart_order(domain) if domain.isActive() else (), missing=lambda: ()
        )

    def restart_as_defined(self, uuid: str) -> None:
        self._on_running(uuid, boots.restart_as_defined)
