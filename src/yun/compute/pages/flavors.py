"""Pages of flavors: the sizes on offer."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.messages import _
from yun.base.units import parse_size
from yun.compute import service
from yun.operations.service import submit
from yun.web.navigation import ADMIN
from yun.web.pages import Ctx, Listing, PageRoute, Typed, accepted, nav, number, preview, render, word

router = APIRouter(route_class=PageRoute, include_in_schema=False)
nav("flavors", _("Flavors"), "/flavors", icon="box", order=30, section=ADMIN, permission="flavor.create")


@router.get("/flavors")
def flavors(ctx: Ctx, sort: str = "memory_mib", cursor: str | None = None) -> Response:
    """The sizes on offer."""
    page = service.list_flavors(ctx, sort=sort, cursor=cursor)
    return render(
        ctx, "compute/flavors.html", listing=Listing("/flavors", page, sort=sort, cursor=cursor, live="flavor")
    )


@router.get("/flavors/new")
def flavor_dialog(ctx: Ctx) -> Response:
    """The dialog for one more."""
    ctx.may("flavor.create")
    return render(ctx, "compute/flavor_dialog.html", action="/flavors")


@router.post("/flavors")
def create_flavor(ctx: Ctx, typed: Typed) -> Response:
    """Offer a size."""
    intent = service.create_flavor(
        ctx, name=word(typed, "name") or "", vcpus=number(typed, "vcpus") or 0,
        memory_mib=parse_size(word(typed, "memory_mib") or "", field="memory_mib", default_unit="m") // 2**20,
        disk_bytes=parse_size(word(typed, "disk_bytes") or "", field="disk_bytes", default_unit="g"),
        description=word(typed, "description") or "",
    )  # fmt: skip
    return accepted(ctx, submit(ctx, intent), location="/flavors")


@router.get("/flavors/{ref}/delete/preview")
def delete_preview(ctx: Ctx, ref: str) -> Response:
    """What no longer offering it does."""
    return preview(ctx, service.delete_flavor(ctx, ref), action=f"/flavors/{ref}/delete", confirm=_("Delete"))


@router.post("/flavors/{ref}/delete")
def delete_flavor(ctx: Ctx, ref: str) -> Response:
    """Offer it no longer."""
    return accepted(ctx, submit(ctx, service.delete_flavor(ctx, ref)), location="/flavors")
