"""The verbs insert and eject: what lies in an instance's CD drives."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.errors import Conflict, Invalid
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.compute.media.model import CdDrive
from yun.compute.model import DISKS_CHANGE_IN, LIVE, Instance
from yun.compute.service.bus_fit import IDE, has_ide, refuse_unfit
from yun.compute.service.look import must_be
from yun.compute.service.power import keys, subject
from yun.compute.service.slots import free_slot, has_free, slots_of
from yun.images import service as images
from yun.images.model import Image
from yun.images.model import State as ImageState
from yun.operations.intent import Intent, Subject
from yun.storage import service as storage
from yun.storage.model import Pool

CD_BUSES = ("sata", "scsi", IDE)
"""What installers know, what kernels of cloud images know, and what the oldest systems know."""


def insert(
    ctx: Context, instance: Instance, image: Image, *, slot: str = "", bus: str = "", force: bool = False,
    boot_once: bool = False,
) -> Intent:  # fmt: skip
    """Put a CD into a drive: the one in ``slot``, changing what lies in it, else the first empty one, else a new one.

    Live in a drive that the running machine has; a new drive comes at its next start. Raises `Invalid` for a slot or
    bus there is not, `Conflict` for an image that is no CD or lies on another host. Where the guest keeps the tray
    locked the operation fails, unless ``force``. With ``boot_once`` the next start boots from it, as when a system is
    to be installed anew. Undo puts back what lay in it.
    """
    ctx.may("instance.insert", instance.project_id)
    must_be(instance, DISKS_CHANGE_IN)
    usable_cd(ctx, instance.project_id, instance.host_id, image)
    drive, wanted = _chosen(ctx.session, instance, slot, bus)
    if drive is not None and drive.image_id == image.id:
        raise Conflict(
            _("{image} lies in the drive {slot} already.", image=image.name, slot=drive.slot),
            hint=_("If the guest has ejected it, eject it here too, then insert it again."),
        )
    drive_id = drive.id if drive is not None else new_id(CdDrive.PREFIX)
    effects = [_("{image} lies in the CD drive {slot} ({bus}).", image=image.name, slot=wanted["slot"],
                 bus=wanted["bus"])]  # fmt: skip
    if drive is None:
        effects.append(_("The drive is new."))
    elif drive.image_id:
        effects.append(_("It takes the place of {image}.", image=drive.image_name))
    effects += _timing(instance, drive, force)
    if boot_once:
        effects.append(_("The next start boots from it; later ones, and restarts of the guest by itself, as ever."))
    return Intent(
        kind="instance.insert",
        title=_("Insert {image} into instance {name}", image=image.name, name=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={
            "instance_id": instance.id, "drive_id": drive_id, "force": force, "boot_once": boot_once,
            "wanted": {**wanted, "image_id": image.id, "image_name": image.name, "layer_id": image.layer_id},
        },
        keys=keys(instance),
        subjects=(Subject("image", image.id, image.name),),
        effects=tuple(effects),
        depends=images.boot_faults([image], instance.firmware) if boot_once else (),
        back=(_back(drive),),
    )  # fmt: skip


def eject(ctx: Context, instance: Instance, *, slot: str = "", force: bool = False, remove: bool = False) -> Intent:
    """Take the CD out of a drive (``slot`` may be left out where only one drive holds one); with ``remove`` the drive
    goes too, at the next start where the instance runs.

    Raises `Conflict` where there is nothing to take out. Where the guest keeps the tray locked the operation fails,
    unless ``force``. Undo puts the CD back, unless its image was purged meanwhile.
    """
    ctx.may("instance.eject", instance.project_id)
    must_be(instance, DISKS_CHANGE_IN)
    drive = _loaded(ctx.session, instance, slot, remove)
    wanted = None if remove else {
        "slot": drive.slot, "bus": drive.bus, "image_id": None, "image_name": "", "layer_id": None,
    }  # fmt: skip
    effects = []
    if drive.image_id:
        effects.append(_("{image} is taken out of the CD drive {slot}.", image=drive.image_name, slot=drive.slot))
        effects += _timing(instance, drive, force)
    if remove:
        effects.append(_("The drive {slot} goes with the next start.", slot=drive.slot) if instance.state in LIVE
                       else _("The drive {slot} is removed.", slot=drive.slot))  # fmt: skip
    return Intent(
        kind="instance.eject",
        title=_("Eject {image} from instance {name}", image=drive.image_name or drive.slot, name=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={"instance_id": instance.id, "drive_id": drive.id, "force": force, "wanted": wanted},
        keys=keys(instance),
        effects=tuple(effects),
        back=(_back(drive), *_gone(ctx.session, drive)),
    )


def usable_cd(ctx: Context, project_id: str, host_id: str, image: Image) -> None:
    """Pass for the ready image of a CD whose file lies on the host, and that may leave its project. Raises
    `Forbidden`, `Conflict`."""
    if image.visibility != "public" and image.project_id != project_id:
        ctx.may("image.export", image.project_id)
    images.refuse_unready(image)
    if image.kind != "iso":
        raise Conflict(
            _("{name} is a disk, not a CD.", name=image.name), hint=_("Import an ISO file, and choose that image.")
        )
    pool = ctx.session.get_one(Pool, image.pool_id)
    if pool.host_id != host_id:
        raise Conflict(_("The image {name} lies in the pool {pool}, which another host has.", name=image.name,
                         pool=pool.name))  # fmt: skip
    storage.get_layer(ctx.session, str(image.layer_id))


def drives(session: Session, instance_id: str) -> list[CdDrive]:
    """The CD drives of an instance, by slot."""
    return list(session.scalars(sa.select(CdDrive).where(CdDrive.instance_id == instance_id).order_by(CdDrive.slot)))


def cd_buses(session: Session, instance: Instance) -> list[str]:
    """The buses that its CD drives can be on."""
    return [bus for bus in CD_BUSES if bus != IDE or has_ide(session, instance)]


def usual_cd_bus(session: Session, instance: Instance) -> str:
    """Where a new drive goes by itself: on IDE beside a boot disk that is there, since its system may know nothing
    else, as long as there is a place; else on SATA."""
    boots = any(d.attachment.bus == IDE and d.attachment.boot_order == 1
                for d in storage.attachments_of(session, instance.id))  # fmt: skip
    if boots and has_ide(session, instance) and has_free(session, instance, IDE):
        return IDE
    return CD_BUSES[0]


# ── parts ──


def _chosen(session: Session, instance: Instance, slot: str, bus: str) -> tuple[CdDrive | None, dict[str, Any]]:
    """The drive, None for a new one, and where it is."""
    if bus and bus not in CD_BUSES:
        raise Invalid(_("A CD drive cannot be on that bus."), fields={"bus": _names(CD_BUSES)})
    if bus:
        refuse_unfit(session, instance, bus, readonly=False)
    there, buses = drives(session, instance.id), cd_buses(session, instance)
    if slot:
        found = next((d for d in there if d.slot == slot), None)
        of_slot = next((b for b in buses if slot in slots_of(b)), "")
        if not of_slot or bus not in ("", of_slot):
            right = _names([s for b in buses if bus in ("", b) for s in slots_of(b)])
            raise Invalid(_("A CD drive cannot be there."), fields={"slot": right})
        return found, {"slot": free_slot(session, instance, of_slot, slot) if found is None else slot, "bus": of_slot}
    empty = next((d for d in there if not d.image_id and bus in ("", d.bus)), None)
    if empty is not None:
        return empty, {"slot": empty.slot, "bus": empty.bus}
    bus = bus or usual_cd_bus(session, instance)
    return None, {"slot": free_slot(session, instance, bus), "bus": bus}


def _names(names: Any) -> Message:
    return _("one of {names}", names=", ".join(names))


def _loaded(session: Session, instance: Instance, slot: str, remove: bool) -> CdDrive:
    """The drive that is meant. Raises `Conflict` for an empty one that is to stay, `Invalid` where it is not clear."""
    there = drives(session, instance.id)
    chosen = [d for d in there if d.slot == slot] if slot else [d for d in there if d.image_id or remove]
    if not chosen or not (chosen[0].image_id or remove):
        raise Conflict(_("There is no CD in a drive of the instance {name}.", name=instance.name) if not slot
                       else _("There is no CD in the drive {slot}.", slot=slot))  # fmt: skip
    if len(chosen) > 1:
        raise Invalid(
            _("Several drives of the instance {name} could be meant.", name=instance.name),
            fields={"slot": _names([d.slot for d in chosen])},
        )
    return chosen[0]


def _timing(instance: Instance, drive: CdDrive | None, force: bool) -> list[Message]:
    if instance.state not in LIVE:
        return [_("The instance is off; it takes effect with its next start.")]
    if drive is None or (instance.started_at is not None and drive.created_at > instance.started_at):
        return [_("It takes effect at the next start of the instance.")]
    now = [_("It takes effect at once, while the instance runs.")]
    if drive.image_id:
        now.append(
            _("A guest that has it mounted loses it, and reads of it fail there.") if force
            else _("A guest that has it mounted keeps it, and nothing changes then.")
        )  # fmt: skip
    return now


def _back(drive: CdDrive | None) -> Message:
    if drive is None:
        return _("The CD is taken out again, and the new drive goes.")
    if drive.image_id:
        return _("{image} lies in the drive {slot} again.", image=drive.image_name, slot=drive.slot)
    return _("The drive {slot} is as it was.", slot=drive.slot)


def _gone(session: Session, drive: CdDrive) -> tuple[Message, ...]:
    image = session.get(Image, drive.image_id) if drive.image_id else None
    if drive.image_id and (image is None or image.state != ImageState.ACTIVE):
        return (_("Its image is no longer in the catalogue: once its file is gone, the CD cannot be put back."),)
    return ()
