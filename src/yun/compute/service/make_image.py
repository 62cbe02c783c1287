"""The verb make_image: an instance's boot disk becomes an image of the catalogue, while the instance goes on."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.errors import Conflict
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.base.units import format_size
from yun.compute.model import SETTLED, Instance
from yun.compute.service.clone import consistency, refuse_unfreezable
from yun.compute.service.look import must_be
from yun.compute.service.power import HOST_SLOTS, subject
from yun.images import service as images
from yun.images.model import OF_INSTANCE, Image, State, Visibility
from yun.images.service import NewImage
from yun.images.service.bring import WORK, may_make
from yun.images.service.look import name_subject, refuse_taken
from yun.images.service.room import room_for
from yun.operations.intent import Intent, Key, Subject
from yun.operations.model import Operation
from yun.operations.opposites import opposite
from yun.storage import service as storage
from yun.storage.service import Disk

SAME = ("os", "os_version", "architecture", "min_memory_mib", "hardware")
"""What the new image takes over from the one that the instance was made of."""


def make_image(ctx: Context, source: Instance, new: NewImage) -> Intent:
    """Make an image of the disk that an instance boots from, as it is at this moment; the instance goes on.

    ``new`` says its name, properties and visibility; what it does not say comes from the instance. Raises `Invalid`,
    `Conflict` for a taken name or a disk that cannot be frozen now, `NoCapacity`. Undo moves the image to the trash.
    """
    ctx.may("instance.make_image", source.project_id)
    must_be(source, SETTLED)
    new = new.checked(_defaults(ctx.session, source))
    may_make(ctx, "import", new, source.project_id)
    disk = boot_disk(ctx.session, source)
    refuse_unfreezable(source, [disk])
    pool = room_for(ctx.session, 0)
    identifier = new_id(Image.PREFIX)

    def write(session: Session) -> None:
        refuse_taken(session, source.project_id, new.name)
        session.add(
            Image(
                id=identifier, project_id=source.project_id, name=new.name, visibility=new.visibility,
                state=State.QUEUED, pool_id=pool.id, source=OF_INSTANCE, source_name=source.name, **new.properties,
            )
        )  # fmt: skip

    seen = _("Every project can use it.") if new.visibility == Visibility.PUBLIC else _("Its project alone can use it.")
    return Intent(
        kind="instance.make_image",
        title=_("Make image {name} of instance {instance}", name=new.name, instance=source.name),
        subject=Subject("image", identifier, new.name),
        subjects=(subject(source), name_subject(source.project_id, new.name)),
        project_id=source.project_id,
        arguments={
            "source_id": source.id, "freezes": [storage.plan_freeze(ctx.session, disk.volume)],
            "image_id": identifier, "layer_id": new_id("lay"), "pool_id": pool.id, "compress": new.compress,
        },
        keys=(
            Key(f"image:{identifier}"), Key(f"instance:{source.id}"), Key(f"host:{source.host_id}", HOST_SLOTS), WORK,
        ),
        effects=(
            _("An image is made of the disk {slot} with {size}; other disks are left out.",
              slot=disk.attachment.slot, size=format_size(disk.volume.size_bytes)),
            *consistency(source), _("The source cannot be changed until the copy is done."), *_cleaning(source), seen,
        ),
        capacity=(_("The pool {pool} has {free} left.", pool=pool.name, free=format_size(pool.free_bytes)),),
        back=(_("The image goes to the trash."),),
        write=write,
        transparent=True,  # what was done to the instance before can be taken back whatever was made of it since
        deadline=6 * 3600.0,
    )  # fmt: skip


@opposite("instance.make_image")
def unmake_image(ctx: Context, operation: Operation) -> Intent:
    """Undo: the image goes to the trash."""
    return images.delete(ctx, images.get(ctx, operation.subject_id))


def boot_disk(session: Session, source: Instance) -> Disk:
    """The disk that the instance boots from: the first of the boot order, else the first at all."""
    disks = storage.attachments_of(session, source.id)
    if not disks:
        raise Conflict(_("The instance {name} has no disks.", name=source.name))
    ordered = [d for d in disks if d.attachment.boot_order is not None]
    return min(ordered, key=lambda d: d.attachment.boot_order or 0) if ordered else disks[0]


def _defaults(session: Session, source: Instance) -> dict[str, Any]:
    old = session.scalar(sa.select(Image).where(Image.id == source.image_id)) if source.image_id else None
    same = {name: getattr(old, name) for name in SAME} if old is not None else {}
    return {
        **{name: value for name, value in same.items() if value},
        "firmware": source.firmware, "cloud_init": source.cloud_init,
        **({"default_user": source.default_user} if source.default_user else {}),
    }


def _cleaning(source: Instance) -> tuple[Message, ...]:
    kept = _("Users, passwords, authorized keys and files on the disk become part of the image.")
    if source.cloud_init:
        return (
            _("Machines made of it are individuals: cloud-init renews host name, SSH host keys and machine ID at "
              "their first start."), kept,
        )  # fmt: skip
    return (
        _("Its guest has no cloud-init: machines made of it have the source's host name, SSH host keys and machine "
          "ID until they are changed inside."), kept,
    )  # fmt: skip
