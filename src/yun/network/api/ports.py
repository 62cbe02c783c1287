"""REST of ports: they are made and removed with their instances."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from yun.network import service
from yun.network.api import show
from yun.network.model import Port
from yun.web.api import Ctx, Route, tag

router = APIRouter(route_class=Route, prefix="/ports", tags=["ports"])


@router.get("", summary="List ports")
def list_ports(
    ctx: Ctx,
    network: str | None = Query(None, max_length=400),
    instance_id: str | None = Query(None, max_length=40),
    state: str | None = Query(None, max_length=20, description="down, up or trashed"),
    sort: str = Query("created_at", max_length=40),
    cursor: str | None = Query(None, max_length=1000),
    limit: int = Query(100, ge=1, le=1000),
    q: str = Query("", max_length=1000, description="Such as `address:10.1. group:web text`."),
) -> dict[str, Any]:
    """The project's ports, of one network or instance if asked."""
    inside = service.get_network(ctx, network).id if network else None
    filters = {"network_id": inside, "instance_id": instance_id, "state": state}
    page = service.list_of(ctx, Port, filters=filters, sort=sort, cursor=cursor, limit=limit, q=q)
    return {"items": show.ports(ctx.session, page.items), "next": page.next}


@router.get("/{ref}", summary="Show a port")
def show_port(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
    """One port, by id, address, MAC, host name, or the id of its instance."""
    row = service.get_port(ctx, ref)
    tag(response, row)
    return show.ports(ctx.session, [row])[0]
