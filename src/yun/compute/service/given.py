"""What instances were given of the devices of their hosts, and what that means for what is done to them."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import Conflict
from yun.base.messages import Message, _
from yun.compute.devices.model import HostDevice
from yun.compute.model import Instance
from yun.operations.intent import Key, Subject


def devices_of(session: Session, instance_id: str) -> list[HostDevice]:
    """The host's devices that an instance was given."""
    query = sa.select(HostDevice).where(HostDevice.instance_id == instance_id)
    return list(session.scalars(query.order_by(HostDevice.kind, HostDevice.address, HostDevice.id)))


def bound_with(session: Session, devices: Sequence[HostDevice]) -> list[HostDevice]:
    """These devices and all that is in their IOMMU groups: who has one of them decides who may have the others."""
    groups = {(d.host_id, d.iommu_group) for d in devices if d.iommu_group is not None}
    if not groups:
        return list(devices)
    others = sa.select(HostDevice).where(
        sa.tuple_(HostDevice.host_id, HostDevice.iommu_group).in_(groups), HostDevice.host_use != "bridge",
        HostDevice.id.not_in([d.id for d in devices]),
    )  # fmt: skip
    return [*devices, *session.scalars(others.order_by(HostDevice.address, HostDevice.id))]


def keys_of(devices: Sequence[HostDevice]) -> tuple[Key, ...]:
    """What keeps two from giving them away at once."""
    return tuple(Key(f"host_device:{device.id}") for device in devices)


def subjects_of(devices: Sequence[HostDevice]) -> tuple[Subject, ...]:
    """The devices as what an operation touches: what is done with them later stands in the way of its undo."""
    return tuple(Subject("host_device", device.id, device.name) for device in devices)


def names_of(devices: Sequence[HostDevice]) -> str:
    """Devices in one line."""
    return ", ".join(f"{d.name} ({d.address})" for d in devices)


def refuse_missing(session: Session, instance: Instance) -> None:
    """Raise `Conflict` where the host no longer has a PCI device that the instance was given: it would not start."""
    missing = [d for d in devices_of(session, instance.id) if d.kind == "pci" and not d.present]
    if missing:
        raise Conflict(
            _("{name} cannot start: its host no longer has {devices}.", name=instance.name, devices=names_of(missing)),
            hint=_("Put it back, or take it from the instance: {command}",
                   command=f"yun instance remove-host-device {instance.name} {missing[0].address}"),
        )  # fmt: skip


def stay_behind(session: Session, instance: Instance) -> tuple[Message, ...]:
    """What a copy of the instance does not get, in words."""
    given = devices_of(session, instance.id)
    return (_("Devices of the host stay with the source: {names}.", names=names_of(given)),) if given else ()


def let_go_of(session: Session, instance: Instance) -> tuple[Message, ...]:
    """What goes back to the host when the instance is deleted, in words."""
    given = devices_of(session, instance.id)
    return (_("These devices belong to the host again: {names}.", names=names_of(given)),) if given else ()


def come_back(session: Session, instance: Instance) -> tuple[Message, ...]:
    """What becomes of them when the deletion is taken back, in words."""
    given = devices_of(session, instance.id)
    if not given:
        return ()
    return (_("It has {names} again, as far as no other instance has them by then.", names=names_of(given)),)
