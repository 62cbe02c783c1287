"""Pages of ports: they are made with their instances, here they are looked at."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from yun.network import service
from yun.network.api import show
from yun.network.model import Network, Port, Subnet
from yun.network.service.search import FIELDS
from yun.web.pages import Ctx, Listing, PageRoute, render
from yun.web.searching import searched

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/networks/ports")
def ports(
    ctx: Ctx, q: str = "", state: str = "", sort: str = "created_at", cursor: str | None = None
) -> Response:
    """The project's ports."""
    page, fault = searched(ctx, q, FIELDS[Port], lambda words: service.list_of(
        ctx, Port, filters={"state": state or None}, sort=sort, cursor=cursor, q=words
    ))  # fmt: skip
    filters = {"q": q, "state": state}
    listing = Listing("/networks/ports", page, sort=sort, filters=filters, cursor=cursor, live="port", fault=fault)
    names = {n.id: n.name for n in service.list_of(ctx, Network, sort="name", limit=1000).items}
    return render(
        ctx, "network/ports.html", listing=listing, rows=show.ports(ctx.session, page.items), names=names, tab="ports"
    )


@router.get("/networks/ports/{ref}")
def port(ctx: Ctx, ref: str) -> Response:
    """One port."""
    found = service.get_port(ctx, ref)
    network, subnet = ctx.session.get(Network, found.network_id), ctx.session.get(Subnet, found.subnet_id)
    return render(
        ctx, "network/port.html", port=show.ports(ctx.session, [found])[0], network=network, subnet=subnet,
        live=f"port:{found.id}",
    )  # fmt: skip
