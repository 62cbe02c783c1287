"""Pages of an instance's disks: add an empty one, attach a volume, detach it, grow it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from yun.base.context import Context
from yun.base.errors import Invalid
from yun.base.messages import _
from yun.base.units import parse_size
from yun.compute import service
from yun.compute.model import Instance
from yun.compute.pages.change_disk import NEW, choices, ways_in
from yun.compute.service.bus_fit import buses_of
from yun.operations.intent import Intent
from yun.operations.service import submit
from yun.storage.service import attachments_of, get_volume, list_pools
from yun.web.pages import Ctx, FormData, PageRoute, Typed, accepted, live_preview, plan, render, ticked, word, words

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Ids = Annotated[list[str], Query(alias="id", max_length=100)]


def _place(form: FormData) -> service.Place:
    return service.Place(
        bus=word(form, "bus") or "virtio", slot=word(form, "slot") or "", readonly=ticked(form, "readonly"),
        **ways_in(form),
    )  # fmt: skip


def _size(form: FormData) -> int:
    return parse_size(word(form, "size_bytes") or "", field="size_bytes", default_unit="g")


# ── a new one ──


@router.get("/instances/{ref}/disks/new")
def disk_form(ctx: Ctx, ref: str) -> Response:
    """The form for one more disk."""
    row = service.get(ctx, ref)
    ctx.may("instance.add_disk", row.project_id)
    base = f"/instances/{row.id}/disks"
    pools = [p for p in list_pools(ctx, limit=1000).items if p.host_id == row.host_id]
    return render(
        ctx, "compute/disk_form.html", row=row, action=base, preview_url=f"{base}/new/preview", pools=pools,
        buses=buses_of(ctx.session, row), now=NEW, **choices(ctx, row),
    )  # fmt: skip


def _new_disk(ctx: Context, row: Instance, form: FormData) -> Intent:
    return service.add_disk(
        ctx, row, size_bytes=_size(form), name=word(form, "name"), pool=word(form, "pool"), place=_place(form),
        format=word(form, "format") or "qcow2",
    )


@router.post("/instances/{ref}/disks/new/preview")
def plan_disk(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """What adding it would do."""
    return live_preview(ctx, lambda: _new_disk(ctx, service.get(ctx, ref), typed))


@router.post("/instances/{ref}/disks")
def add_disk(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Make it and attach it."""
    row = service.get(ctx, ref)
    return accepted(ctx, submit(ctx, _new_disk(ctx, row, typed)), location=f"/instances/{row.id}/disks")


# ── a volume that is there ──


@router.get("/instances/{ref}/disks/attach")
def attach_dialog(ctx: Ctx, ref: str) -> Response:
    """The dialog that chooses a volume."""
    row = service.get(ctx, ref)
    ctx.may("volume.attach", row.project_id)
    return render(
        ctx, "compute/attach_dialog.html", row=row, action=f"/instances/{row.id}/disks/attach",
        volumes=service.free_volumes(ctx, row), buses=buses_of(ctx.session, row),
        now=NEW, **choices(ctx, row),
    )  # fmt: skip


@router.post("/instances/{ref}/disks/attach")
def attach(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Attach it."""
    row = service.get(ctx, ref)
    chosen = word(typed, "volume")
    if not chosen:
        raise Invalid(_("Which volume?"), fields={"volume": _("choose one")})
    intent = service.attach(ctx, get_volume(ctx, chosen), row, _place(typed))
    return accepted(ctx, submit(ctx, intent), location=f"/instances/{row.id}/disks")


@router.get("/volumes/{ref}/detach/preview")
def detach_preview(ctx: Ctx, ref: str) -> Response:
    """What detaching does, and how it may be meant."""
    volume = get_volume(ctx, ref)
    return render(
        ctx, "compute/detach_dialog.html", plan=plan(ctx, service.detach(ctx, volume)),
        action=f"/volumes/{volume.id}/detach",
    )  # fmt: skip


@router.post("/volumes/{ref}/detach")
def detach(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Detach it."""
    intent = service.detach(
        ctx, get_volume(ctx, ref), even_if_mounted=ticked(typed, "even_if_mounted"), trash=ticked(typed, "trash")
    )
    return accepted(ctx, submit(ctx, intent))


@router.get("/instances/{ref}/disks/detach")
def detach_dialog(ctx: Ctx, ref: str, ids: Ids = []) -> Response:  # noqa: B006
    """What detaching the ticked disks does, and what becomes of each."""
    row = service.get(ctx, ref)
    wish = service.DetachWish(disks=ids, boot_disk=True, even_if_mounted=False)
    disks = [disk for disk in attachments_of(ctx.session, row.id) if disk.volume_id in ids]
    return render(
        ctx, "compute/detach_many_dialog.html", plan=plan(ctx, service.detach_disks(ctx, row, wish)), disks=disks,
        boots=any(disk.attachment.boot_order == 1 for disk in disks), action=f"/instances/{row.id}/disks/detach",
    )  # fmt: skip


@router.post("/instances/{ref}/disks/detach")
def detach_disks(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Detach them."""
    wish = service.DetachWish(
        disks=words(typed, "id"), trash=words(typed, "trash"), boot_disk=ticked(typed, "boot_disk"),
        even_if_mounted=ticked(typed, "even_if_mounted"),
    )  # fmt: skip
    return accepted(ctx, submit(ctx, service.detach_disks(ctx, service.get(ctx, ref), wish)))


@router.get("/volumes/{ref}/grow")
def grow_dialog(ctx: Ctx, ref: str) -> Response:
    """The dialog that asks for a larger size."""
    volume = get_volume(ctx, ref)
    ctx.may("volume.grow", volume.project_id)
    return render(ctx, "compute/grow_dialog.html", volume=volume, action=f"/volumes/{volume.id}/grow")


@router.post("/volumes/{ref}/grow")
def grow(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Grow it."""
    return accepted(ctx, submit(ctx, service.grow(ctx, get_volume(ctx, ref), _size(typed))))
