"""The list of instances, and the search of the top bar."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from yun.base.context import Context
from yun.base.errors import YunError
from yun.base.messages import Message, _
from yun.compute import service
from yun.compute.model import ALLOWED, LIVE, Instance, State
from yun.images import service as images
from yun.web.pages import Ctx, Listing, PageRoute, render

router = APIRouter(route_class=PageRoute, include_in_schema=False)
SHOWN_STATES = tuple(s for s in State if s != State.TRASHED)
POWER = ("start", "stop", "reboot", "pause", "resume")
PAGE = 50


def dressed(ctx: Context, rows: list[Instance]) -> list[dict[str, Any]]:
    """Rows as the templates want them: rendered, with the verbs that make sense and the line of the last hour."""
    items = service.rendered(ctx, rows)
    lines = service.histories(ctx.session, [i["id"] for i in items], ctx.clock.now())
    for item in items:
        busy = item["task"] is not None
        item["can"] = {
            verb: not busy and item["state"] in ALLOWED[verb] and ctx.allowed(f"instance.{verb}", item["project_id"])
            for verb in (*POWER, "delete", "update")
        }
        item["line"] = lines.get(item["id"], [])[-60:]
        item["live"] = item["state"] in LIVE
    return items


@router.get("/instances")
def instances(ctx: Ctx, q: str = "", state: str = "", sort: str = "name", cursor: str | None = None) -> Response:
    """All instances of the project, page by page."""
    words = f'{q} state:"{state}"' if state else q
    page = service.list_instances(ctx, q=words, sort=sort, cursor=cursor, limit=PAGE)
    total = sum(service.count_instances(ctx, q=words).values())
    listing = Listing(
        "/instances", page, sort=sort, filters={"q": q, "state": state}, cursor=cursor, total=total,
        live="instance",
    )  # fmt: skip
    items = dressed(ctx, page.items)
    return render(ctx, "compute/list.html", listing=listing, items=items, states=SHOWN_STATES)


@router.get("/search")
def search(ctx: Ctx, q: str = "") -> Response:
    """What the palette finds: instances and images by name, address or id."""
    found: list[dict[str, str]] = []

    def add(kind: Message, icon: str, url: str, title: str) -> None:
        found.append({"kind": kind.render(ctx.locale), "icon": icon, "url": url, "title": title})

    text = q.strip()[:100]
    if text:
        try:
            for row in service.list_instances(ctx, q=text, sort="name", limit=8).items:
                add(_("Instance"), "server", f"/instances/{row.id}", row.name)
                if row.state in LIVE and text.lower() == row.name.lower():
                    add(_("Console"), "terminal-2", f"/instances/{row.id}/console", row.name)
            for image in images.list_images(ctx, q=text, limit=4).items:
                add(_("Image"), "disc", f"/images/{image.id}", image.name)
        except YunError:
            found.clear()
    return JSONResponse({"items": found})
