"""Steps of CD drives: what lies in them in the rows, in the definition and in the running machine."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from yun.base.errors import Conflict
from yun.base.messages import _
from yun.compute.media.model import CdDrive
from yun.compute.steps.definition import define_now
from yun.compute.steps.disks import UP
from yun.compute.steps.shared import load, place
from yun.drivers.hypervisor.port import Hypervisor
from yun.images.model import Image
from yun.images.service import refuse_unready
from yun.operations.events import emit
from yun.operations.flow import Op, step, tx_step
from yun.operations.intent import Subject
from yun.storage.model import Layer, LayerState

PLACE = ("slot", "bus", "image_id", "image_name", "layer_id", "boot_order")


def _back(
    op: Op, session: Session, output: Any, instance_id: str, drive_id: str, wanted: dict[str, Any] | None
) -> None:
    if output is None:
        return
    _refuse_purged(session, output["was"])
    _have(op, session, instance_id, drive_id, output["was"])


def _refuse_purged(session: Session, was: dict[str, Any] | None) -> None:
    if was is None or was["layer_id"] is None:
        return
    layer = session.get(Layer, was["layer_id"])
    if layer is None or layer.state == LayerState.REMOVING:
        raise Conflict(_("The CD {name} has been purged since.", name=was["image_name"]))


@tx_step(undo=_back)
def have_drive(
    op: Op, session: Session, instance_id: str, drive_id: str, wanted: dict[str, Any] | None
) -> dict[str, Any]:
    """The rows say that the drive is ``wanted``, or None: that there is none; ``was`` in the output is what it was.

    Raises `Conflict` where the image went meanwhile, or another drive has the slot.
    """
    load(session, instance_id)
    row = session.get(CdDrive, drive_id)
    was = {name: getattr(row, name) for name in PLACE} if row is not None else None
    if wanted is not None and wanted["image_id"] is not None:
        image = session.get(Image, wanted["image_id"])
        if image is None:
            raise Conflict(_("The CD {name} has been purged since.", name=wanted["image_name"]))
        refuse_unready(image)
    _have(op, session, instance_id, drive_id, wanted)
    return {"was": was}


def _have(op: Op, session: Session, instance_id: str, drive_id: str, values: dict[str, Any] | None) -> None:
    row = session.get(CdDrive, drive_id)
    if values is None:
        if row is not None:
            session.delete(row)
    elif row is None:
        session.add(CdDrive(id=drive_id, instance_id=instance_id, **values))
    else:
        for name, value in values.items():
            setattr(row, name, value)
    session.flush()
    instance = load(session, instance_id)
    name = values["image_name"] if values else ""
    emit(
        session, "instance.cd_inserted" if name else "instance.cd_ejected",
        subject=Subject("instance", instance.id, instance.name), project_id=instance.project_id,
        data={"drive_id": drive_id, "image_name": name}, operation_id=op.id,
    )  # fmt: skip


def _unload(op: Op, output: Any, instance_id: str, drive_id: str, was: dict[str, Any] | None, force: bool) -> None:
    """The running machine has in the drive what it had. Asks first whether that is still there: nothing has been
    taken back yet."""
    with op.read() as session:
        _refuse_purged(session, was)
    row, hypervisor = place(op, instance_id)
    now = _now(op, drive_id)
    slot = (was or now or {}).get("slot", "")
    held = hypervisor.media(row.uuid)
    if slot not in held or hypervisor.state(row.uuid).power not in UP:
        return
    with op.read() as session:
        path = _path(session, (was or {}).get("layer_id"))
    _change(hypervisor, row.uuid, slot, path, force=False)


@step(undo=_unload, retries=1)
def load_drive(op: Op, instance_id: str, drive_id: str, was: dict[str, Any] | None, force: bool) -> str:
    """The definition has the drive as the rows say, and so has the machine if it runs and has it (``live``, else
    ``next``). A new drive waits: libvirt never opens the tray of one that was plugged in while the machine ran.

    Raises `Conflict` where the guest keeps the tray locked; it has what it had then.
    """
    define_now(op, instance_id)
    row, hypervisor = place(op, instance_id)
    if hypervisor.state(row.uuid).power not in UP:
        return "next"
    now = _now(op, drive_id)
    slot = (now or was or {}).get("slot", "")
    with op.read() as session:
        path = _path(session, now["layer_id"] if now else None)
    if slot in hypervisor.media(row.uuid):
        _change(hypervisor, row.uuid, slot, path, force=force)
        return "live"
    return "next"


def _now(op: Op, drive_id: str) -> dict[str, Any] | None:
    with op.read() as session:
        row = session.get(CdDrive, drive_id)
        return {name: getattr(row, name) for name in PLACE} if row is not None else None


def _path(session: Session, layer_id: str | None) -> str:
    layer = session.get(Layer, layer_id) if layer_id else None
    return layer.path if layer is not None else ""


def _change(hypervisor: Hypervisor, uuid: str, slot: str, path: str, *, force: bool) -> None:
    if not hypervisor.change_medium(uuid, slot, path, force=force):
        raise Conflict(
            _("The guest keeps the CD drive {slot} locked.", slot=slot),
            hint=_("Unmount the CD in the guest, or force it: --force."),
        )
