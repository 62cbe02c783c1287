"""REST of a subnet's addresses: who has which, and those that are reserved."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from yun.base.context import Context
from yun.network import service
from yun.network.api import show
from yun.network.model import Subnet
from yun.network.service.reserving import Entry
from yun.operations.answer import answer, moment
from yun.web.api import Ctx, Match, Route

router = APIRouter(route_class=Route, prefix="/subnets", tags=["networks"])


class RangeBody(BaseModel):
    """Addresses that the cloud shall give to nobody."""

    model_config = ConfigDict(extra="forbid")

    range: str = Field(max_length=100, description="An address, FIRST-LAST, or a CIDR.")
    note: str = Field("", max_length=1000, description="What they are for.")


class RangeName(BaseModel):
    """A reservation."""

    model_config = ConfigDict(extra="forbid")

    range: str = Field(max_length=100, description="Its id, its range, or an address of it.")


def entry(row: Entry, locale: str) -> dict[str, Any]:
    """A run of addresses: ``kind`` is ``port``, ``router``, ``floating_ip``, ``gateway``…, ``reserved`` or ``free``."""
    holder, kept = row.holder, row.reserved
    return {
        "first": row.first, "last": row.last, "count": row.count,
        "kind": holder.kind if holder else "reserved" if kept else "free",
        "id": (holder.id or None) if holder else kept.id if kept else None,
        "name": (holder.name or None) if holder else None,
        "project_id": holder.project_id if holder else None,
        "state": (holder.state or None) if holder else None,
        "note": kept.note if kept else None,
        "since": moment(holder.since if holder else kept.created_at if kept else None),
        "text": service.said_of(row).render(locale),
    }  # fmt: skip


@router.get("/{ref}/addresses", summary="Who has which address")
def list_addresses(
    ctx: Ctx, ref: str, cursor: str | None = Query(None, pattern=r"^\d{1,19}$"),
    limit: int = Query(500, ge=1, le=5000),
) -> dict[str, Any]:  # fmt: skip
    """The subnet's addresses in order: taken, reserved, in the trash, and the free ones of the pool between."""
    found = service.addresses_in(ctx, service.get_subnet(ctx, ref), after=int(cursor or -1), limit=limit)
    following = None if found.after is None else str(found.after)
    return {"items": [entry(e, ctx.locale) for e in found.entries], "next": following}


def _shown(ctx: Context, row: Subnet) -> dict[str, Any]:
    return show.subnet(row, ctx.session)


@router.post("/{ref}/reserve", summary="Reserve addresses")
def reserve(ctx: Ctx, ref: str, body: RangeBody, match: Match, dry_run: bool = False) -> JSONResponse:
    """The cloud gives them to nobody."""
    row = service.get_subnet(ctx, ref)
    match.check(row)
    intent = service.reserve(ctx, row, body.range, body.note)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _shown(ctx, row))


@router.post("/{ref}/unreserve", summary="Take a reservation of addresses back")
def unreserve(ctx: Ctx, ref: str, body: RangeName, match: Match, dry_run: bool = False) -> JSONResponse:
    """They can be given out again."""
    row = service.get_subnet(ctx, ref)
    match.check(row)
    return answer(ctx, service.unreserve(ctx, row, body.range), dry_run=dry_run, row=lambda: _shown(ctx, row))
