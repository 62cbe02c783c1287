"""REST of changing a disk where it is: limits, cache, I/O mode, discard, serial."""

from __future__ import annotations

from fastapi.responses import JSONResponse
from pydantic import Field

from yun.compute import service
from yun.compute.api.disks import LIMIT_GROUP, LIMITS
from yun.compute.api.shared import Edit, Word, instances, row_of
from yun.operations.answer import answer
from yun.web.api import Ctx, Match


class ChangedDisk(Edit):
    """A disk of the instance, and what is to change of it; what is left out stays."""

    disk: Word = Field(description="Its slot, or its volume's name or id.")
    cache: str | None = Field(None, max_length=20, description="none, writeback, writethrough, directsync or unsafe")
    io: str | None = Field(None, max_length=20, description="threads, native, io_uring, or empty")
    discard: bool | None = Field(None, description="What the guest gives up is given back to the pool.")
    serial: str | None = Field(None, max_length=40, description="By what the guest finds it; empty: the volume's id.")
    limits: dict[str, int] | None = Field(None, max_length=40, description=LIMITS + " An empty one lifts all.")
    limit_group: str | None = Field(None, max_length=40, description=LIMIT_GROUP + " Empty: a budget of its own.")


@instances.post("/{ref}/change-disk", summary="Change a disk of an instance", status_code=202)
def change_disk(ctx: Ctx, ref: str, body: ChangedDisk, match: Match, dry_run: bool = False) -> JSONResponse:
    """Limits at once; cache, I/O mode, discard and serial from the next start on."""
    found = service.get(ctx, ref)
    given = {name: value for name, value in body.model_dump(exclude={"disk", "was"}).items() if value is not None}
    now = service.disk_told(service.find_disk(ctx, found, body.disk))
    values = match.edit(found, given, now, service.DISK_TITLES, body.was)
    intent = service.change_disk(ctx, found, body.disk, service.DiskChange(**values))
    return answer(ctx, intent, dry_run=dry_run, row=lambda: row_of(ctx, found))
