"""Devices of the host in memory: a machine room with an IOMMU, of which its machines are given PCI and USB devices."""

from __future__ import annotations

from dataclasses import replace

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.fake.calls import Calls
from yun.drivers.hypervisor.fake.places import refuse_full
from yun.drivers.hypervisor.fake.world import ACTIVE, FakeDomain
from yun.drivers.hypervisor.host_device import HostDevice, HostDeviceSpec


class FakeDevices(Calls):
    """The part of the driver in memory that concerns devices of the host."""

    def host_devices(self) -> list[HostDevice]:
        with self._call("host_devices"):
            return sorted(self.world.host_devices, key=lambda d: (d.kind, d.address))

    def attach_host_device(self, uuid: str, device: HostDeviceSpec) -> None:
        with self._call("attach_host_device", uuid):
            domain = self._active(uuid)
            assert domain.live is not None
            if device.key in {d.key for d in domain.live.host_devices}:
                return
            self._free(device, domain)
            refuse_full(domain, replace(domain.live, host_devices=(*domain.live.host_devices, device)))
            domain.live = replace(domain.live, host_devices=(*domain.live.host_devices, device))

    def detach_host_device(self, uuid: str, key: str) -> None:
        with self._call("detach_host_device", uuid):
            domain = self._active(uuid)
            domain.asked_for.add(key)
            self.world.let_go(domain)

    def plugged_host_devices(self, uuid: str) -> set[str]:
        with self._call("plugged_host_devices", uuid):
            domain = self.world.domains.get(uuid)
            if domain is None or domain.power not in ACTIVE:
                return set()
            self.world.let_go(domain)
            assert domain.live is not None
            return {d.key for d in domain.live.host_devices}

    def _free(self, device: HostDeviceSpec, domain: FakeDomain) -> None:
        """Raise as libvirt does for a device that is not there, in use, or cannot be given away."""
        there = self.world.device_of(device)
        reason = ""
        if there is None:
            reason = f"device {device.address or device.vendor_id + ':' + device.product_id} not found"
        elif there.kind == "pci" and there.iommu_group is None:
            reason = "host doesn't support passthrough of host PCI devices"
        others = (d for d in self.world.domains.values() if d is not domain and d.live is not None)
        for other in others:
            if any(self.world.device_of(d) == there for d in other.live.host_devices):  # type: ignore[union-attr]
                reason = f"device is in use by domain {other.spec.name}"
        if reason:
            raise DriverError(_("The hypervisor refused: {reason}", reason=reason))

    def _check_devices(self, domain: FakeDomain) -> None:
        """Raise for a device of the definition that the machine cannot be started with or without."""
        for device in domain.spec.host_devices:
            if device.kind == "pci" or self.world.device_of(device) is not None:
                self._free(device, domain)
