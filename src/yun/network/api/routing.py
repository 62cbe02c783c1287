"""REST of routers."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from yun.network import service
from yun.network.api import show
from yun.network.model import Router
from yun.web.api import Ctx, Route, tag

router = APIRouter(route_class=Route, tags=["networks"])


@router.get("/routers", summary="List routers")
def list_routers(
    ctx: Ctx, sort: str = Query("name", max_length=40), cursor: str | None = Query(None, max_length=1000),
    limit: int = Query(100, ge=1, le=1000),
    q: str = Query("", max_length=1000, description="Such as `snat:yes text`."),
) -> dict[str, Any]:  # fmt: skip
    """The project's routers."""
    page = service.list_of(ctx, Router, sort=sort, cursor=cursor, limit=limit, q=q)
    return {"items": [show.router(r, service.legs_of(ctx.session, r.id)) for r in page.items], "next": page.next}


@router.get("/routers/{ref}", summary="Show a router")
def show_router(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
    """One router, by name or id."""
    row = service.get_router(ctx, ref)
    tag(response, row)
    return show.router(row, service.legs_of(ctx.session, row.id))
