"""Disks of the machines in memory: plugged in, asked for and given up as guests do, with what lies in CD drives."""

from __future__ import annotations

from dataclasses import replace

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.fake.calls import Calls
from yun.drivers.hypervisor.fake.limits import refuse_uneven
from yun.drivers.hypervisor.fake.places import refuse_full
from yun.drivers.hypervisor.fake.world import ACTIVE, FakeDomain
from yun.drivers.hypervisor.port import DiskSpec, PluggedDisk, Power


class FakeDisks(Calls):
    """The part of the driver in memory that concerns disks and media."""

    def attach_disk(self, uuid: str, disk: DiskSpec) -> None:
        with self._call("attach_disk", uuid):
            domain = self._active(uuid)
            assert domain.live is not None
            there = {d.slot: d for d in domain.live.disks}.get(disk.slot)
            if there is not None and there.path != disk.path:
                raise DriverError(_("The slot {slot} holds another disk.", slot=disk.slot), private=disk.path)
            if disk.path in self.world.missing_files:
                reason = f"cannot access storage file {disk.path}: No such file or directory"
                raise DriverError(_("The hypervisor refused: {reason}", reason=reason))
            if there is None:
                refuse_uneven((*domain.live.disks, disk))
                refuse_full(domain, replace(domain.live, disks=(*domain.live.disks, disk)))
                domain.live = replace(domain.live, disks=(*domain.live.disks, disk))

    def detach_disk(self, uuid: str, slot: str) -> bool:
        with self._call("detach_disk", uuid):
            domain = self._active(uuid)
            if domain.refuses_disks and domain.power is Power.RUNNING and slot in self._plugged(domain):
                return False
            domain.asked_for.add(slot)
            self.world.let_go(domain)
            return True

    def resize_disk(self, uuid: str, slot: str, size: int) -> None:
        with self._call("resize_disk", uuid):
            domain = self._active(uuid)
            if slot not in self._plugged(domain):
                raise DriverError(_("The slot {slot} is empty.", slot=slot))
            if size % 512 or size < self.world.sizes.get(self._plugged(domain)[slot].path, 0):
                raise DriverError(_("A disk cannot be made smaller."), private=slot)
            self.world.sizes[self._plugged(domain)[slot].path] = size

    def disks(self, uuid: str) -> dict[str, PluggedDisk]:
        with self._call("disks", uuid):
            domain = self.world.domains.get(uuid)
            if domain is None or domain.power not in ACTIVE:
                return {}
            self.world.let_go(domain)
            return self._plugged(domain)

    def _plugged(self, domain: FakeDomain) -> dict[str, PluggedDisk]:
        assert domain.live is not None
        return {d.slot: PluggedDisk(d.path, self.world.sizes.get(d.path, 0)) for d in domain.live.disks if d.path}

    def defined_disks(self, uuid: str) -> dict[str, str]:
        with self._call("defined_disks", uuid):
            domain = self.world.domains.get(uuid)
            return {d.slot: d.path for d in domain.spec.disks if d.path} if domain is not None else {}

    def change_medium(self, uuid: str, slot: str, path: str, *, force: bool) -> bool:
        with self._call("change_medium", uuid):
            domain = self._active(uuid)
            assert domain.live is not None
            now = {d.slot: d.path for d in domain.live.disks if d.device == "cdrom"}.get(slot)
            if now is None:
                raise DriverError(_("The slot {slot} is no CD drive.", slot=slot))
            if path in self.world.missing_files:
                reason = f"cannot access storage file {path}: No such file or directory"
                raise DriverError(_("The hypervisor refused: {reason}", reason=reason))
            if now != path and now and domain.locks_trays and not force:
                return False
            domain.live = replace(
                domain.live, disks=tuple(replace(d, path=path) if d.slot == slot else d for d in domain.live.disks)
            )
            return True

    def media(self, uuid: str) -> dict[str, str]:
        with self._call("media", uuid):
            domain = self.world.domains.get(uuid)
            if domain is None or domain.power not in ACTIVE:
                return {}
            assert domain.live is not None
            return {d.slot: d.path for d in domain.live.disks if d.device == "cdrom"}
