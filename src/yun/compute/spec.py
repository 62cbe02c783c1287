"""From rows to what the hypervisor is told: an instance with its disks and ports as a `DomainSpec`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session, undefer

from yun.base.config import Settings
from yun.compute import boot, places
from yun.compute import hardware as parts
from yun.compute.cloud_init import Guest, GuestNic
from yun.compute.devices.model import HostDevice
from yun.compute.media.model import CdDrive
from yun.compute.model import Adoption, Instance
from yun.compute.service.given import devices_of
from yun.drivers.hypervisor.host_device import HostDeviceSpec
from yun.drivers.hypervisor.port import DiskSpec, DomainSpec, Kept, NicSpec
from yun.hosts.model import Host
from yun.network.model import Network
from yun.network.service import ports_of
from yun.network.spec import nic_of
from yun.storage.model import Attachment, Layer
from yun.storage.spec import disks_of, pool_path_of

SEED_SLOT = "sda"
OLD = ("sata", "ide")
"""Buses of systems from which nothing paravirtual is expected."""
FIRMWARE: dict[str, Literal["bios", "uefi", "uefi-secure"]] = {"uefi": "uefi", "uefi-secure": "uefi-secure"}


def domain_spec(
    instance: Instance, host: Host, disks: Sequence[DiskSpec], nics: Sequence[NicSpec], *, settings: Settings,
    seed: str = "", nvram: str = "",
) -> DomainSpec:  # fmt: skip
    """The machine as rows say it should be at its next start.

    ``seed`` is the path of its NoCloud seed, if it has one: a CD on the SCSI bus, since cloud kernels know no SATA; on
    SATA where the machine boots from there, since then nothing paravirtual is expected of its system.
    ``nvram`` is where its variables lie if it boots by UEFI.
    The hypervisor's own autostart stays off: what starts after a reboot of the host is decided here, by policy.
    """
    bus: Literal["sata", "scsi"] = "sata" if any(d.boot_order == 1 and d.bus in OLD for d in disks) else "scsi"
    cd = (DiskSpec(SEED_SLOT, seed, format="raw", device="cdrom", bus=bus, readonly=True, discard=False),)
    hardware = parts.of(instance.hardware or {})
    disks = [replace(disk, error_policy=hardware.disk_full) for disk in disks]
    return DomainSpec(
        uuid=instance.uuid,
        name=instance.id,
        title=instance.name,
        description=instance.description,
        memory_mib=instance.memory_mib,
        vcpus=instance.vcpus,
        accel="kvm" if host.accel == "kvm" else "tcg",
        disks=(*disks, *(cd if seed else ())),
        nics=tuple(nics),
        firmware=FIRMWARE.get(instance.firmware, "bios"),
        machine=hardware.machine,
        board=hardware.board(),
        autostart=False,
        serial_socket=places.serial_socket(settings, instance.id),
        nvram=nvram if instance.firmware in FIRMWARE else "",
        serial_log=places.serial_log(settings, instance.id),
        metadata=mark_of(instance),
    )


def host_devices_of(session: Session, instance: Instance) -> tuple[HostDeviceSpec, ...]:
    """The devices of its host that a machine has at its next start. A USB device that is missing is left out; a PCI
    device is not, and the hypervisor refuses to start without it."""
    return tuple(
        host_device_of(session, row) for row in devices_of(session, instance.id) if row.kind == "pci" or row.present
    )


def host_device_of(session: Session, row: HostDevice) -> HostDeviceSpec:
    """One of them. The place of a USB device changes whenever it is plugged in: it counts only among several alike."""
    if row.kind == "pci":
        return HostDeviceSpec(row.id, "pci", address=row.address)
    same = (HostDevice.vendor_id == row.vendor_id, HostDevice.product_id == row.product_id, HostDevice.kind == "usb")
    alike = sa.select(sa.func.count()).where(HostDevice.host_id == row.host_id, HostDevice.present, *same)
    several = session.scalars(alike).one() > 1
    return HostDeviceSpec(
        row.id, "usb", vendor_id=row.vendor_id, product_id=row.product_id, bus=row.bus if several else 0,
        number=row.number if several else 0,
    )  # fmt: skip


def kept_spec(
    instance: Instance, came: Adoption, host: Host, disks: Sequence[DiskSpec], nics: Sequence[NicSpec], *,
    settings: Settings,
) -> DomainSpec:  # fmt: skip
    """A machine that was taken over, at its next start: as it was defined, with what changed since. It gets a serial
    port that the console can listen to."""
    return DomainSpec(
        uuid=instance.uuid,
        name=came.name,
        title=instance.name,
        memory_mib=instance.memory_mib,
        vcpus=instance.vcpus,
        accel="kvm" if host.accel == "kvm" else "tcg",
        disks=tuple(disks),
        nics=tuple(nics),
        serial_socket=places.serial_socket(settings, instance.id),
        serial_log=places.serial_log(settings, instance.id),
        metadata=mark_of(instance),
        kept=Kept(came.xml, tuple(came.disks)),
    )


def mark_of(instance: Instance) -> dict[str, str]:
    """By what the hypervisor's domain is known as this cloud's."""
    return {"id": instance.id, "project": instance.project_id}


def drive_of(drive: CdDrive, path: str) -> DiskSpec:
    """A CD drive as the hypervisor's disk, holding the file ``path`` (empty: nothing)."""
    return DiskSpec(
        drive.slot, path, device="cdrom", bus=drive.bus, readonly=True, discard=False,  # type: ignore[arg-type]
        boot_order=drive.boot_order,
    )  # fmt: skip


