"""The dialog that moves a volume to another pool."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.context import Context
from yun.base.errors import Invalid
from yun.base.messages import _
from yun.compute import service
from yun.operations.intent import Intent
from yun.operations.service import submit
from yun.storage.model import Pool
from yun.storage.service import get_volume
from yun.web.pages import Ctx, FormData, PageRoute, Typed, accepted, live_preview, render, word

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/volumes/{ref}/move")
def move_dialog(ctx: Ctx, ref: str) -> Response:
    """Where to?"""
    volume = get_volume(ctx, ref)
    pools, action = service.other_pools(ctx, volume), f"/volumes/{volume.id}/move"
    return render(
        ctx, "compute/move_dialog.html", volume=volume, pools=pools, here=ctx.session.get_one(Pool, volume.pool_id),
        action=action, preview_url=f"{action}/preview" if pools else "",
    )  # fmt: skip


def _moved(ctx: Context, ref: str, form: FormData) -> Intent:
    chosen = word(form, "pool")
    if not chosen:
        raise Invalid(_("Which pool?"), fields={"pool": _("choose one")})
    return service.move(ctx, get_volume(ctx, ref), chosen)


@router.post("/volumes/{ref}/move/preview")
def plan_move(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """What moving it there would do."""
    return live_preview(ctx, lambda: _moved(ctx, ref, typed))


@router.post("/volumes/{ref}/move")
def move(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Move it."""
    return accepted(ctx, submit(ctx, _moved(ctx, ref, typed)))
