"""From rows to what the hypervisor is told of an instance's disks. Pure."""

from __future__ import annotations

from sqlalchemy.orm import Session

from yun.drivers.hypervisor.port import DiskSpec, IoLimits
from yun.storage.model import Pool
from yun.storage.service import Disk, attachments_of, default_pool


def disk_of(disk: Disk) -> DiskSpec:
    """One attached volume as the hypervisor's disk."""
    place = disk.attachment
    return DiskSpec(
        slot=place.slot, path=disk.head.path, format=disk.head.format, bus=place.bus, readonly=place.readonly,  # type: ignore[arg-type]
        serial=place.serial or serial_of(disk.volume.id), boot_order=place.boot_order,
        cache=place.cache, io=place.io or None, discard=place.discard, limits=IoLimits(**place.limits),  # type: ignore[arg-type]
    )  # fmt: skip


def serial_of(volume_id: str) -> str:
    """The serial number by which a guest knows the volume: at most 20 characters, the id's random end."""
    return volume_id[-20:]


def disks_of(session: Session, instance_id: str) -> tuple[DiskSpec, ...]:
    """All disks of an instance, by slot."""
    return tuple(disk_of(d) for d in attachments_of(session, instance_id))


def pool_path_of(session: Session, instance_id: str) -> str:
    """The directory of the pool in which the instance's first disk lies; the default pool's without disks."""
    for disk in attachments_of(session, instance_id):
        pool = session.get(Pool, disk.volume.pool_id)
        assert pool is not None
        return pool.path
    return default_pool(session).path
