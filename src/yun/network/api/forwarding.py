"""REST of port forwardings."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from yun.base.context import Context
from yun.network import service
from yun.network.api import show
from yun.network.model import PortForwarding
from yun.network.service import NewForwarding
from yun.operations.answer import answer
from yun.web.api import Ctx, Match, Route, tag

router = APIRouter(route_class=Route, prefix="/port-forwardings", tags=["port forwardings"])
Wide = Annotated[int, Field(ge=-(2**53), le=2**53)]


class ForwardingBody(BaseModel):
    """A port forwarding to be made."""

    model_config = ConfigDict(extra="forbid")

    port: str = Field(max_length=400, description="A port's id, address, MAC or host name, or an instance's id.")
    outside_port: Wide
    outside_port_max: Wide | None = Field(None, description="The end of a range of at most 100 ports.")
    inner_port: Wide | None = Field(None, description="The first port inside; the outside one where left out.")
    protocol: str = Field("tcp", max_length=20, description="tcp or udp")
    floating_ip: str | None = Field(None, max_length=400, description="The router's own address where left out.")
    inner_address: str | None = Field(None, max_length=60, description="Which of the port's addresses.")
    description: str = Field("", max_length=1000)


def _show(ctx: Context, row: PortForwarding) -> dict[str, Any]:
    return show.forwardings(ctx.session, [row])[0]


@router.get("", summary="List port forwardings")
def list_forwardings(
    ctx: Ctx, state: str | None = Query(None, max_length=20), sort: str = Query("created_at", max_length=40),
    cursor: str | None = Query(None, max_length=1000), limit: int = Query(100, ge=1, le=1000),
    q: str = Query("", max_length=1000, description="Such as `outside:2222 protocol:tcp text`."),
) -> dict[str, Any]:  # fmt: skip
    """The project's port forwardings."""
    page = service.list_of(ctx, PortForwarding, filters={"state": state}, sort=sort, cursor=cursor, limit=limit, q=q)
    return {"items": show.forwardings(ctx.session, page.items), "next": page.next}


@router.post("", summary="Create a port forwarding", status_code=201)
def create_forwarding(ctx: Ctx, body: ForwardingBody, dry_run: bool = False) -> JSONResponse:
    """Ports of an outside address lead to a machine."""
    intent = service.create_forwarding(ctx, NewForwarding(**body.model_dump()))
    made = intent.subject.id
    return answer(
        ctx, intent, dry_run=dry_run, status=201, row=lambda: _show(ctx, service.get_forwarding(ctx, made))
    )


@router.get("/{ref:path}", summary="Show a port forwarding")
def show_forwarding(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
    """One port forwarding, by id or as ``ADDRESS:PORT`` or ``ADDRESS:PORT/udp``."""
    row = service.get_forwarding(ctx, ref)
    tag(response, row)
    return _show(ctx, row)


@router.delete("/{ref:path}", summary="Delete a port forwarding")
def delete_forwarding(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """The outside ports lead nowhere."""
    row = service.get_forwarding(ctx, ref)
    match.check(row)
    return answer(ctx, service.delete_forwarding(ctx, row), dry_run=dry_run, row=lambda: _show(ctx, row))
