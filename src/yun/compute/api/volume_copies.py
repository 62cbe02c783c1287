"""REST of whole volumes: an independent copy of one, and a file of one to download."""

from __future__ import annotations

from typing import Literal

from fastapi.responses import JSONResponse
from pydantic import Field

from yun.compute import service
from yun.compute.api.shared import Body, Word, volumes
from yun.operations.answer import answer
from yun.storage.api import show_volumes
from yun.storage.service import get_volume
from yun.web.api import Ctx


class NewCopy(Body):
    """Where the copy goes and what it is called."""

    name: str | None = Field(None, max_length=400, description="Name of the copy; else the source's with a number.")
    pool: Word | None = Field(None, description="A pool of the same host, by name or id; the source's by default.")
    project: Word | None = Field(None, description="Another project, by name or id; the source's by default.")


class NewDownload(Body):
    """As what the volume is given out."""

    format: Literal["qcow2", "raw"] = "qcow2"
    compress: bool = Field(True, description="Make the file small (qcow2).")


@volumes.post("/{ref}/copy", summary="Copy a volume", status_code=201)
def copy(ctx: Ctx, ref: str, body: NewCopy, dry_run: bool = False) -> JSONResponse:
    """An independent volume with the same content; a machine that has the source goes on. The operation's result says
    in what condition it was copied: ``stopped``, ``quiesced`` or ``crash``."""
    intent = service.copy(ctx, get_volume(ctx, ref), **body.model_dump())

    def row() -> dict[str, object]:
        return show_volumes(ctx, [get_volume(ctx, intent.subject.id)])[0]

    return answer(ctx, intent, dry_run=dry_run, row=row, status=201)


@volumes.post("/{ref}/download", summary="Copy a volume out, to download it", status_code=202)
def download(ctx: Ctx, ref: str, body: NewDownload, dry_run: bool = False) -> JSONResponse:
    """Makes a file; the operation's result names it, and `/image-exports/{id}/file` gives it out for a day."""
    intent = service.download(ctx, get_volume(ctx, ref), format=body.format, compress=body.compress)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: {"export_id": intent.arguments["export_id"]})
