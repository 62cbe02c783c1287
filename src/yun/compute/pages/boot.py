"""Pages of what an instance boots from: the list with its order, and the dialog of the next start."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.context import Context
from yun.base.errors import Invalid
from yun.base.messages import _
from yun.compute import boot, service
from yun.compute.model import Instance
from yun.operations.intent import Intent
from yun.operations.service import submit
from yun.web.edits import changed
from yun.web.pages import Ctx, FormData, PageRoute, Typed, accepted, live_preview, preview, render, ticked, word, words

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/instances/{ref}/boot-order")
def form(ctx: Ctx, ref: str) -> Response:
    """The list, to be sorted."""
    row = service.get(ctx, ref)
    ctx.may("instance.boot_order", row.project_id)
    base = f"/instances/{row.id}/boot-order"
    return render(
        ctx, "compute/boot_order.html", row=row, action=base, preview_url=f"{base}/preview",
        boot=service.boot_words(ctx, row), was=service.order_told(ctx, row),
    )  # fmt: skip


def _intent(ctx: Context, row: Instance, typed: FormData) -> Intent:
    usual = ticked(typed, "usual")
    order = [] if usual else words(typed, "device")
    if not order and not usual:
        raise Invalid(_("Which device shall it boot from?"), fields={"devices": _("choose at least one")})
    wanted, now = service.order_told(ctx, row, order), service.order_told(ctx, row)
    changes = changed(typed, wanted, now, boot.TITLES)
    return service.boot_order(ctx, row, order if changes or wanted == now else row.boot_order)


@router.post("/instances/{ref}/boot-order/preview")
def plan_order(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """What saving would do."""
    return live_preview(ctx, lambda: _intent(ctx, service.get(ctx, ref), typed))


@router.post("/instances/{ref}/boot-order")
def boot_order(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Save it, unless a colleague chose another order meanwhile."""
    row = service.get(ctx, ref)
    return accepted(ctx, submit(ctx, _intent(ctx, row, typed)), location=f"/instances/{row.id}/settings")


@router.get("/instances/{ref}/boot-once")
def once_dialog(ctx: Ctx, ref: str) -> Response:
    """The dialog that chooses a device for the next start."""
    row = service.get(ctx, ref)
    ctx.may("instance.boot_once", row.project_id)
    return render(
        ctx, "compute/boot_once_dialog.html", row=row, action=f"/instances/{row.id}/boot-once",
        boot=service.boot_words(ctx, row),
    )  # fmt: skip


@router.post("/instances/{ref}/boot-once")
def boot_once(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Only the next start."""
    row = service.get(ctx, ref)
    chosen = word(typed, "device")
    if not chosen:
        raise Invalid(_("Which device shall it boot from?"), fields={"device": _("choose one")})
    return accepted(ctx, submit(ctx, service.boot_once(ctx, row, chosen)), location=f"/instances/{row.id}/settings")


@router.get("/instances/{ref}/boot-once/drop/preview")
def drop_preview(ctx: Ctx, ref: str) -> Response:
    """What dropping it does."""
    row = service.get(ctx, ref)
    action = f"/instances/{row.id}/boot-once/drop"
    return preview(ctx, service.boot_once(ctx, row, ""), action=action, confirm=_("Drop"))


@router.post("/instances/{ref}/boot-once/drop")
def drop_once(ctx: Ctx, ref: str) -> Response:
    """The next start boots as ever."""
    row = service.get(ctx, ref)
    return accepted(ctx, submit(ctx, service.boot_once(ctx, row, "")), location=f"/instances/{row.id}/settings")
