"""Pages of CD drives: insert a CD, eject it."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.errors import Invalid
from yun.base.messages import _
from yun.compute import service
from yun.images.service import get_iso, list_isos
from yun.operations.service import submit
from yun.web.pages import Ctx, PageRoute, Typed, accepted, plan, render, ticked, word

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/instances/{ref}/drives/insert")
def insert_dialog(ctx: Ctx, ref: str, slot: str = "") -> Response:
    """The dialog that chooses a CD."""
    row = service.get(ctx, ref)
    ctx.may("instance.insert", row.project_id)
    return render(
        ctx, "compute/insert_dialog.html", row=row, action=f"/instances/{row.id}/insert", isos=list_isos(ctx),
        buses=service.cd_buses(ctx.session, row), usual=service.usual_cd_bus(ctx.session, row),
        slot=slot if slot in [d.slot for d in service.drives(ctx.session, row.id)] else "",
    )  # fmt: skip


@router.post("/instances/{ref}/insert")
def insert(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Insert it."""
    row = service.get(ctx, ref)
    chosen = word(typed, "image")
    if not chosen:
        raise Invalid(_("Which CD?"), fields={"image": _("choose one")})
    intent = service.insert(
        ctx, row, get_iso(ctx, chosen), slot=word(typed, "slot") or "", bus=word(typed, "bus") or "",
        force=ticked(typed, "force"), boot_once=ticked(typed, "boot_once"),
    )  # fmt: skip
    return accepted(ctx, submit(ctx, intent), location=f"/instances/{row.id}/disks")


@router.get("/instances/{ref}/drives/{slot}/eject")
def eject_dialog(ctx: Ctx, ref: str, slot: str) -> Response:
    """The dialog that says what ejecting does, and asks whether to force it."""
    row = service.get(ctx, ref)
    drive = next((d for d in service.drives(ctx.session, row.id) if d.slot == slot), None)
    intent = service.eject(ctx, row, slot=slot, remove=drive is not None and not drive.image_id)
    return render(
        ctx, "compute/eject_dialog.html", row=row, drive=drive, action=f"/instances/{row.id}/eject",
        plan=plan(ctx, intent),
    )  # fmt: skip


@router.post("/instances/{ref}/eject")
def eject(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Eject it."""
    row = service.get(ctx, ref)
    intent = service.eject(
        ctx, row, slot=word(typed, "slot") or "", force=ticked(typed, "force"), remove=ticked(typed, "remove")
    )
    return accepted(ctx, submit(ctx, intent), location=f"/instances/{row.id}/disks")
