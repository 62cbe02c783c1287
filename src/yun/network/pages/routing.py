"""Pages of routers: they are made with their networks, here they are looked at."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from yun.network import service
from yun.network.api import show
from yun.network.model import Network, Router
from yun.network.service.search import FIELDS
from yun.web.pages import Ctx, Listing, PageRoute, render
from yun.web.searching import searched

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/networks/routers")
def routers(ctx: Ctx, q: str = "", sort: str = "name", cursor: str | None = None) -> Response:
    """The project's routers."""
    page, fault = searched(ctx, q, FIELDS[Router], lambda words: service.list_of(
        ctx, Router, sort=sort, cursor=cursor, q=words
    ))  # fmt: skip
    listing = Listing(
        "/networks/routers", page, sort=sort, filters={"q": q}, cursor=cursor, live="router", fault=fault
    )
    shown = {r.id: show.router(r, service.legs_of(ctx.session, r.id)) for r in page.items}
    names = {n.id: n.name for n in service.list_of(ctx, Network, sort="name", limit=1000).items}
    return render(ctx, "network/routers.html", listing=listing, shown=shown, names=names, tab="routers")
