"""Pages of machines that nobody here made: the list, the report that asks before, and handing one back."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.context import Context
from yun.base.messages import _
from yun.compute import service
from yun.operations.intent import Intent
from yun.operations.service import submit
from yun.web.navigation import ADMIN
from yun.web.pages import Ctx, FormData, Listing, PageRoute, Typed, accepted, nav, preview, render, word

router = APIRouter(route_class=PageRoute, include_in_schema=False)
nav("found", _("Found machines"), "/found-machines", icon="search", order=15, section=ADMIN, permission="host.found")


@router.get("/found-machines")
def list_page(ctx: Ctx, sort: str = "name", cursor: str | None = None) -> Response:
    """What was found on the hosts."""
    page = service.list_found(ctx, sort=sort, cursor=cursor, limit=50)
    listing = Listing("/found-machines", page, sort=sort, cursor=cursor, live="found_machine instance")
    return render(
        ctx, "compute/found.html", listing=listing, items=[service.show_found(ctx, row) for row in page.items]
    )


@router.get("/found-machines/{ref}/adopt")
def adopt_dialog(ctx: Ctx, ref: str) -> Response:
    """The report, and what it shall be called."""
    ctx.may("instance.adopt")
    row = service.get_found(ctx, ref)
    return render(
        ctx, "compute/adopt_dialog.html", item=service.show_found(ctx, row), action=f"/found-machines/{row.uuid}/adopt"
    )


def _adopt(ctx: Context, ref: str, form: FormData) -> Intent:
    return service.adopt(ctx, service.get_found(ctx, ref), name=word(form, "name"))


@router.post("/found-machines/{ref}/adopt")
def adopt(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Take it over."""
    intent = _adopt(ctx, ref, typed)
    return accepted(ctx, submit(ctx, intent), location=f"/instances/{intent.subject.id}")


@router.get("/instances/{ref}/release/preview")
def release_preview(ctx: Ctx, ref: str) -> Response:
    """What handing it back does."""
    row = service.get(ctx, ref)
    return preview(
        ctx, service.release(ctx, row), action=f"/instances/{row.id}/release", confirm=_("Release")
    )


@router.post("/instances/{ref}/release")
def release(ctx: Ctx, ref: str) -> Response:
    """Hand it back."""
    return accepted(ctx, submit(ctx, service.release(ctx, service.get(ctx, ref))), location="/instances")
