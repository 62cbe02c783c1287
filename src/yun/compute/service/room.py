"""Whether a running instance takes one more device at once, or only at its next start: as its rows tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.messages import Message, _
from yun.compute.model import LIVE, Instance
from yun.operations.model import Operation, OperationKey, State

DISK_NEEDS = {"virtio": "own", "scsi": "scsi"}
"""What a disk needs of a running machine, by its bus; those on others wait for its next start."""
CARD_NEEDS = {"e1000": "old", "rtl8139": "old"}
"""The same of cards by their model; others need a place of their own."""
COMING = (State.QUEUED, State.RUNNING)
WAITING: dict[str, Message] = {
    "own": _("The running instance has no free place for one more device: it gets it at its next start."),
    "old": _("The running instance has no place for a card of this model: it gets it at its next start."),
    "scsi": _("The running instance has no SCSI controller: it gets it at its next start."),
    "": _("It takes effect at the next start of the instance."),
}
"""Why a running machine does not take something at once."""


def need_of_disk(bus: str) -> str:
    """What a disk on this bus needs of a running machine; empty where it cannot have it at all."""
    return DISK_NEEDS.get(bus, "")


def need_of_card(model: str) -> str:
    """What a card of this model needs of a running machine."""
    return CARD_NEEDS.get(model, "own")


def room_for(places: Mapping[str, Any], need: str, count: int = 1) -> bool:
    """Whether ``count`` more of this need fit: ``places`` as an instance's row keeps them. Where nobody has looked yet
    they may."""
    if not need:
        return False
    return bool(places["scsi"]) if places and need == "scsi" else not places or int(places.get(need, count)) >= count


def takes_now(session: Session, instance: Instance, need: str, count: int = 1) -> bool:
    """Whether the instance runs and takes ``count`` more of this need at once, besides what was asked for already."""
    if instance.state not in LIVE:
        return False
    return room_for(instance.places, need, count + _coming(session, instance, need))


def said_when(instance: Instance, need: str, *, now: bool) -> Message:
    """When the instance has it."""
    if now:
        return _("It takes effect at once, while the instance runs.")
    if instance.state in LIVE:
        return WAITING[need]
    return _("The instance is off; it takes effect with its next start.")


def _coming(session: Session, instance: Instance, need: str) -> int:
    """How many places accepted operations will take that still wait for their turn."""
    asked = (
        sa.select(Operation.kind, Operation.arguments)
        .join(OperationKey, OperationKey.seq == Operation.seq)
        .where(OperationKey.key == f"instance:{instance.id}", Operation.state.in_(COMING))
    )
    return sum(
        _needs(arguments).get(need, 0) for kind, arguments in session.execute(asked)
        if kind in ("instance.add_disk", "volume.attach", "instance.add_nic", "instance.add_host_device")
    )  # fmt: skip


def _needs(arguments: Mapping[str, Any]) -> dict[str, int]:
    if "place" in arguments:
        return {need_of_disk(str(arguments["place"]["bus"])): 1}
    if "card" in arguments:
        return {need_of_card(str(arguments["card"]["model"])): 1}
    return {"own": len(arguments.get("device_ids", ()))}
