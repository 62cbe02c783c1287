"""REST of routers."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from yun.base.context import Context
from yun.network import service
from yun.network.api import show
from yun.network.model import Router
from yun.network.service import NewRouter
from yun.operations.answer import answer
from yun.web.api import Ctx, Match, Route, tag

router = APIRouter(route_class=Route, tags=["routers"])


class RouterBody(BaseModel):
    """A router to be made."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=400)
    description: str = Field("", max_length=4000)
    external: bool = Field(True, description="Whether it has a way out.")
    network: str | None = Field(None, max_length=400, description="An external network; the cloud's own if left out.")
    address: str | None = Field(None, max_length=60, description="The lowest free one if left out.")
    snat: bool = Field(True, description="Whether what leaves gets its outside address as the sender.")


class RouterChanges(BaseModel):
    """What to change of a router; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, max_length=400)
    description: str | None = Field(None, max_length=4000)
    snat: bool | None = None


class InterfaceBody(BaseModel):
    """A leg to be added."""

    model_config = ConfigDict(extra="forbid")

    subnet: str = Field(max_length=400, description="Name, range or id of the subnet.")
    address: str | None = Field(None, max_length=60, description="The subnet's gateway, else the lowest free one.")


class GatewayBody(BaseModel):
    """The way out that a router is to have."""

    model_config = ConfigDict(extra="forbid")

    network: str | None = Field(None, max_length=400, description="An external network; the cloud's own if left out.")
    address: str | None = Field(None, max_length=60, description="The lowest free one if left out.")


class RouteBody(BaseModel):
    """A static route to be added."""

    model_config = ConfigDict(extra="forbid")

    destination: str = Field(max_length=60, examples=["10.9.0.0/16"])
    next_hop: str = Field(max_length=60, examples=["10.1.0.9"])


def _show(ctx: Context, row: Router) -> dict[str, Any]:
    return show.router(row, ctx.session)


@router.get("/routers", summary="List routers")
def list_routers(
    ctx: Ctx, sort: str = Query("name", max_length=40), cursor: str | None = Query(None, max_length=1000),
    limit: int = Query(100, ge=1, le=1000),
    q: str = Query("", max_length=1000, description="Such as `snat:yes text`."),
) -> dict[str, Any]:  # fmt: skip
    """The project's routers."""
    page = service.list_of(ctx, Router, sort=sort, cursor=cursor, limit=limit, q=q)
    return {"items": [_show(ctx, r) for r in page.items], "next": page.next}


@router.get("/routers/{ref}", summary="Show a router")
def show_router(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
    """One router, by name or id."""
    row = service.get_router(ctx, ref)
    tag(response, row)
    return _show(ctx, row)


@router.post("/routers", summary="Create a router", status_code=201)
def create_router(ctx: Ctx, body: RouterBody, dry_run: bool = False) -> JSONResponse:
    """A router, with a way out unless it is to have none."""
    intent = service.create_router(ctx, NewRouter(**body.model_dump()))
    made = intent.subject.id
    return answer(ctx, intent, dry_run=dry_run, status=201, row=lambda: _show(ctx, service.get_router(ctx, made)))


@router.patch("/routers/{ref}", summary="Change a router")
def update_router(ctx: Ctx, ref: str, body: RouterChanges, match: Match, dry_run: bool = False) -> JSONResponse:
    """Its name, its description, source NAT on or off."""
    row = service.get_router(ctx, ref)
    match.check(row)
    intent = service.update_router(ctx, row, **body.model_dump())
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _show(ctx, row))


@router.delete("/routers/{ref}", summary="Delete a router")
def delete_router(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """Into the trash; refused while something leads through it."""
    row = service.get_router(ctx, ref)
    match.check(row)
    return answer(ctx, service.delete_router(ctx, row), dry_run=dry_run, row=lambda: _show(ctx, row))


@router.post("/routers/{ref}/interfaces", summary="Connect a router with a subnet")
def add_interface(ctx: Ctx, ref: str, body: InterfaceBody, match: Match, dry_run: bool = False) -> JSONResponse:
    """Its subnets reach each other through it."""
    row = service.get_router(ctx, ref)
    match.check(row)
    intent = service.add_interface(ctx, row, service.get_subnet(ctx, body.subnet), body.address)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _show(ctx, row))


@router.delete("/routers/{ref}/interfaces/{interface:path}", summary="Take a router off a subnet")
def remove_interface(ctx: Ctx, ref: str, interface: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """``interface`` is its id or address, or the subnet's name, range or id."""
    row = service.get_router(ctx, ref)
    match.check(row)
    intent = service.remove_interface(ctx, row, service.interface_of(ctx.session, row, interface))
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _show(ctx, row))


@router.post("/routers/{ref}/gateway", summary="Give a router a way out")
def set_gateway(
    ctx: Ctx, ref: str, match: Match, body: GatewayBody | None = None, dry_run: bool = False
) -> JSONResponse:
    """It leads to an external network."""
    row = service.get_router(ctx, ref)
    match.check(row)
    wish = body or GatewayBody()  # type: ignore[call-arg]
    intent = service.set_gateway(ctx, row, wish.network, wish.address)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _show(ctx, row))


@router.delete("/routers/{ref}/gateway", summary="Take a router's way out")
def clear_gateway(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """It leads nowhere outside."""
    row = service.get_router(ctx, ref)
    match.check(row)
    return answer(ctx, service.clear_gateway(ctx, row), dry_run=dry_run, row=lambda: _show(ctx, row))


@router.post("/routers/{ref}/routes", summary="Add a static route to a router")
def add_route(ctx: Ctx, ref: str, body: RouteBody, match: Match, dry_run: bool = False) -> JSONResponse:
    """What goes to the destination is handed to the next hop."""
    row = service.get_router(ctx, ref)
    match.check(row)
    intent = service.add_route(ctx, row, body.destination, body.next_hop)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _show(ctx, row))


@router.delete("/routers/{ref}/routes/{route:path}", summary="Remove a static route from a router")
def remove_route(ctx: Ctx, ref: str, route: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """``route`` is its id or its destination."""
    row = service.get_router(ctx, ref)
    match.check(row)
    intent = service.remove_route(ctx, row, route)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _show(ctx, row))
