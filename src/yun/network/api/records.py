"""REST of DNS records."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from yun.base.context import Context
from yun.network import service
from yun.network.model import DnsRecord
from yun.operations.answer import answer, moment
from yun.web.api import Ctx, Match, Route, tag

router = APIRouter(route_class=Route, prefix="/dns-records", tags=["networks"])


class RecordBody(BaseModel):
    """A name that a network shall answer."""

    model_config = ConfigDict(extra="forbid")

    network: str = Field(max_length=400, description="Name or id of the network.")
    name: str = Field(max_length=300, examples=["db"], description="Without a dot: also found in the network's domain.")
    address: str = Field(max_length=60)
    kind: str = Field("", max_length=20, description="A or AAAA; empty: what the address is.")


def record(row: DnsRecord) -> dict[str, Any]:
    """A record as JSON."""
    return {
        "id": row.id, "network_id": row.network_id, "project_id": row.project_id, "name": row.name, "kind": row.kind,
        "address": row.address, "created_at": moment(row.created_at), "updated_at": moment(row.updated_at),
        "revision": row.revision,
    }  # fmt: skip


@router.get("", summary="List a network's own DNS records")
def list_records(
    ctx: Ctx, network: str = Query(max_length=400), cursor: str | None = Query(None, max_length=1000),
    limit: int = Query(100, ge=1, le=1000),
) -> dict[str, Any]:  # fmt: skip
    """By name; names of machines are not among them."""
    page = service.list_records(ctx, service.get_network(ctx, network), cursor=cursor, limit=limit)
    return {"items": [record(r) for r in page.items], "next": page.next}


@router.post("", summary="Create a DNS record", status_code=201)
def create_record(ctx: Ctx, body: RecordBody, dry_run: bool = False) -> JSONResponse:
    """Its network answers the name with the address."""
    network = service.get_network(ctx, body.network)
    intent = service.create_record(ctx, network, body.name, body.address, body.kind)
    made = intent.subject.id
    return answer(ctx, intent, dry_run=dry_run, status=201, row=lambda: record(service.get_record(ctx, made)))


@router.get("/{ref}", summary="Show a DNS record")
def show_record(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
    """One record, by id."""
    row = service.get_record(ctx, ref)
    tag(response, row)
    return record(row)


def _gone(ctx: Context, row: DnsRecord) -> dict[str, Any]:
    return record(row)


@router.delete("/{ref}", summary="Delete a DNS record")
def delete_record(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """Its network answers it no more."""
    row = service.get_record(ctx, ref)
    match.check(row)
    return answer(ctx, service.delete_record(ctx, row), dry_run=dry_run, row=lambda: _gone(ctx, row))
