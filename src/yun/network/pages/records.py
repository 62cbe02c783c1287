"""Pages of a network's names: of its machines, and records of its own."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.messages import _
from yun.network import service
from yun.network.api import show
from yun.network.model import Port
from yun.operations.service import submit
from yun.web.pages import Ctx, PageRoute, Typed, accepted, preview, render, word

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/networks/{ref}/names")
def names(ctx: Ctx, ref: str, cursor: str | None = None) -> Response:
    """What the network's DNS answers."""
    found = service.get_network(ctx, ref)
    ctx.may("dns_record.list", found.project_id)
    page = service.list_of(ctx, Port, filters={"network_id": found.id}, sort="created_at", cursor=cursor)
    ports = [p for p in show.ports(ctx.session, page.items) if p["hostname"]]
    return render(
        ctx, "network/names.html", network=found, records=service.records_of(ctx.session, found.id), ports=ports,
        next=page.next, live=f"network:{found.id} port dns_record",
    )  # fmt: skip


@router.get("/networks/{ref}/names/new")
def record_dialog(ctx: Ctx, ref: str) -> Response:
    """The dialog for a record."""
    found = service.get_network(ctx, ref)
    ctx.may("dns_record.create", found.project_id)
    return render(ctx, "network/record_dialog.html", action=f"/networks/{found.id}/names", network=found)


@router.post("/networks/{ref}/names")
def create_record(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Answer one more name."""
    found = service.get_network(ctx, ref)
    intent = service.create_record(ctx, found, word(typed, "name") or "", word(typed, "address") or "")
    return accepted(ctx, submit(ctx, intent), location=f"/networks/{found.id}/names")


@router.get("/dns-records/{ref}/delete/preview")
def delete_preview(ctx: Ctx, ref: str) -> Response:
    """What deleting does."""
    intent = service.delete_record(ctx, service.get_record(ctx, ref))
    return preview(ctx, intent, action=f"/dns-records/{ref}/delete", confirm=_("Delete"))


@router.post("/dns-records/{ref}/delete")
def delete_record(ctx: Ctx, ref: str) -> Response:
    """Answer it no more."""
    found = service.get_record(ctx, ref)
    return accepted(ctx, submit(ctx, service.delete_record(ctx, found)), location=f"/networks/{found.network_id}/names")
