"""Pages of copies: the forms that clone an instance and make an image of one, with the live preview beside them."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.context import Context
from yun.base.messages import _
from yun.base.units import MIB, parse_size
from yun.compute import service
from yun.compute.model import Instance
from yun.identity import service as identity
from yun.images.service import NewImage
from yun.network import service as network
from yun.network.model import Network
from yun.operations.intent import Intent
from yun.operations.service import submit
from yun.storage.service import get_volume
from yun.web.pages import Ctx, FormData, PageRoute, Typed, accepted, live_preview, number, render, ticked, word
from yun.web.pages import preview as dialog

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/instances/{ref}/clone")
def form(ctx: Ctx, ref: str) -> Response:
    """Fields left, what would happen right."""
    row = service.get(ctx, ref)
    ctx.may("instance.clone", row.project_id)
    here = ctx.project_id == row.project_id
    return render(
        ctx, "compute/clone_form.html", row=row, action=f"/instances/{row.id}/clone",
        preview_url=f"/instances/{row.id}/clone/preview", name=_free(ctx, row),
        flavors=service.list_flavors(ctx, limit=200).items,
        networks=network.list_of(ctx, Network, sort="name", limit=200).items if here else [],
        projects=[p for p in identity.list_projects(ctx, limit=200).items if ctx.allowed("instance.create", p.id)],
    )  # fmt: skip


def _free(ctx: Context, row: Instance) -> str:
    return service.free_name(ctx, row.name) if ctx.project_id == row.project_id else f"{row.name}-2"


def _wanted(ctx: Context, ref: str, typed: FormData) -> Intent:
    memory = word(typed, "memory_mib")
    project = word(typed, "project")
    count = number(typed, "count")
    row = service.get(ctx, ref)
    wish = service.CloneWish(
        name=word(typed, "name") or "", count=1 if count is None else count, full=ticked(typed, "full"),
        flavor=word(typed, "flavor"), vcpus=number(typed, "vcpus"),
        memory_mib=parse_size(memory, field="memory_mib", default_unit="m") // MIB if memory else None,
        network=word(typed, "network"), project=None if project == row.project_id else project,
        start=ticked(typed, "start"),
    )  # fmt: skip
    return service.clone(ctx, row, wish)


@router.post("/instances/{ref}/clone/preview")
def preview(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """What pressing *Clone* would do now."""
    return live_preview(ctx, lambda: _wanted(ctx, ref, typed))


@router.post("/instances/{ref}/clone")
def clone(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Make the copies, and show the only one or all of them."""
    operation = submit(ctx, _wanted(ctx, ref, typed))
    many = len(operation.arguments["copies"]) > 1
    return accepted(ctx, operation, location="/instances" if many else f"/instances/{operation.subject_id}")


@router.get("/instances/{ref}/make-image")
def image_form(ctx: Ctx, ref: str) -> Response:
    """The form for an image of it."""
    row = service.get(ctx, ref)
    ctx.may("instance.make_image", row.project_id)
    base = f"/instances/{row.id}/make-image"
    return render(ctx, "compute/make_image_form.html", row=row, action=base, preview_url=f"{base}/preview")


def _image(ctx: Context, ref: str, typed: FormData) -> Intent:
    new = NewImage(
        word(typed, "name") or "", {"description": word(typed, "description") or ""},
        compress=ticked(typed, "compress"), visibility="public" if ticked(typed, "public") else "private",
    )  # fmt: skip
    return service.make_image(ctx, service.get(ctx, ref), new)


@router.post("/instances/{ref}/make-image/preview")
def image_preview(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """What pressing *Make image* would do now."""
    return live_preview(ctx, lambda: _image(ctx, ref, typed))


@router.post("/instances/{ref}/make-image")
def make_image(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Make it and show its page."""
    operation = submit(ctx, _image(ctx, ref, typed))
    return accepted(ctx, operation, location=f"/images/{operation.subject_id}")


@router.get("/volumes/{ref}/flatten/preview")
def flatten_preview(ctx: Ctx, ref: str) -> Response:
    """What flattening does."""
    volume = get_volume(ctx, ref)
    return dialog(ctx, service.flatten(ctx, volume), action=f"/volumes/{volume.id}/flatten", confirm=_("Flatten"))


@router.post("/volumes/{ref}/flatten")
def flatten(ctx: Ctx, ref: str) -> Response:
    """Flatten it."""
    return accepted(ctx, submit(ctx, service.flatten(ctx, get_volume(ctx, ref))))
