"""The expert's page of an instance: its XML with colours, and the form of what is laid over it."""

from __future__ import annotations

import re

from fastapi import APIRouter
from markupsafe import Markup, escape
from starlette.responses import Response

from yun.base.context import Context
from yun.compute import service
from yun.compute.definitions import check_overlay, definitions
from yun.compute.model import Instance
from yun.operations.intent import Intent
from yun.operations.service import submit
from yun.web.edits import changed
from yun.web.pages import Ctx, FormData, PageRoute, Typed, accepted, live_preview, render

router = APIRouter(route_class=PageRoute, include_in_schema=False)
TAG = re.compile(r"(&lt;/?)([\w:.-]+)(.*?)(/?&gt;)")
ATTRIBUTE = re.compile(r"([\w:.-]+)=(&#34;.*?&#34;)")


def coloured(xml: str) -> Markup:
    """XML for a page: names of elements, attributes and values in colours of their own."""

    def one(match: re.Match[str]) -> str:
        inside = ATTRIBUTE.sub(r'\1=<span class="text-success">\2</span>', match[3])
        return f'{match[1]}<span class="text-primary">{match[2]}</span>{inside}{match[4]}'

    return Markup(TAG.sub(one, str(escape(xml))))


@router.get("/instances/{ref}/xml")
def xml(ctx: Ctx, ref: str) -> Response:
    """What runs, what is next, and the form."""
    row = service.get(ctx, ref)
    found = definitions(ctx, row)
    base = f"/instances/{row.id}/overlay"
    return render(
        ctx, "compute/xml.html", row=row, action=base, preview_url=f"{base}/preview", overlay=found["overlay"],
        following=coloured(found["next"]), running=coloured(found["running"]), difference=found["difference"],
    )  # fmt: skip


def _intent(ctx: Context, row: Instance, typed: FormData) -> Intent:
    now = service.overlay_told(ctx, row)
    wanted = {"overlay": check_overlay(str(typed.get("overlay") or "").replace("\r\n", "\n"))}
    changes = changed(typed, wanted, now, service.OVERLAY_TITLES)
    return service.set_overlay(ctx, row, {**now, **changes}["overlay"])


@router.post("/instances/{ref}/overlay/preview")
def plan_overlay(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """What saving would do."""
    return live_preview(ctx, lambda: _intent(ctx, service.get(ctx, ref), typed))


@router.post("/instances/{ref}/overlay")
def set_overlay(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Lay it over, unless a colleague did meanwhile."""
    row = service.get(ctx, ref)
    return accepted(ctx, submit(ctx, _intent(ctx, row, typed)), location=f"/instances/{row.id}/xml")
