"""Pages of whole volumes: the form that copies one, the dialog and the page that give one out as a file."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.context import Context
from yun.base.errors import Conflict
from yun.compute import service
from yun.identity import service as identity
from yun.images.service import get_export
from yun.operations.intent import Intent
from yun.operations.service import submit
from yun.storage.model import Pool
from yun.storage.service import get_volume, list_pools
from yun.web.pages import Ctx, FormData, PageRoute, Typed, accepted, live_preview, render, ticked, word

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/volumes/{ref}/copy")
def form(ctx: Ctx, ref: str) -> Response:
    """Fields left, what would happen right."""
    volume = get_volume(ctx, ref)
    ctx.may("volume.copy", volume.project_id)
    host = ctx.session.get_one(Pool, volume.pool_id).host_id
    action = f"/volumes/{volume.id}/copy"
    return render(
        ctx, "compute/volume_copy.html", volume=volume, action=action, preview_url=f"{action}/preview",
        pools=[p for p in list_pools(ctx, limit=1000).items if p.host_id == host],
        projects=[p for p in identity.list_projects(ctx, limit=200).items if ctx.allowed("volume.create", p.id)],
    )  # fmt: skip


def _copy(ctx: Context, ref: str, form: FormData) -> Intent:
    volume = get_volume(ctx, ref)
    project = word(form, "project")
    return service.copy(
        ctx, volume, name=word(form, "name"), pool=word(form, "pool"),
        project=None if project == volume.project_id else project,
    )  # fmt: skip


@router.post("/volumes/{ref}/copy/preview")
def plan_copy(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """What copying it would do."""
    return live_preview(ctx, lambda: _copy(ctx, ref, typed))


@router.post("/volumes/{ref}/copy")
def copy(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Copy it and show the copy."""
    operation = submit(ctx, _copy(ctx, ref, typed))
    here = operation.project_id == (ctx.project_id or operation.project_id)
    return accepted(ctx, operation, location=f"/volumes/{operation.subject_id}" if here else "/volumes")


@router.get("/volumes/{ref}/download")
def download_form(ctx: Ctx, ref: str) -> Response:
    """In which format? With what happens beside it."""
    volume = get_volume(ctx, ref)
    ctx.may("volume.download", volume.project_id)
    action = f"/volumes/{volume.id}/download"
    return render(
        ctx, "compute/volume_download.html", volume=volume, action=action, preview_url=f"{action}/preview"
    )


def _download(ctx: Context, ref: str, form: FormData) -> Intent:
    return service.download(
        ctx, get_volume(ctx, ref), format=word(form, "format") or "qcow2", compress=ticked(form, "compress")
    )


@router.post("/volumes/{ref}/download/preview")
def plan_download(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """What making the file would do."""
    return live_preview(ctx, lambda: _download(ctx, ref, typed))


@router.post("/volumes/{ref}/download")
def download(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Make the file; the page it leads to gives it out."""
    intent = _download(ctx, ref, typed)
    operation = submit(ctx, intent)
    location = f"/volumes/{operation.subject_id}/exports/{intent.arguments['export_id']}"
    return accepted(ctx, operation, location=location)


@router.get("/volumes/{ref}/exports/{identifier}")
def exported(ctx: Ctx, ref: str, identifier: str) -> Response:
    """Where the file is waited for and downloaded."""
    volume = get_volume(ctx, ref)
    try:
        made = get_export(ctx, identifier)
    except Conflict:
        made = None
    return render(
        ctx, "compute/volume_exported.html", volume=volume, export=made, identifier=identifier,
        live="operation volume",
    )  # fmt: skip
