"""REST of service chains."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from yun.base.context import Context
from yun.network import service
from yun.network.api import show
from yun.network.model import ServiceChain
from yun.network.service import ChainChanges, NewChain, NewHop
from yun.operations.answer import answer
from yun.web.api import Ctx, Match, Route, tag

router = APIRouter(route_class=Route, prefix="/service-chains", tags=["service chains"])


class HopBody(BaseModel):
    """A machine in a chain, by its ports."""

    model_config = ConfigDict(extra="forbid")

    inner: str = Field(max_length=400, description="Its port on the side of the subnet: id, address, MAC or name.")
    outer: str | None = Field(None, max_length=400, description="Its port on the other side; the same if left out.")


class ChainBody(BaseModel):
    """A chain to be made."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=400)
    description: str = Field("", max_length=4000)
    subnet: str = Field(max_length=400, description="Whose traffic goes through it: name, range or id.")
    router: str | None = Field(None, max_length=400, description="The subnet's gateway if left out.")
    hops: list[HopBody] = Field(max_length=20, description="The one beside the subnet first.")
    protocol: str = Field("any", max_length=10, examples=["any", "tcp", "udp"])
    port_min: int | None = Field(None, description="Only connections to this port, whoever begins them.")
    port_max: int | None = Field(None, description="The last of a range.")
    on_failure: str = Field("block", max_length=10, description="While a hop does not run: block or bypass.")


class ChainChangesBody(BaseModel):
    """What to change of a chain; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, max_length=400)
    description: str | None = Field(None, max_length=4000)
    hops: list[HopBody] | None = Field(None, max_length=20)
    protocol: str | None = Field(None, max_length=10, description="With its ports, or for all of them.")
    port_min: int | None = None
    port_max: int | None = None
    on_failure: str | None = Field(None, max_length=10)


def _show(ctx: Context, row: ServiceChain) -> dict[str, Any]:
    return show.chain(row, ctx.session)


@router.get("", summary="List service chains")
def list_chains(
    ctx: Ctx, state: str | None = Query(None, max_length=20, description="active or trashed"),
    sort: str = Query("name", max_length=40), cursor: str | None = Query(None, max_length=1000),
    limit: int = Query(100, ge=1, le=1000),
    q: str = Query("", max_length=1000, description="Such as `failure:bypass text`."),
) -> dict[str, Any]:  # fmt: skip
    """The project's service chains, each with its hops and how they are."""
    filters = {"state": state}
    page = service.list_of(ctx, ServiceChain, filters=filters, sort=sort, cursor=cursor, limit=limit, q=q)
    return {"items": [_show(ctx, c) for c in page.items], "next": page.next}


@router.get("/{ref}", summary="Show a service chain")
def show_chain(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
    """One chain, by name or id."""
    row = service.get_chain(ctx, ref)
    tag(response, row)
    return _show(ctx, row)


@router.post("", summary="Create a service chain", status_code=201)
def create_chain(ctx: Ctx, body: ChainBody, dry_run: bool = False) -> JSONResponse:
    """What goes between a subnet and the rest of the world passes machines in between."""
    wish = body.model_dump() | {"hops": [NewHop(h.inner, h.outer) for h in body.hops]}
    intent = service.create_chain(ctx, NewChain(**wish))
    made = intent.subject.id
    return answer(ctx, intent, dry_run=dry_run, status=201, row=lambda: _show(ctx, service.get_chain(ctx, made)))


@router.patch("/{ref}", summary="Change a service chain")
def update_chain(ctx: Ctx, ref: str, body: ChainChangesBody, match: Match, dry_run: bool = False) -> JSONResponse:
    """Its name, its hops, what of the traffic it is for, what happens while a hop does not run."""
    row = service.get_chain(ctx, ref)
    match.check(row)
    hops = None if body.hops is None else [NewHop(h.inner, h.outer) for h in body.hops]
    intent = service.update_chain(ctx, row, ChainChanges(**(body.model_dump() | {"hops": hops})))
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _show(ctx, row))


@router.delete("/{ref}", summary="Delete a service chain")
def delete_chain(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """Traffic takes the direct way again; it can be undone."""
    row = service.get_chain(ctx, ref)
    match.check(row)
    return answer(ctx, service.delete_chain(ctx, row), dry_run=dry_run, row=lambda: _show(ctx, row))
