"""What the disks of the machines in memory are held to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.disk import DiskSpec, IoLimits
from yun.drivers.hypervisor.fake.calls import Calls
from yun.drivers.hypervisor.fake.world import ACTIVE
from yun.drivers.hypervisor.port import DomainSpec


def refuse_uneven(disks: Sequence[DiskSpec]) -> None:
    """libvirt refuses disks that share a budget and name different ones."""
    named: dict[str, DiskSpec] = {}
    for disk in disks:
        other = named.setdefault(disk.limits.group_name, disk)
        if disk.limits.group_name and other.limits != disk.limits:
            reason = f"different iotunes for disks {disk.slot} and {other.slot}"
            raise DriverError(_("The hypervisor refused: {reason}", reason=reason))


def refuse_impossible(spec: DomainSpec) -> None:
    """libvirt refuses disks on a bus that the machine has not, and read-only ones where there are no such."""
    for disk in spec.disks:
        reason = ""
        if disk.bus == "ide" and not spec.machine.startswith("pc"):
            reason = "IDE controllers are unsupported for this QEMU binary or machine type"
        elif disk.bus in ("sata", "ide") and disk.readonly and disk.device == "disk":
            reason = f"readonly {disk.bus} disks are not supported"
        if reason and spec.kept is None:
            raise DriverError(_("The hypervisor refused: {reason}", reason=reason))


class FakeLimits(Calls):
    """The part of the driver in memory that limits disks."""

    def limit_disk(self, uuid: str, slot: str, limits: IoLimits) -> None:
        with self._call("limit_disk", uuid):
            domain = self._active(uuid)
            assert domain.live is not None
            if slot not in {d.slot for d in domain.live.disks}:
                raise DriverError(_("The slot {slot} is empty.", slot=slot))
            group = limits.group_name if limits.any else ""
            domain.live = replace(
                domain.live,
                disks=tuple(
                    replace(d, limits=limits if limits.any else IoLimits())
                    if d.slot == slot or (group and d.limits.group_name == group) else d
                    for d in domain.live.disks
                ),
            )  # fmt: skip

    def disk_limits(self, uuid: str) -> dict[str, IoLimits]:
        with self._call("disk_limits", uuid):
            domain = self.world.domains.get(uuid)
            if domain is None or domain.power not in ACTIVE or domain.live is None:
                return {}
            return {d.slot: d.limits for d in domain.live.disks}
