"""REST of CD drives: insert and eject."""

from __future__ import annotations

from fastapi.responses import JSONResponse
from pydantic import Field

from yun.compute import service
from yun.compute.api.shared import Body, Word, instances, row_of
from yun.images.service import get_iso
from yun.operations.answer import answer
from yun.web.api import Ctx, Match


class Insertion(Body):
    """A CD for a drive."""

    image: Word = Field(description="The image of the CD, by name or id.")
    slot: str = Field("", max_length=10, description="The drive, such as sdh; an empty or a new one by default.")
    bus: str = Field("", max_length=20, description="sata, scsi, or ide where the machine type is pc; for a new drive.")
    force: bool = Field(False, description="Change it even where the guest keeps the tray locked.")
    boot_once: bool = Field(False, description="Let the next start boot from it, and only that one.")


class Ejection(Body):
    """What is taken out."""

    slot: str = Field("", max_length=10, description="The drive; not needed where only one holds a CD.")
    force: bool = Field(False, description="Take it out even where the guest keeps the tray locked.")
    remove: bool = Field(False, description="Remove the drive too.")


@instances.post("/{ref}/insert", summary="Insert a CD into an instance", status_code=202)
def insert(ctx: Ctx, ref: str, body: Insertion, match: Match, dry_run: bool = False) -> JSONResponse:
    """At once in a drive that it has; a new drive comes at its next start."""
    found = service.get(ctx, ref)
    match.check(found)
    intent = service.insert(
        ctx, found, get_iso(ctx, body.image), slot=body.slot, bus=body.bus, force=body.force, boot_once=body.boot_once
    )
    return answer(ctx, intent, dry_run=dry_run, row=lambda: row_of(ctx, found))


@instances.post("/{ref}/eject", summary="Eject a CD from an instance", status_code=202)
def eject(ctx: Ctx, ref: str, body: Ejection, match: Match, dry_run: bool = False) -> JSONResponse:
    """A guest that keeps the tray locked keeps the CD, unless forced."""
    found = service.get(ctx, ref)
    match.check(found)
    intent = service.eject(ctx, found, slot=body.slot, force=body.force, remove=body.remove)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: row_of(ctx, found))