def drives_of(session: Session, instance_id: str) -> tuple[DiskSpec, ...]:
    """All CD drives of an instance, by slot."""
    query = (
        sa.select(CdDrive, Layer.path)
        .outerjoin(Layer, Layer.id == CdDrive.layer_id)
        .where(CdDrive.instance_id == instance_id)
        .order_by(CdDrive.slot)
    )
    return tuple(drive_of(drive, path or "") for drive, path in session.execute(query))


def spec_of(
    session: Session, instance: Instance, settings: Settings, *, once: bool = False, order: Sequence[str] | None = None
) -> DomainSpec:
    """The whole machine as its rows say, with its disks and cards; with ``once`` as the very next start tries what it
    can boot from, with ``order`` in that turn."""
    spec = _whole(session, instance, settings)
    order, first = instance.boot_order if order is None else order, instance.boot_once if once else ""
    if not order and not first:
        return spec
    devices = boot.devices(session, instance.id)
    return in_turn(spec, [d.name for d in boot.next_start(devices, order, first)])


def in_turn(spec: DomainSpec, names: Sequence[str]) -> DomainSpec:
    """The machine with these disks and cards (slots, MACs) tried in turn, and no others; as it is where there are
    none."""
    if not names:
        return spec
    turns = {name: turn for turn, name in enumerate(names, start=1)}
    return replace(
        spec, disks=tuple(replace(d, boot_order=turns.get(d.slot)) for d in spec.disks),
        nics=tuple(replace(n, boot_order=turns.get(n.mac)) for n in spec.nics),
    )  # fmt: skip


def _whole(session: Session, instance: Instance, settings: Settings) -> DomainSpec:
    host = session.get_one(Host, instance.host_id)
    pool = pool_path_of(session, instance.id)
    nics = [
        nic_of(port, session.get_one(Network, port.network_id), host) for port in ports_of(session, instance.id)
    ]
    disks = (*disks_of(session, instance.id), *drives_of(session, instance.id))
    came = session.get(Adoption, instance.id, options=[undefer(Adoption.xml)])
    given = host_devices_of(session, instance)
    if came is not None:
        own = own_serials(session, instance.id, came)
        disks = tuple(replace(disk, serial=own.get(disk.slot, disk.serial)) for disk in disks)
        return replace(kept_spec(instance, came, host, disks, nics, settings=settings), host_devices=given)
    spec = domain_spec(
        instance, host, disks, nics, settings=settings,
        seed=places.seed(pool, instance.id) if instance.cloud_init else "", nvram=places.nvram(pool, instance.id),
    )  # fmt: skip
    return replace(spec, host_devices=given)


def own_serials(session: Session, instance_id: str, came: Adoption) -> dict[str, str]:
    """The serials of the disks that a machine came with, by slot: one that had none gets none."""
    query = sa.select(Attachment).where(Attachment.instance_id == instance_id, Attachment.slot.in_(came.disks))
    return {place.slot: place.serial for place in session.scalars(query)}


def guest(instance: Instance, nics: Sequence[GuestNic]) -> Guest:
    """What the machine's seed is made from."""
    return Guest(
        instance_id=instance.id,
        hostname=instance.hostname,
        ssh_keys=tuple(instance.ssh_keys),
        password_hash=instance.password_hash,
        user_data=instance.user_data,
        nics=tuple(nics),
        renew=instance.renew_identity,
    )
