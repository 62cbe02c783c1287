"""Pages of hardware: the form with its preview, and dropping what is pending."""

from __future__ import annotations

import re
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.context import Context
from yun.base.messages import _
from yun.base.units import MIB, parse_size
from yun.compute import hardware as parts
from yun.compute import service
from yun.compute.model import LIVE, Instance
from yun.compute.service.cpu_models import choices
from yun.hosts.model import Host
from yun.operations.intent import Intent
from yun.operations.service import submit
from yun.web.edits import changed
from yun.web.pages import Ctx, FormData, PageRoute, Typed, accepted, live_preview, number, preview, render, ticked, word

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/instances/{ref}/hardware")
def hardware(ctx: Ctx, ref: str) -> Response:
    """The form of its hardware."""
    row = service.get(ctx, ref)
    ctx.may("instance.configure", row.project_id)
    base = f"/instances/{row.id}/hardware"
    running = row.state in LIVE
    waiting = {entry["field"]: parts.word(entry["field"], entry["now"]).render(ctx.locale)
               for entry in service.waiting_of(row) if entry["field"] in parts.CHOICES}  # fmt: skip
    options = {
        name: [(w, parts.word(name, w).render(ctx.locale)) for w in choice.words]
        for name, choice in parts.CHOICES.items() if choice.words
    }  # fmt: skip
    return render(
        ctx, "compute/hardware.html", row=row, action=base, preview_url=f"{base}/preview", options=options,
        now=parts.shown(row.firmware, row.hardware), waiting=waiting, running=running,
        models=choices(ctx.session.get_one(Host, row.host_id)),
    )  # fmt: skip


@router.post("/instances/{ref}/hardware/preview")
def plan_hardware(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """What saving would do."""
    return live_preview(ctx, lambda: _intent(ctx, service.get(ctx, ref), typed))


@router.post("/instances/{ref}/hardware")
def configure(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Save what was changed; what a colleague changed meanwhile stays."""
    row = service.get(ctx, ref)
    return accepted(ctx, submit(ctx, _intent(ctx, row, typed)), location=f"/instances/{row.id}/settings")


@router.get("/instances/{ref}/drop-pending/preview")
def drop_preview(ctx: Ctx, ref: str) -> Response:
    """What would be given up."""
    row = service.get(ctx, ref)
    return preview(ctx, service.drop_pending(ctx, row), action=f"/instances/{row.id}/drop-pending", confirm=_("Drop"))


@router.post("/instances/{ref}/drop-pending")
def drop_pending(ctx: Ctx, ref: str) -> Response:
    """Give it up."""
    row = service.get(ctx, ref)
    return accepted(ctx, submit(ctx, service.drop_pending(ctx, row)), location=f"/instances/{row.id}/settings")


def _intent(ctx: Context, row: Instance, typed: FormData) -> Intent:
    now = parts.shown(row.firmware, row.hardware)
    wanted = {name: _typed(typed, name, now[name], fixed=row.state in LIVE) for name in now}
    titles = {name: choice.title for name, choice in parts.CHOICES.items()}
    return service.configure(ctx, row, **changed(typed, wanted, now, titles))


def _typed(typed: FormData, name: str, now: Any, *, fixed: bool) -> Any:
    """A field as it was typed; what cannot be changed while it runs was not offered, and stays."""
    if fixed and parts.CHOICES[name].when == "off":
        return now
    text = word(typed, name) or ""
    if name == "pins":
        return [part.strip() for part in re.split(r"[;\n]", text) if part.strip()]
    if name == "memory_max_mib":
        return parse_size(text, field=name, default_unit="m") // MIB if text not in ("", "0") else 0
    if isinstance(now, bool):
        return ticked(typed, name)
    if isinstance(now, int):
        return number(typed, name) or 0
    return text
