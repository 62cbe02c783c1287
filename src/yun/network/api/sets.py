"""REST of address sets."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from yun.network import service
from yun.network.api import show
from yun.network.model import AddressSet
from yun.network.service import sets
from yun.operations.answer import answer
from yun.web.api import Ctx, Match, Route, tag

router = APIRouter(route_class=Route, prefix="/address-sets", tags=["security groups"])


class SetBody(BaseModel):
    """An address set to be made."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=400)
    ranges: list[str] = Field(default=[], max_length=2000, description="Ranges and addresses, IPv4 and IPv6.")
    description: str = Field("", max_length=4000)


class SetChange(BaseModel):
    """What is to change of an address set; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, max_length=400)
    ranges: list[str] | None = Field(None, max_length=2000, description="All its ranges from now on.")
    description: str | None = Field(None, max_length=4000)


@router.get("", summary="List address sets")
def list_sets(
    ctx: Ctx, state: str | None = Query(None, max_length=20), sort: str = Query("name", max_length=40),
    cursor: str | None = Query(None, max_length=1000), limit: int = Query(100, ge=1, le=1000),
    q: str = Query("", max_length=1000, description="Such as `name:office text`."),
) -> dict[str, Any]:  # fmt: skip
    """The project's address sets."""
    page = service.list_of(ctx, AddressSet, filters={"state": state}, sort=sort, cursor=cursor, limit=limit, q=q)
    return {"items": [show.address_set(s, ctx.session) for s in page.items], "next": page.next}


@router.post("", summary="Create an address set", status_code=201)
def create_set(ctx: Ctx, body: SetBody, dry_run: bool = False) -> JSONResponse:
    """Ranges with a name, for the other side of rules."""
    intent = sets.create_set(ctx, body.name, body.ranges, body.description)
    made = intent.subject.id
    return answer(
        ctx, intent, dry_run=dry_run, status=201,
        row=lambda: show.address_set(sets.get_set(ctx, made), ctx.session),
    )  # fmt: skip


@router.get("/{ref}", summary="Show an address set")
def show_set(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
    """One address set, by name or id, with the groups whose rules name it."""
    row = sets.get_set(ctx, ref)
    tag(response, row)
    return show.address_set(row, ctx.session)


@router.patch("/{ref}", summary="Change an address set", status_code=202)
def update_set(ctx: Ctx, ref: str, body: SetChange, match: Match, dry_run: bool = False) -> JSONResponse:
    """Other ranges, name or description; rules that name it follow at once."""
    row = sets.get_set(ctx, ref)
    match.check(row)
    intent = sets.update_set(ctx, row, **body.model_dump())
    return answer(ctx, intent, dry_run=dry_run, row=lambda: show.address_set(row, ctx.session))


@router.delete("/{ref}", summary="Delete an address set")
def delete_set(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """Into the trash; refused while rules name it."""
    row = sets.get_set(ctx, ref)
    match.check(row)
    return answer(ctx, sets.delete_set(ctx, row), dry_run=dry_run, row=lambda: show.address_set(row, ctx.session))
