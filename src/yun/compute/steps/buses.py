"""The step that writes on which bus a disk is."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from yun.base.errors import Conflict
from yun.base.messages import _
from yun.compute.model import LIVE
from yun.compute.steps.shared import load
from yun.operations.events import emit
from yun.operations.flow import Op, tx_step
from yun.operations.intent import Subject
from yun.storage import service as storage
from yun.storage.model import Volume


def _back(
    op: Op, session: Session, output: Any, volume_id: str, instance_id: str, place: dict[str, str]
) -> None:
    if output is not None:
        move_to_bus.call(op, session, volume_id, instance_id, output)


@tx_step(undo=_back)
def move_to_bus(
    op: Op, session: Session, volume_id: str, instance_id: str, place: dict[str, str]
) -> dict[str, str] | None:
    """The rows say the volume's new bus and slot; where it was is the output. Raises `Conflict` where it is no longer
    in the instance, or that runs: its definition and what runs would not agree on the disk's name."""
    found = storage.attachment_of(session, volume_id)
    volume = session.get_one(Volume, volume_id)
    if found is None or found.instance_id != instance_id:
        raise Conflict(_("The volume {name} is not attached to an instance.", name=volume.name))
    row = load(session, instance_id)
    if row.state in LIVE:
        raise Conflict(
            _("{name} runs: a disk stays on its bus until the machine is off.", name=row.name),
            hint=_("Stop it first."),
        )
    was = {"bus": found.bus, "slot": found.slot}
    found.bus, found.slot = place["bus"], place["slot"]
    session.flush()
    emit(
        session, "volume.updated", subject=Subject("volume", volume.id, volume.name), project_id=volume.project_id,
        data={"fields": ["bus", "slot"], "instance_id": instance_id}, operation_id=op.id,
    )  # fmt: skip
    return was
