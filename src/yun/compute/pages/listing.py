"""The list of instances, and the search of the top bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from yun.base.context import Context
from yun.base.errors import YunError
from yun.base.messages import Message, _
from yun.compute import service
from yun.compute.model import ALLOWED, LIVE, Instance, State
from yun.compute.service import search as language
from yun.hosts import service as hosts
from yun.identity import service as identity
from yun.images import service as images
from yun.network import service as network
from yun.network.model import Network
from yun.storage import service as storage
from yun.web.pages import Ctx, Listing, PageRoute, render
from yun.web.searching import searched

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
            for verb in (*POWER, "delete")
        }
        # Settings are changed also while something else is under way: the change waits for its turn.
        settled = item["state"] in ALLOWED["update"]
        item["can"]["update"] = settled and ctx.allowed("instance.update", item["project_id"])
        item["line"] = lines.get(item["id"], [])[-60:]
        item["live"] = item["state"] in LIVE
    return items


@router.get("/instances")
def instances(ctx: Ctx, q: str = "", state: str = "", sort: str = "name", cursor: str | None = None) -> Response:
    """All instances of the project, page by page; what a search cannot mean is said beside an empty list."""

    def wanted(words: str) -> str:
        return f'{words} state:"{state}"' if state else words

    page, fault = searched(ctx, q, language.FIELDS, lambda words: service.list_instances(
        ctx, q=wanted(words), sort=sort, cursor=cursor, limit=PAGE
    ))  # fmt: skip
    total = None if fault else sum(service.count_instances(ctx, q=wanted(language.finished(q))).values())
    listing = Listing(
        "/instances", page, sort=sort, filters={"q": q, "state": state}, cursor=cursor, total=total,
        live="instance", fault=fault, query=wanted(language.finished(q)) if fault is None else None,
    )  # fmt: skip
    items = dressed(ctx, page.items)
    return render(ctx, "compute/list.html", listing=listing, items=items, states=SHOWN_STATES)


@router.get("/search")
def search(ctx: Ctx, q: str = "") -> Response:
    """What the palette finds by name, address or id: instances first, then all else that the person may see."""
    text = q.strip()[:100]
    found = [thing for part in FINDERS for thing in _those_found(ctx, part, text)] if text else []
    shown = [{"kind": kind.render(ctx.locale), "icon": icon, "url": url, "title": title}
             for kind, icon, url, title in found]  # fmt: skip
    return JSONResponse({"items": shown})


Found = tuple[Message, str, str, str]


def _those_found(ctx: Context, part: Callable[[Context, str], Iterator[Found]], text: str) -> list[Found]:
    try:
        return list(part(ctx, text))
    except YunError:
        return []


def _instances(ctx: Context, text: str) -> Iterator[Found]:
    for row in service.list_instances(ctx, q=text, sort="name", limit=8).items:
        yield _("Instance"), "server", f"/instances/{row.id}", row.name
        if row.state in LIVE and text.lower() == row.name.lower():
            yield _("Console"), "terminal-2", f"/instances/{row.id}/console", row.name


def _images(ctx: Context, text: str) -> Iterator[Found]:
    for image in images.list_images(ctx, q=text, limit=4).items:
        yield _("Image"), "disc", f"/images/{image.id}", image.name


def _volumes(ctx: Context, text: str) -> Iterator[Found]:
    for volume in storage.list_volumes(ctx, q=text, sort="name", limit=4).items:
        yield _("Volume"), "database", f"/volumes/{volume.id}", volume.name


def _networks(ctx: Context, text: str) -> Iterator[Found]:
    for row in network.list_of(ctx, Network, q=text, sort="name", limit=4).items:
        yield _("Network"), "network", f"/networks/{row.id}", row.name


def _hosts(ctx: Context, text: str) -> Iterator[Found]:
    for row in hosts.list_hosts(ctx, q=text, limit=4).items:
        yield _("Host"), "server-2", f"/hosts/{row.id}", row.name


def _people(ctx: Context, text: str) -> Iterator[Found]:
    for user in identity.list_users(ctx, q=text, limit=4).items:
        yield _("User"), "user", f"/users/{user.id}", user.display_name or user.name
    for project in identity.list_projects(ctx, q=text, limit=4).items:
        yield _("Project"), "folder", f"/projects/{project.id}", project.name


FINDERS = (_instances, _images, _volumes, _networks, _hosts, _people)
