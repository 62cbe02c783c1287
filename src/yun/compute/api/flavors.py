"""REST of flavors."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from yun.compute import service
from yun.compute.api.shared import Body, Cursor, Limit, Sort
from yun.operations.answer import answer
from yun.web.api import Ctx, Match, Route, tag

flavors = APIRouter(route_class=Route, prefix="/flavors", tags=["flavors"])


class NewFlavor(Body):
    """A size to offer."""

    name: str = Field(max_length=400)
    vcpus: int
    memory_mib: int
    disk_bytes: int
    description: str = ""


@flavors.get("", summary="List flavors")
def list_flavors(ctx: Ctx, sort: Sort = "memory_mib", cursor: Cursor = None, limit: Limit = 100) -> dict[str, Any]:
    """The sizes on offer, smallest first."""
    page = service.list_flavors(ctx, sort=sort, cursor=cursor, limit=limit)
    return {"items": [service.show_flavor(row) for row in page.items], "next": page.next}


@flavors.post("", summary="Create a flavor", status_code=201)
def create_flavor(ctx: Ctx, body: NewFlavor, dry_run: bool = False) -> JSONResponse:
    """Offer a size by name."""
    intent = service.create_flavor(ctx, **body.model_dump())

    def row() -> dict[str, Any]:
        return service.show_flavor(service.get_flavor(ctx, intent.subject.id))

    return answer(ctx, intent, dry_run=dry_run, status=201, row=row)


@flavors.get("/{ref}", summary="Show a flavor")
def show_flavor(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
    """One flavor by name or id."""
    found = service.get_flavor(ctx, ref)
    tag(response, found)
    return service.show_flavor(found)


@flavors.delete("/{ref}", summary="Delete a flavor")
def delete_flavor(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """Offer it no longer; instances made with it stay."""
    match.check(service.get_flavor(ctx, ref))
    return answer(ctx, service.delete_flavor(ctx, ref), dry_run=dry_run)
