"""What instances were given of the devices of their hosts, and what that means for what is done to them."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import Conflict
from yun.base.messages import Message, _
from yun.compute.devices.model import HostDevice
from yun.compute.model import Instance


def devices_of(session: Session, instance_id: str) -> list[HostDevice]:
    """The host's devices that an instance was given."""
    query = sa.select(HostDevice).where(HostDevice.instance_id == instance_id)
    return list(session.scalars(query.order_by(HostDevice.kind, HostDevice.address, HostDevice.id)))


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
