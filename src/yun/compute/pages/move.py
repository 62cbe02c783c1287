"""The dialog that moves a volume to another pool."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.errors import Invalid
from yun.base.messages import _
from yun.compute import service
from yun.operations.service import submit
from yun.storage.model import Pool
from yun.storage.service import get_volume
from yun.web.pages import Ctx, PageRoute, Typed, accepted, render, word

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/volumes/{ref}/move")
def move_dialog(ctx: Ctx, ref: str) -> Response:
    """Where to?"""
    volume = get_volume(ctx, ref)
    return render(
        ctx, "compute/move_dialog.html", volume=volume, pools=service.other_pools(ctx, volume),
        here=ctx.session.get_one(Pool, volume.pool_id), action=f"/volumes/{volume.id}/move",
    )  # fmt: skip


@router.post("/volumes/{ref}/move")
def move(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Move it."""
    chosen = word(typed, "pool")
    if not chosen:
        raise Invalid(_("Which pool?"), fields={"pool": _("choose one")})
    return accepted(ctx, submit(ctx, service.move(ctx, get_volume(ctx, ref), chosen)))
