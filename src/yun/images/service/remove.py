"""Deleting an image: into the trash, from which it comes back; later for good."""

from __future__ import annotations

from yun.base.context import Context
from yun.base.messages import _
from yun.base.units import format_size
from yun.images.model import Image
from yun.images.service.look import get, must_allow, refuse_unfinished, subject, users_of
from yun.operations.intent import Intent
from yun.operations.model import Operation
from yun.operations.opposites import opposite
from yun.storage import service as storage


def delete(ctx: Context, image: Image) -> Intent:
    """Move the image to the trash: nothing new can be made of it. What stands on it goes on working, and its file
    stays until the last of that is gone. One whose import was abandoned goes the same way; while an import works on
    it, it raises `Conflict`."""
    ctx.may("image.delete", image.project_id)
    must_allow(image, "delete")
    refuse_unfinished(ctx.session, image)
    users = users_of(ctx.session, image)
    effects = [_("No new machine can be made of it.")]
    if users:
        effects.append(
            _(
                "{count} disks stand on it and go on working; its file stays until the last of them is gone.",
                count=users,
            )
        )
    return Intent(
        kind="image.delete",
        title=_("Delete image {name}", name=image.name),
        subject=subject(image),
        project_id=image.project_id,
        arguments={
            "image_id": image.id,
            "purge_at": storage.kept_until(ctx.clock.now(), ctx.settings).isoformat(),
        },
        effects=tuple(effects),
        instant=True,
    )


@opposite("image.import")
@opposite("image.pull")
@opposite("image.build")
def unbring(ctx: Context, operation: Operation) -> Intent:
    """Undo of an import: the image goes to the trash."""
    return delete(ctx, get(ctx, operation.subject_id))


def purge(ctx: Context, image: Image) -> Intent:
    """Remove a trashed image for good; its file goes when nothing stands on it any more."""
    ctx.may("image.purge", image.project_id)
    must_allow(image, "purge")
    storage.refuse_restoring(ctx.session, subject(image))
    return purge_intent(image, users_of(ctx.session, image))


def purge_intent(image: Image, users: int = 0) -> Intent:
    """The operation that removes a trashed image for good."""
    destroys = _("The image {name} is gone for good.", name=image.name)
    frees = _("{size} become free.", size=format_size(image.size_bytes))
    later = _("Its file stays until the last of {count} disks that stand on it is gone.", count=users)
    return Intent(
        kind="image.purge",
        title=_("Purge image {name}", name=image.name),
        subject=subject(image),
        project_id=image.project_id,
        arguments={"image_id": image.id},
        destroys=(destroys,),
        effects=(later if users else frees,),
        undoable=False,
        no_undo=_("What is purged is gone."),
    )
