"""The dialog that moves a disk to another bus."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from yun.compute import service
from yun.compute.model import Instance
from yun.compute.service.bus_fit import BUSES, buses_of
from yun.operations.service import submit
from yun.storage.service import attachment_of, get_volume
from yun.web.pages import Ctx, PageRoute, Typed, accepted, render, word

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/volumes/{ref}/change-bus")
def dialog(ctx: Ctx, ref: str) -> Response:
    """Which bus it shall be on."""
    volume = get_volume(ctx, ref)
    ctx.may("volume.change_bus", volume.project_id)
    place = attachment_of(ctx.session, volume.id)
    instance = ctx.session.get(Instance, place.instance_id) if place is not None else None
    others = [bus for bus in buses_of(ctx.session, instance) if bus != place.bus] if place and instance else list(BUSES)
    return render(
        ctx, "compute/bus_dialog.html", volume=volume, place=place, buses=others,
        action=f"/volumes/{volume.id}/change-bus",
    )  # fmt: skip


@router.post("/volumes/{ref}/change-bus")
def change_bus(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Move it."""
    return accepted(ctx, submit(ctx, service.change_bus(ctx, get_volume(ctx, ref), word(typed, "bus") or "")))
