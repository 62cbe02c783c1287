"""Slots of an instance: which disks, drives, and operations that still wait for their turn have them."""

from __future__ import annotations

import string

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import Conflict
from yun.base.messages import _
from yun.compute.media.model import CdDrive
from yun.compute.model import Adoption, Instance
from yun.operations.model import Operation, OperationKey, State
from yun.storage import service as storage

LETTERS = {
    "virtio": ("vd", string.ascii_lowercase), "scsi": ("sd", "bcdefg"), "sata": ("sd", "hijklm"), "ide": ("hd", "abcd"),
}  # fmt: skip
"""The slots of each bus: the first of SCSI is the seed's, and one controller holds seven; there is one of IDE."""
COMING = (State.QUEUED, State.RUNNING)


def slots_of(bus: str) -> list[str]:
    """The names that disks of a bus can have."""
    prefix, letters = LETTERS[bus]
    return [prefix + letter for letter in letters]


def free_slot(session: Session, instance: Instance, bus: str, slot: str = "") -> str:
    """``slot``, or the first free one of the bus. Raises `Conflict` where it, or every one, is taken."""
    if slot:
        refuse_taken(session, instance, slot)
        return slot
    taken = _taken(session, instance)
    free = [slot for slot in slots_of(bus) if slot not in taken]
    if not free:
        raise Conflict(_("The instance {name} has no free place on this bus.", name=instance.name))
    return free[0]


def has_free(session: Session, instance: Instance, bus: str) -> bool:
    """Whether the bus has a free slot."""
    return not set(slots_of(bus)) <= _taken(session, instance)


def refuse_taken(session: Session, instance: Instance, slot: str) -> None:
    """Raises `Conflict` where something has the slot, or is about to."""
    if slot in _taken(session, instance):
        raise Conflict(
            _("The instance {name} has a disk {slot} already.", name=instance.name, slot=slot),
            fields={"slot": _("a free one, or none: then the first free one is taken")},
        )


def _taken(session: Session, instance: Instance) -> set[str]:
    drives = session.scalars(sa.select(CdDrive.slot).where(CdDrive.instance_id == instance.id))
    disks = (disk.attachment.slot for disk in storage.attachments_of(session, instance.id))
    slots = {*disks, *drives, *_coming(session, instance.id)}
    came = session.get(Adoption, instance.id)
    if came is not None:  # CDs and the like stay the definition's own
        slots |= {disk["slot"] for disk in came.facts["disks"] if disk["slot"] not in came.disks}
    return slots


def _coming(session: Session, instance_id: str) -> set[str]:
    """Slots that accepted operations will fill: two people may each add a disk before the first one is there."""
    asked = (
        sa.select(Operation.arguments)
        .join(OperationKey, OperationKey.seq == Operation.seq)
        .where(OperationKey.key == f"instance:{instance_id}", Operation.state.in_(COMING))
    )
    places = [arguments.get(name) for arguments in session.scalars(asked) for name in ("place", "wanted")]
    return {place["slot"] for place in places if isinstance(place, dict) and place.get("slot")}
