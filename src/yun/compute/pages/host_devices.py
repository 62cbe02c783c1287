"""Pages of host devices: a host's list, and the dialogs that give one to an instance and take it back."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.context import Context
from yun.base.messages import _
from yun.compute import service
from yun.compute.model import Instance
from yun.hosts.pages import page
from yun.operations.intent import Intent
from yun.operations.service import submit
from yun.web.pages import (
    Ctx,
    FormData,
    PageRoute,
    Typed,
    accepted,
    live_preview,
    preview,
    render,
    ticked,
    word,
)

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/hosts/{ref}/devices")
def list_page(ctx: Ctx, ref: str) -> Response:
    """What the host has, by IOMMU group."""
    devices = service.show_devices(ctx, service.list_devices(ctx, ref))
    return page(ctx, ref, "devices", template="compute/host_devices.html", devices=devices)


@router.get("/instances/{ref}/host-devices/add")
def add_form(ctx: Ctx, ref: str) -> Response:
    """Which device it shall have, with what that would do beside it."""
    row = service.get(ctx, ref)
    ctx.may("instance.add_host_device")
    base = f"/instances/{row.id}/host-devices/add"
    return render(
        ctx, "compute/host_device_form.html", row=row, action=base, preview_url=f"{base}/preview",
        devices=_free(ctx, row),
    )  # fmt: skip


def _free(ctx: Context, row: Instance) -> list[dict[str, Any]]:
    """What may be chosen: also what shares its group with something busy, since the preview says so."""
    rows = service.show_devices(ctx, service.devices_on(ctx.session, row.host_id))
    return [r for r in rows if not r["reason"] and r["instance_id"] is None]


def _wanted(ctx: Context, row: Instance, form: FormData) -> Intent:
    return service.add_host_device(ctx, row, word(form, "device") or "", with_group=ticked(form, "with_group"))


@router.post("/instances/{ref}/host-devices/add/preview")
def plan(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """What giving it would do."""
    return live_preview(ctx, lambda: _wanted(ctx, service.get(ctx, ref), typed))


@router.post("/instances/{ref}/host-devices/add")
def add(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Give it."""
    row = service.get(ctx, ref)
    return accepted(ctx, submit(ctx, _wanted(ctx, row, typed)), location=f"/instances/{row.id}/settings")


@router.get("/instances/{ref}/host-devices/{device}/remove/preview")
def remove_preview(ctx: Ctx, ref: str, device: str) -> Response:
    """What taking it back does."""
    row = service.get(ctx, ref)
    intent = service.remove_host_device(ctx, row, device)
    return preview(ctx, intent, action=f"/instances/{row.id}/host-devices/{device}/remove", confirm=_("Remove"))


@router.post("/instances/{ref}/host-devices/{device}/remove")
def remove(ctx: Ctx, ref: str, device: str) -> Response:
    """Take it back."""
    return accepted(ctx, submit(ctx, service.remove_host_device(ctx, service.get(ctx, ref), device)))
