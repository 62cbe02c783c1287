"""New files for the disks of running machines in memory: frozen and written on elsewhere, or copied step by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.disk import DiskFormat
from yun.drivers.hypervisor.fake.disks import FakeDisks
from yun.drivers.hypervisor.fake.world import ACTIVE, Mirror
from yun.drivers.hypervisor.port import BlockCopy, DomainSpec


class FakeCopies(FakeDisks):
    """The part of the driver in memory that gives running machines new files; each look brings a copy further."""

    def freeze_disks(self, uuid: str, heads: Mapping[str, str], *, quiesce: bool) -> bool:
        with self._call("freeze_disks", uuid):
            domain = self._active(uuid)
            assert domain.live is not None
            there = {d.slot: d.path for d in domain.live.disks if d.device == "disk" and not d.readonly}
            wrong = [slot for slot, path in heads.items() if there.get(slot) in (None, path)]
            if wrong or not heads:
                raise DriverError(_("The hypervisor refused: {reason}", reason=f"no disk {wrong} to freeze"))
            domain.live = onto(domain.live, there, heads)
            domain.spec = onto(domain.spec, there, heads)
            for slot, path in heads.items():
                self.world.sizes[path] = self.world.sizes.get(there[slot], 0)
            rests = quiesce and self.world.agent_of(domain)
            if rests:
                domain.guest.agent("guest-fsfreeze-freeze", {})
                domain.guest.agent("guest-fsfreeze-thaw", {})
            return rests

    def begin_copy(self, uuid: str, slot: str, path: str, *, format: DiskFormat = "qcow2") -> None:
        with self._call("begin_copy", uuid):
            domain = self._active(uuid)
            if slot not in self._plugged(domain):
                raise DriverError(_("The slot {slot} is empty.", slot=slot))
            domain.mirrors.setdefault(slot, Mirror(path, format))

    def copy_state(self, uuid: str, slot: str) -> BlockCopy | None:
        with self._call("copy_state", uuid):
            domain = self.world.domains.get(uuid)
            if domain is None or domain.power not in ACTIVE or slot not in domain.mirrors:
                return None
            mirror = domain.mirrors[slot]
            mirror.looks += 1
            done = min(mirror.looks, self.world.copy_looks)
            return BlockCopy(done, self.world.copy_looks, done == self.world.copy_looks)

    def finish_copy(self, uuid: str, slot: str) -> None:
        with self._call("finish_copy", uuid):
            domain = self._active(uuid)
            mirror = domain.mirrors.get(slot)
            if mirror is None or domain.live is None:
                raise DriverError(_("No copy of {slot} is under way.", slot=slot))
            if mirror.looks < self.world.copy_looks:
                raise DriverError(_("The copy of {slot} is not ready yet.", slot=slot), retryable=True)
            old = {slot: self._plugged(domain)[slot].path}
            domain.live = onto(domain.live, old, {slot: mirror.path}, mirror.format)
            domain.spec = onto(domain.spec, old, {slot: mirror.path}, mirror.format)
            self.world.sizes[mirror.path] = self.world.sizes.get(old[slot], 0)
            del domain.mirrors[slot]

    def abandon_copy(self, uuid: str, slot: str) -> None:
        with self._call("abandon_copy", uuid):
            domain = self.world.domains.get(uuid)
            if domain is not None:
                domain.mirrors.pop(slot, None)


def onto(
    spec: DomainSpec, old: Mapping[str, str], new: Mapping[str, str], format: DiskFormat = "qcow2"
) -> DomainSpec:
    """The spec with each slot that holds its ``old`` file holding its ``new`` one, of this ``format``."""
    disks = tuple(
        replace(d, path=new[d.slot], format=format) if d.slot in new and d.path == old[d.slot] else d
        for d in spec.disks
    )
    return replace(spec, disks=disks)
