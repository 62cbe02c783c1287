"""Pages of floating IPs."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.errors import Invalid
from yun.base.messages import _
from yun.network import service
from yun.network.api import show
from yun.network.model import FloatingIp, Port
from yun.network.service.search import FIELDS
from yun.operations.service import submit
from yun.web.pages import Ctx, Listing, PageRoute, Typed, accepted, preview, render, word
from yun.web.searching import searched

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/networks/floating-ips")
def floating_ips(ctx: Ctx, q: str = "", sort: str = "address", cursor: str | None = None) -> Response:
    """The project's floating IPs and where they lead."""
    page, fault = searched(ctx, q, FIELDS[FloatingIp], lambda words: service.list_of(
        ctx, FloatingIp, sort=sort, cursor=cursor, q=words
    ))  # fmt: skip
    listing = Listing(
        "/networks/floating-ips", page, sort=sort, filters={"q": q}, cursor=cursor, live="floating_ip port",
        fault=fault,
    )  # fmt: skip
    ports = service.ports_by_id(ctx.session, [f.port_id for f in page.items if f.port_id])
    return render(ctx, "network/floating.html", listing=listing, ports=ports, tab="floating")


@router.get("/networks/floating-ips/new")
def allocate_dialog(ctx: Ctx) -> Response:
    """The dialog for one more address."""
    ctx.may("floating_ip.allocate")
    return render(ctx, "network/floating_dialog.html", action="/networks/floating-ips")


@router.post("/networks/floating-ips")
def allocate(ctx: Ctx, typed: Typed) -> Response:
    """Take an outside address."""
    return accepted(ctx, submit(ctx, service.allocate(ctx, word(typed, "address"))), location="/networks/floating-ips")


@router.get("/networks/floating-ips/{ref}/associate")
def associate_dialog(ctx: Ctx, ref: str) -> Response:
    """The dialog that chooses a port."""
    found = service.get_floating_ip(ctx, ref)
    ctx.may("floating_ip.associate", found.project_id)
    page = service.list_of(ctx, Port, sort="created_at", limit=500)
    ports = [p for p in show.ports(ctx.session, page.items) if not p["floating_address"]]
    action = f"/networks/floating-ips/{found.id}/associate"
    return render(ctx, "network/associate_dialog.html", action=action, floating=found, ports=ports)


@router.post("/networks/floating-ips/{ref}/associate")
def associate(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Let the address lead to a port."""
    chosen = word(typed, "port")
    if chosen is None:
        raise Invalid(_("Choose a port."), fields={"port": _("a port's id, address, MAC or host name")})
    intent = service.associate(ctx, service.get_floating_ip(ctx, ref), service.get_port(ctx, chosen))
    return accepted(ctx, submit(ctx, intent))


@router.get("/networks/floating-ips/{ref}/disassociate/preview")
def disassociate_preview(ctx: Ctx, ref: str) -> Response:
    """What taking it off its port does."""
    found = service.get_floating_ip(ctx, ref)
    intent = service.disassociate(ctx, found)
    return preview(ctx, intent, action=f"/networks/floating-ips/{found.id}/disassociate", confirm=_("Disassociate"))


@router.post("/networks/floating-ips/{ref}/disassociate")
def disassociate(ctx: Ctx, ref: str) -> Response:
    """Take it off its port."""
    return accepted(ctx, submit(ctx, service.disassociate(ctx, service.get_floating_ip(ctx, ref))))


@router.get("/networks/floating-ips/{ref}/release/preview")
def release_preview(ctx: Ctx, ref: str) -> Response:
    """What giving it back does."""
    found = service.get_floating_ip(ctx, ref)
    action = f"/networks/floating-ips/{found.id}/release"
    return preview(ctx, service.release(ctx, found), action=action, confirm=_("Release"))


@router.post("/networks/floating-ips/{ref}/release")
def release(ctx: Ctx, ref: str) -> Response:
    """Give it back."""
    return accepted(ctx, submit(ctx, service.release(ctx, service.get_floating_ip(ctx, ref))))
