"""Pages of port forwardings."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.context import Context
from yun.base.errors import Invalid
from yun.base.messages import _
from yun.network import service
from yun.network.api import show
from yun.network.model import FloatingIp, Port, PortForwarding
from yun.network.service.search import FIELDS
from yun.operations.intent import Intent
from yun.operations.service import submit
from yun.web.pages import (
    Ctx,
    FormData,
    Listing,
    PageRoute,
    Typed,
    accepted,
    live_preview,
    number,
    preview,
    render,
    word,
)
from yun.web.searching import searched

router = APIRouter(route_class=PageRoute, include_in_schema=False)
BASE = "/networks/port-forwardings"


@router.get("/networks/port-forwardings")
def forwardings(ctx: Ctx, q: str = "", sort: str = "created_at", cursor: str | None = None) -> Response:
    """The project's port forwardings."""
    page, fault = searched(ctx, q, FIELDS[PortForwarding], lambda words: service.list_of(
        ctx, PortForwarding, sort=sort, cursor=cursor, q=words
    ))  # fmt: skip
    listing = Listing(
        BASE, page, sort=sort, filters={"q": q}, cursor=cursor, live="port_forwarding floating_ip port", fault=fault
    )
    shown = show.forwardings(ctx.session, page.items)
    return render(ctx, "network/forwardings.html", listing=listing, shown=shown, tab="forwardings")


@router.get("/networks/port-forwardings/new")
def forwarding_form(ctx: Ctx, port: str = "", floating_ip: str = "") -> Response:
    """The form for a forwarding."""
    ctx.may("port_forwarding.create")
    ports = service.list_of(ctx, Port, sort="created_at", limit=500).items
    choices = [
        (f"{p.id} {address}", f"{p.hostname or p.name} · {address}" if p.hostname or p.name else address)
        for p in ports for address in service.inner_choices(ctx.session, p)
    ]  # fmt: skip
    found = service.list_of(ctx, FloatingIp, sort="address", limit=500).items
    outside = [(f.id, f"{f.address} {f.name}".strip()) for f in found if f.port_id is None]
    return render(
        ctx, "network/forwarding_form.html", action=BASE, preview_url=f"{BASE}/new/preview", choices=choices,
        outside=outside, port=port, floating_ip=floating_ip,
    )  # fmt: skip


def _new(ctx: Context, form: FormData) -> Intent:
    chosen = word(form, "port")
    outside = number(form, "outside_port")
    if chosen is None:
        raise Invalid(_("Choose a port."), fields={"port": _("a port's id, address, MAC or host name")})
    if outside is None:
        raise Invalid(_("Which outside port?"), fields={"outside_port": _("{low} to {high}", low=1, high=65535)})
    port, _space, address = chosen.partition(" ")
    return service.create_forwarding(ctx, service.NewForwarding(
        port, outside, number(form, "outside_port_max"), number(form, "inner_port"), word(form, "protocol") or "tcp",
        word(form, "floating_ip"), address or None, word(form, "description") or "",
    ))  # fmt: skip


@router.post("/networks/port-forwardings/new/preview")
def plan_forwarding(ctx: Ctx, typed: Typed) -> Response:
    """What creating it would do."""
    return live_preview(ctx, lambda: _new(ctx, typed))


@router.post("/networks/port-forwardings")
def create_forwarding(ctx: Ctx, typed: Typed) -> Response:
    """Make a forwarding."""
    return accepted(ctx, submit(ctx, _new(ctx, typed)), location=BASE)


@router.get("/networks/port-forwardings/{ref}/delete/preview")
def delete_preview(ctx: Ctx, ref: str) -> Response:
    """What ending it does."""
    found = service.get_forwarding(ctx, ref)
    intent = service.delete_forwarding(ctx, found)
    return preview(ctx, intent, action=f"{BASE}/{found.id}/delete", confirm=_("Delete"))


@router.post("/networks/port-forwardings/{ref}/delete")
def delete_forwarding(ctx: Ctx, ref: str) -> Response:
    """End it."""
    return accepted(ctx, submit(ctx, service.delete_forwarding(ctx, service.get_forwarding(ctx, ref))))
