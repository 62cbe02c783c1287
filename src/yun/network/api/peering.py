"""REST of peerings."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from yun.base.context import Context
from yun.network import service
from yun.network.api import show
from yun.network.model import NetworkPeering
from yun.network.service import NewPeering
from yun.operations.answer import answer
from yun.web.api import Ctx, Match, Route, tag

router = APIRouter(route_class=Route, prefix="/network-peerings", tags=["network peerings"])


class PeeringBody(BaseModel):
    """A peering to be asked for."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=400)
    router: str = Field(max_length=400, description="One's own router.")
    ranges: list[str] = Field(max_length=100, description="Subnets on it by name or id, or ranges within them.")
    project: str = Field(max_length=400, description="The other project's id.")
    peer_ranges: list[str] = Field(max_length=100, description="What is to be reached there.")
    description: str = Field("", max_length=4000)


class AcceptBody(BaseModel):
    """What the other side agrees with."""

    model_config = ConfigDict(extra="forbid")

    router: str = Field(max_length=400, description="The own router behind which the ranges that are asked for are.")


def _show(ctx: Context, row: NetworkPeering) -> dict[str, Any]:
    return show.peering(ctx, row)


@router.get("", summary="List network peerings")
def list_peerings(
    ctx: Ctx, state: str | None = Query(None, max_length=20, description="requested, active or trashed"),
    sort: str = Query("name", max_length=40), cursor: str | None = Query(None, max_length=1000),
    limit: int = Query(100, ge=1, le=1000),
) -> dict[str, Any]:  # fmt: skip
    """Those that the project asked for, and those that it is asked for."""
    page = service.list_peerings(ctx, state=state, sort=sort, cursor=cursor, limit=limit)
    return {"items": [_show(ctx, p) for p in page.items], "next": page.next}


@router.post("", summary="Ask for a network peering", status_code=201)
def create_peering(ctx: Ctx, body: PeeringBody, dry_run: bool = False) -> JSONResponse:
    """Another project is asked; nothing flows before it accepts."""
    intent = service.create_peering(ctx, NewPeering(**body.model_dump()))
    made = intent.subject.id
    return answer(ctx, intent, dry_run=dry_run, status=201, row=lambda: _show(ctx, service.get_peering(ctx, made)))


@router.get("/{ref}", summary="Show a network peering")
def show_peering(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
    """One peering, by name or id."""
    row = service.get_peering(ctx, ref)
    tag(response, row)
    return _show(ctx, row)


@router.post("/{ref}/accept", summary="Accept a network peering")
def accept_peering(ctx: Ctx, ref: str, body: AcceptBody, match: Match, dry_run: bool = False) -> JSONResponse:
    """The agreed ranges reach each other from now on."""
    row = service.get_peering(ctx, ref)
    match.check(row)
    intent = service.accept_peering(ctx, row, body.router)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _show(ctx, row))


@router.delete("/{ref}", summary="End a network peering")
def delete_peering(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """Either side may; a request is taken back or turned down."""
    row = service.get_peering(ctx, ref)
    match.check(row)
    return answer(ctx, service.delete_peering(ctx, row), dry_run=dry_run, row=lambda: _show(ctx, row))
