"""Pages of whole machines in one file: upload an OVA, look at what it contains and will become, import it."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.context import Context
from yun.base.errors import Conflict
from yun.base.messages import Message, _
from yun.base.units import MIB, parse_size
from yun.compute import service
from yun.images import service as images
from yun.network import service as network
from yun.network.model import Network
from yun.operations.intent import Intent
from yun.operations.service import submit
from yun.web.pages import Ctx, FormData, PageRoute, Typed, accepted, live_preview, number, preview, render, word

CONSISTENCY: dict[str | None, Message] = {
    "stopped": _("it was off"), "quiesced": _("brought to rest by its guest agent"),
    "crash": _("like after a power failure"),
}  # fmt: skip
router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/instances/import")
def upload(ctx: Ctx) -> Response:
    """The form that uploads; the page of the plan follows it."""
    ctx.may("instance.import")
    waiting = [row for row in images.list_uploads(ctx) if row.purpose == "appliance"]
    ready = [row for row in waiting if images.received(row) == row.length_bytes]
    return render(ctx, "compute/import.html", action="/instances/import", ready=ready)


@router.get("/instances/import/{identifier}")
def planned(ctx: Ctx, identifier: str) -> Response:
    """What the uploaded file contains, and what it will become."""
    row = images.get_upload(ctx, identifier)
    action = f"/instances/import/{row.id}"
    found = service.contents(ctx, row)
    return render(
        ctx, "compute/import_plan.html", found=found, name=service.free_name(ctx, found["name"]), action=action,
        preview_url=f"{action}/preview", networks=network.list_of(ctx, Network, sort="name", limit=200).items,
    )  # fmt: skip


def _intent(ctx: Context, identifier: str, form: FormData) -> Intent:
    memory = word(form, "memory_mib")
    wish = service.ImportWish(
        name=word(form, "name"), network=word(form, "network"), vcpus=number(form, "vcpus"),
        memory_mib=parse_size(memory, field="memory_mib", default_unit="m") // MIB if memory else None,
        description=word(form, "description") or "",
    )  # fmt: skip
    return service.import_appliance(ctx, images.get_upload(ctx, identifier), wish)


@router.post("/instances/import/{identifier}/preview")
def plan_import(ctx: Ctx, identifier: str, typed: Typed) -> Response:
    """What pressing *Import* would do now."""
    return live_preview(ctx, lambda: _intent(ctx, identifier, typed))


@router.post("/instances/import/{identifier}")
def import_(ctx: Ctx, identifier: str, typed: Typed) -> Response:
    """Import it and show its page."""
    operation = submit(ctx, _intent(ctx, identifier, typed))
    return accepted(ctx, operation, location=f"/instances/{operation.subject_id}")


@router.get("/instances/{ref}/export/preview")
def export_preview(ctx: Ctx, ref: str) -> Response:
    """What exporting does."""
    found = service.get(ctx, ref)
    return preview(ctx, service.export(ctx, found), action=f"/instances/{found.id}/export", confirm=_("Make the copy"))


@router.post("/instances/{ref}/export")
def export(ctx: Ctx, ref: str) -> Response:
    """Make the copy; the page it leads to gives it out."""
    found = service.get(ctx, ref)
    intent = service.export(ctx, found)
    operation = submit(ctx, intent)
    return accepted(
        ctx, operation, location=f"/instances/{found.id}/exports/{intent.arguments['export_id']}"
    )


@router.get("/instances/{ref}/exports/{identifier}")
def exported(ctx: Ctx, ref: str, identifier: str) -> Response:
    """Where the copy is waited for and downloaded."""
    found = service.get(ctx, ref)
    try:
        made = images.get_export(ctx, identifier)
    except Conflict:
        made = None
    how = CONSISTENCY.get(service.consistency_of(ctx, found, identifier))
    return render(
        ctx, "compute/exported.html", row=found, export=made, identifier=identifier, live="operation instance", how=how
    )
