"""REST of physical networks."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from yun.network import service
from yun.network.model import PhysicalNetwork
from yun.operations.answer import answer, moment
from yun.web.api import Ctx, Match, Route, tag

router = APIRouter(route_class=Route, prefix="/physical-networks", tags=["networks"])


class PhysicalBody(BaseModel):
    """How a host reaches a physical network."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=100, examples=["lan"])
    bridge: str = Field(max_length=100, description="Bridge of Open vSwitch; made where it is missing.")
    interface: str = Field("", max_length=100, description="Card that is put into the bridge.")
    host: str | None = Field(None, max_length=400, description="Name or id; null: this host.")
    description: str = Field("", max_length=4000)


def physical(row: PhysicalNetwork) -> dict[str, Any]:
    """A physical network as JSON."""
    return {
        "id": row.id, "name": row.name, "host_id": row.host_id, "bridge": row.bridge,
        "interface": row.interface or None, "description": row.description, "created_at": moment(row.created_at),
        "updated_at": moment(row.updated_at), "revision": row.revision,
    }  # fmt: skip


@router.get("", summary="List physical networks")
def list_physical(
    ctx: Ctx, cursor: str | None = Query(None, max_length=1000), limit: int = Query(100, ge=1, le=1000)
) -> dict[str, Any]:
    """As each host reaches them, by name."""
    page = service.list_physical(ctx, cursor=cursor, limit=limit)
    return {"items": [physical(r) for r in page.items], "next": page.next}


@router.post("", summary="Describe a physical network", status_code=201)
def create_physical(ctx: Ctx, body: PhysicalBody, dry_run: bool = False) -> JSONResponse:
    """The host reaches it by the bridge."""
    intent = service.create_physical(ctx, service.NewPhysical(**body.model_dump()))
    made = intent.subject.id
    return answer(ctx, intent, dry_run=dry_run, status=201, row=lambda: physical(service.get_physical(ctx, made)))


@router.get("/{ref}", summary="Show a physical network")
def show_physical(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
    """One, by id, or by a name that one host alone has."""
    row = service.get_physical(ctx, ref)
    tag(response, row)
    return physical(row)


@router.delete("/{ref}", summary="Forget a physical network")
def delete_physical(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """Refused while networks are on it."""
    row = service.get_physical(ctx, ref)
    match.check(row)
    return answer(ctx, service.delete_physical(ctx, row), dry_run=dry_run, row=lambda: physical(row))
