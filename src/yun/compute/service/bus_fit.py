"""Which buses a machine has, and what can be on them."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import Conflict
from yun.base.messages import _
from yun.compute import hardware as parts
from yun.compute.media.model import CdDrive
from yun.compute.model import Adoption, Instance
from yun.storage import service as storage

IDE = "ide"
BUSES = ("virtio", "scsi", "sata", IDE)
READABLE_ONLY = ("virtio", "scsi")
"""Buses whose disks can be read-only: the disks of the others have no such switch."""


def has_ide(session: Session, instance: Instance) -> bool:
    """Whether its chipset has the old IDE bus."""
    came = session.get(Adoption, instance.id)
    machine = str(came.facts["machine"]) if came is not None else parts.of(instance.hardware).machine
    return machine.startswith("pc") and "q35" not in machine


def buses_of(session: Session, instance: Instance) -> list[str]:
    """The buses that its disks can be on."""
    return [bus for bus in BUSES if bus != IDE or has_ide(session, instance)]


def refuse_unfit(session: Session, instance: Instance, bus: str, *, readonly: bool) -> None:
    """Raise `Conflict` where the machine has not this bus, or a disk cannot be read-only there."""
    if bus == IDE and not has_ide(session, instance):
        raise Conflict(
            _("The machine type of {name} has no IDE bus: only the old pc has.", name=instance.name),
            hint=_("SATA works for most old systems. Or change the machine type to pc while it is off."),
            fields={"bus": _("sata, or another machine type")},
        )
    if readonly and bus not in READABLE_ONLY:
        raise Conflict(
            _("A disk on {bus} cannot be read-only: the hypervisor has no such disks.", bus=bus),
            fields={"readonly": _("only on {names}", names=", ".join(READABLE_ONLY))},
        )


def refuse_losing_ide(session: Session, instance: Instance, machine: str) -> None:
    """Raise `Conflict` where another machine type would leave disks without their bus."""
    if machine == "pc":
        return
    there = [d.attachment.slot for d in storage.attachments_of(session, instance.id) if d.attachment.bus == IDE]
    drives = sa.select(CdDrive.slot).where(CdDrive.instance_id == instance.id, CdDrive.bus == IDE)
    there += session.scalars(drives.order_by(CdDrive.slot))
    if there:
        raise Conflict(
            _("{slots} of {name} are on the IDE bus, which only the machine type pc has.", slots=", ".join(there),
              name=instance.name),
            hint=_("Move disks to another bus first, and remove CD drives."),
            fields={"machine": _("pc, as long as it has disks or CD drives on IDE")},
        )  # fmt: skip
