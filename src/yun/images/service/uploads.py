"""Uploads: begun here, filled through the API piece by piece, finished by an import."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from yun.base.context import Context, not_found
from yun.base.errors import Conflict, Invalid, Unavailable
from yun.base.ids import new_id
from yun.base.messages import _
from yun.base.units import TIB, format_size
from yun.images.appliance.descriptor import Appliance
from yun.images.appliance.reading import read
from yun.images.model import Upload
from yun.images.service.bring import NewImage, home_project, may_make
from yun.images.service.look import must_be_somebody
from yun.images.service.room import received, room_for
from yun.images.service.volumes import check_new_volume
from yun.operations.intent import Intent, Subject
from yun.storage import service as storage
from yun.storage.model import Pool

ALLOWED_BY = {"volume": "volume.upload"}
"""What it needs to upload something, by its purpose; `image.upload` for all others."""
KEPT = timedelta(hours=24)
MAX_LENGTH = 2 * TIB
MAX_OPEN = 20
PURPOSES = ("image", "volume", "appliance")


def begin_upload(
    ctx: Context, new: NewImage, *, length: int, filename: str = "", purpose: str = "image", pool: str | None = None
) -> Upload:
    """A new, empty upload of ``length`` bytes that will become the image ``new``, or (``purpose`` volume) a volume of
    its name in ``pool``, or (appliance) will wait for an instance to be made of it.

    Everything that can be known now is checked now: permission, name, properties, space, beside what other uploads
    were promised. Its file is made when its first bytes come. Raises `Invalid`, `Conflict`, `NoCapacity`.
    """
    ctx.may(ALLOWED_BY.get(purpose, "image.upload"))
    new = new.checked()
    project = home_project(ctx)
    if purpose not in PURPOSES:
        right = _("one of {names}", names=", ".join(PURPOSES))
        raise Invalid(_("{field} cannot be {value}.", field="purpose", value=purpose[:40]), fields={"purpose": right})
    if purpose == "image":
        may_make(ctx, "import", new, project)
    elif purpose == "volume":
        check_new_volume(ctx, new.name, project)
    else:
        ctx.must_see(project, "project", project)
        ctx.may("image.upload", project)
    if not 0 < length <= MAX_LENGTH:
        right = _("1 byte to {most}", most=format_size(MAX_LENGTH))
        raise Invalid(_("An upload cannot have this length."), fields={"length": right})
    mine = (
        sa.select(sa.func.count())
        .select_from(Upload)
        .where(Upload.project_id == project, Upload.operation_id.is_(None))
    )
    if (ctx.session.scalar(mine) or 0) >= MAX_OPEN:
        raise Conflict(
            _("There are {most} unfinished uploads already.", most=MAX_OPEN), hint=_("Finish or drop some of them.")
        )
    place = room_for(ctx.session, length, pool=storage.get_pool(ctx, pool) if pool else None)
    identifier = new_id(Upload.PREFIX)
    upload = Upload(
        id=identifier, project_id=project, actor_id=ctx.actor.id, pool_id=place.id,
        path=incoming(place, f"{identifier}.part"), name=new.name, filename=Path(filename).name[:255],
        purpose=purpose, length_bytes=length, wanted=new.to_json(), expires_at=ctx.clock.now() + KEPT,
    )  # fmt: skip
    ctx.session.add(upload)
    ctx.session.flush()
    return upload


def incoming(pool: Pool, name: str) -> str:
    """Where a file on its way in lies."""
    return f"{pool.path}/incoming/{name}"


def get_upload(ctx: Context, identifier: str) -> Upload:
    """An upload of the actor's, or, for administrators, anybody's. Raises `NotFound`."""
    must_be_somebody(ctx)
    found = ctx.session.get(Upload, identifier)
    if found is None or not (found.actor_id == ctx.actor.id or ctx.actor.is_admin):
        raise not_found("upload", identifier[:70])
    ctx.may(ALLOWED_BY.get(found.purpose, "image.upload"), found.project_id)
    return found


def keep_upload(upload: Upload) -> Intent:
    """What uploading an appliance does: to be shown; nothing of it is an operation yet."""
    return Intent(
        kind="image.upload",
        title=_("Upload {name}", name=upload.name),
        subject=Subject("upload", upload.id, upload.name),
        project_id=upload.project_id,
        effects=(
            _("The file of {size} is kept for a day.", size=format_size(upload.length_bytes)),
            _("What it contains, and what it becomes, is shown before anything is made of it."),
        ),
        undoable=False,
        no_undo=_("An upload that nothing was made of goes by itself."),
    )


def appliance_of(upload: Upload) -> Appliance:
    """What an uploaded appliance contains. Raises `Invalid` where it is none, `Conflict` before all of it has come."""
    if upload.purpose != "appliance":
        raise Invalid(_("The upload {name} is no appliance.", name=upload.name))
    if received(upload) < upload.length_bytes:
        raise Conflict(_("The upload of {name} has not ended yet.", name=upload.name))
    try:
        return read(upload.path)
    except FileNotFoundError as error:
        raise Unavailable(_("The uploaded file is gone."), hint=_("Upload it again.")) from error


def list_uploads(ctx: Context) -> list[Upload]:
    """The unfinished uploads of the actor, newest first."""
    ctx.may("image.upload")
    query = sa.select(Upload).where(Upload.actor_id == ctx.actor.id, Upload.operation_id.is_(None))
    return list(ctx.session.scalars(query.order_by(Upload.created_at.desc()).limit(100)))


def touch(ctx: Context, upload: Upload) -> None:
    """Somebody adds to an unfinished upload: it is kept for a day from now on."""
    if upload.operation_id is None:
        upload.expires_at = ctx.clock.now() + KEPT


def reserve_of(ctx: Context, upload: Upload) -> int:
    """How many bytes of the disk are not to be filled; nothing in `yun dev`, whose pool is no real one."""
    return 0 if ctx.settings.fake else ctx.session.get_one(Pool, upload.pool_id).reserve_bytes


def drop_upload(ctx: Context, upload: Upload) -> None:
    """Throw an unfinished upload away. Raises `Conflict` where it is being imported."""
    if upload.operation_id is not None:
        raise Conflict(_("The upload of {name} has ended.", name=upload.name))
    Path(upload.path).unlink(missing_ok=True)
    ctx.session.delete(upload)
