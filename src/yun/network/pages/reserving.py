"""Pages of a subnet's addresses: who has which, and those that are reserved."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.messages import _
from yun.network import service
from yun.network.model import Network
from yun.operations.service import submit
from yun.web.pages import Ctx, PageRoute, Typed, accepted, preview, render, word

router = APIRouter(route_class=PageRoute, include_in_schema=False)
LINKS = {
    "port": "/networks/ports/", "floating_ip": "/networks/floating-ips?q=", "router": "/networks/routers?q=",
    "load_balancer": "/networks/load-balancers/",
}  # fmt: skip

KINDS = {
    "port": _("port"), "floating_ip": _("floating IP"), "router": _("router"), "load_balancer": _("load balancer"),
    "gateway": _("gateway"), "probe": _("health checks"), "reserved": _("reserved"), "free": _("free"),
}  # fmt: skip


@router.get("/subnets/{ref}/addresses")
def addresses(ctx: Ctx, ref: str, cursor: int = -1) -> Response:
    """Who has which address of the subnet."""
    found = service.get_subnet(ctx, ref)
    page = service.addresses_in(ctx, found, after=max(-1, min(cursor, 2**63)))
    free, total = service.pool_use(ctx.session, found)
    return render(
        ctx, "network/addresses.html", subnet=found, network=ctx.session.get_one(Network, found.network_id), page=page,
        free=free, total=total, said=service.said_of, links=LINKS, kinds=KINDS,
        live=f"subnet:{found.id} port floating_ip router",
    )  # fmt: skip


@router.get("/subnets/{ref}/reserve")
def reserve_dialog(ctx: Ctx, ref: str, range: str = "") -> Response:
    """The dialog for a reservation."""
    found = service.get_subnet(ctx, ref)
    ctx.may("subnet.reserve", found.project_id)
    return render(
        ctx, "network/reserve_dialog.html", action=f"/subnets/{found.id}/reserve", subnet=found, range=range[:100]
    )


@router.post("/subnets/{ref}/reserve")
def reserve(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Give the addresses to nobody."""
    found = service.get_subnet(ctx, ref)
    intent = service.reserve(ctx, found, word(typed, "range") or "", word(typed, "note") or "")
    return accepted(ctx, submit(ctx, intent), location=f"/subnets/{found.id}/addresses")


@router.get("/subnets/{ref}/reservations/{range_id}/unreserve/preview")
def unreserve_preview(ctx: Ctx, ref: str, range_id: str) -> Response:
    """What taking it back does."""
    found = service.get_subnet(ctx, ref)
    action = f"/subnets/{found.id}/reservations/{range_id}/unreserve"
    return preview(ctx, service.unreserve(ctx, found, range_id), action=action, confirm=_("Take back"))


@router.post("/subnets/{ref}/reservations/{range_id}/unreserve")
def unreserve(ctx: Ctx, ref: str, range_id: str) -> Response:
    """Take it back."""
    found = service.get_subnet(ctx, ref)
    operation = submit(ctx, service.unreserve(ctx, found, range_id))
    return accepted(ctx, operation, location=f"/subnets/{found.id}/addresses")
