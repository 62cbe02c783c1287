"""REST of machines that nobody here made: what was found, taking one over, handing one back."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import Field

from yun.compute import service
from yun.compute.api.shared import Body, Cursor, Limit, Sort, Word, again, instances, row_of
from yun.operations.answer import answer
from yun.web.api import Ctx, Match, Route

found = APIRouter(route_class=Route, prefix="/found-machines", tags=["hosts"])


class Adoption(Body):
    """How a machine is taken over."""

    name: Word | None = Field(None, description="What it is called here; libvirt's name of it otherwise.")


@found.get("", summary="List found machines")
def list_found(
    ctx: Ctx, host: str | None = None, sort: Sort = "name", cursor: Cursor = None, limit: Limit = 100
) -> dict[str, Any]:
    """Machines of libvirt's on the hosts that no cloud has made or taken over, as last seen, each with its report."""
    page = service.list_found(ctx, host=host, sort=sort, cursor=cursor, limit=limit)
    return {"items": [service.show_found(ctx, row) for row in page.items], "next": page.next}


@found.get("/{ref}", summary="Show a found machine")
def show_found(ctx: Ctx, ref: str) -> dict[str, Any]:
    """One by UUID or name: its disks with the files below them, its cards and snapshots, and its report."""
    return service.show_found(ctx, service.get_found(ctx, ref))


@found.post("/{ref}/adopt", summary="Take a found machine over", status_code=201)
def adopt(ctx: Ctx, ref: str, body: Adoption, dry_run: bool = False) -> JSONResponse:
    """Make it an instance of the project, without stopping or changing it. The answer is the instance."""
    intent = service.adopt(ctx, service.get_found(ctx, ref), name=body.name)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: again(ctx, intent.subject.id), status=201)


@instances.post("/{ref}/release", summary="Release an instance to libvirt", status_code=202)
def release(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """Hand it back as a plain machine with its disks, without stopping it; the cloud forgets it."""
    row = service.get(ctx, ref)
    match.check(row)
    return answer(ctx, service.release(ctx, row), dry_run=dry_run, row=lambda: row_of(ctx, row))
