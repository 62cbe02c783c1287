"""Exports: a copy of an image is made in a format, then it can be downloaded for a day."""

from __future__ import annotations

import os
from datetime import timedelta

from sqlalchemy.orm import Session

from yun.base.context import Context, not_found
from yun.base.errors import Conflict, Invalid
from yun.base.ids import new_id
from yun.base.messages import _
from yun.base.units import MIB, format_size
from yun.images.model import Export, Image
from yun.images.service.bring import WORK
from yun.images.service.look import must_allow, must_be_somebody, subject
from yun.images.service.room import room_for
from yun.images.service.uploads import incoming
from yun.operations.intent import Intent, Key

KEPT = timedelta(hours=24)
EXPORT_FORMATS = ("qcow2", "raw", "ova")

LEAST_MEMORY_MIB = 512
"""What a machine is said to have whose image says nothing."""
PERMISSIONS = {"vol": "volume.download"}
"""What it needs to fetch a copy, by the kind of id of what it was made of; `image.export` for others."""


def export(ctx: Context, image: Image, *, format: str = "qcow2", compress: bool = True) -> Intent:
    """Make a copy to download, in ``qcow2`` (compressed unless said otherwise), ``raw``, or as an ``ova``: a machine
    with this disk, for other hypervisors; kept for a day.

    The export's id is the argument ``export_id`` and in the operation's result. Only the image's own project may.
    """
    ctx.must_see(image.project_id, "image", image.id)
    ctx.may("image.export", image.project_id)
    must_allow(image, "export")
    if format not in EXPORT_FORMATS:
        names = _("one of {names}", names=", ".join(EXPORT_FORMATS))
        raise Invalid(_("{field} cannot be {value}.", field="format", value=format[:40]), fields={"format": names})
    if format == "ova" and image.kind != "disk":
        raise Invalid(
            _("{name} is an installation CD, not a disk.", name=image.name), fields={"format": _("qcow2 or raw")}
        )
    pool = room_for(ctx.session, image.size_bytes)
    identifier = new_id(Export.PREFIX)
    most = image.virtual_bytes if format == "raw" else image.size_bytes
    path = incoming(pool, f"{identifier}.{format}")

    def write(session: Session) -> None:
        session.add(
            Export(
                id=identifier, project_id=image.project_id, image_id=image.id, image_name=image.name, pool_id=pool.id,
                path=path, format=format, expires_at=ctx.clock.now() + KEPT,
            )
        )  # fmt: skip

    return Intent(
        kind="image.export",
        title=_("Export image {name}", name=image.name),
        subject=subject(image),
        project_id=image.project_id,
        arguments={"export_id": identifier, "compress": compress and format == "qcow2"},
        keys=(Key(f"image:{image.id}", slots=4), WORK),
        effects=(
            *((_("It describes a machine with this disk, {memory} of memory and one network card.",
                 memory=format_size(MIB * (image.min_memory_mib or LEAST_MEMORY_MIB))),) if format == "ova" else ()),
            _("A copy in the format {format} is made; it can be downloaded for 24 hours.", format=format),
            _("The copy takes up to {size}.", size=format_size(most)),
        ),
        write=write,
        undoable=False,
        no_undo=_("A download cannot be taken back; the copy goes by itself."),
        transparent=True,
        deadline=6 * 3600.0,
    )  # fmt: skip


def get_export(ctx: Context, identifier: str) -> Export:
    """A finished export. Raises `NotFound`, and `Conflict` while it is being made."""
    must_be_somebody(ctx)
    found = ctx.session.get(Export, identifier)
    if found is None or not ctx.sees(found.project_id) or found.expires_at <= ctx.clock.now():
        raise not_found("export", identifier[:70])
    ctx.may(PERMISSIONS.get(found.image_id[:3], "image.export"), found.project_id)
    if found.state != "ready":
        raise Conflict(_("The copy is still being made."), hint=_("Wait until the operation has ended."))
    return found


def export_stat(export: Export) -> os.stat_result:
    """The size and times of the copy's file. ``OSError`` where it is gone."""
    return os.stat(export.path)
