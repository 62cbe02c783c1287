"""The verb upload of a volume: a disk file that somebody has becomes a volume of the project."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.messages import _
from yun.base.naming import no_option
from yun.base.units import MIB, format_size
from yun.images.model import Upload
from yun.images.service.bring import NewImage, import_upload
from yun.operations.intent import Intent, Key, Subject
from yun.operations.model import Operation
from yun.operations.opposites import opposite
from yun.storage import names
from yun.storage import service as storage
from yun.storage.model import Pool


def check_new_volume(ctx: Context, name: str, project_id: str) -> None:
    """Pass where the actor may make a volume of this name of a file. Raises `Invalid`, `Conflict`, `Forbidden`."""
    ctx.must_see(project_id, "project", project_id)
    ctx.may("volume.upload", project_id)
    ctx.may("volume.create", project_id)
    clean = no_option(names.check_name(name))
    if storage.taken(ctx.session, project_id, clean):
        raise storage.name_taken(clean)


def upload_volume(ctx: Context, upload: Upload) -> Intent:
    """Make the volume that an upload was begun for, now that all of it has come.

    What the file is, is found by looking: qcow2, raw, VMDK, VDI, VHDX or VHD that refers to no other file, and that
    has the checksum that was said. How large its disk is, is known then; `NoCapacity` where the pool cannot promise it.
    Undo moves the volume to the trash.
    """
    new = NewImage(**upload.wanted).checked()
    check_new_volume(ctx, new.name, upload.project_id)
    pool = ctx.session.get_one(Pool, upload.pool_id)
    home = replace(ctx, project_id=upload.project_id)
    plan = storage.plan_volume(
        home, name=new.name, size_bytes=max(upload.length_bytes, MIB), project_id=upload.project_id, pool=pool.id,
        exact=True, description=str(new.properties.get("description", ""))[:500],
    )  # fmt: skip

    def write(session: Session) -> None:
        plan.write(session)
        session.execute(sa.update(Upload).where(Upload.id == upload.id).values(image_id=plan.volume_id))

    return Intent(
        kind="volume.upload",
        title=_("Make volume {name} of an uploaded file", name=plan.name),
        subject=Subject("volume", plan.volume_id, plan.name),
        project_id=upload.project_id,
        arguments={
            "volume_id": plan.volume_id, "upload_id": upload.id, "path": upload.path,
            "wanted": {"format": new.format, "checksum": new.checksum, "name": upload.filename or new.name},
        },
        keys=(Key(f"volume:{plan.volume_id}"), Key("image-work", slots=2)),
        effects=(
            _("The uploaded file of {size} becomes a volume in the pool {pool}, in our own format.",
              size=format_size(upload.length_bytes), pool=pool.name),
            _("What it is and how large its disk is, is found by looking; one that refers to other files is refused."),
        ),
        capacity=storage.capacity_left(plan),
        back=(_("The volume goes to the trash."),),
        write=write,
        deadline=6 * 3600.0,
    )  # fmt: skip


@opposite("volume.upload")
def unupload(ctx: Context, operation: Operation) -> Intent:
    """Undo of an upload: the volume goes to the trash with what was written to it."""
    return storage.delete_volume(ctx, storage.get_volume(ctx, operation.arguments["volume_id"]))


def becomes(ctx: Context, upload: Upload) -> Intent:
    """What an upload becomes as soon as all of it has come: an image or a volume."""
    return upload_volume(ctx, upload) if upload.purpose == "volume" else import_upload(ctx, upload)
