"""REST of floating IPs."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from yun.base.context import Context
from yun.network import service
from yun.network.api import show
from yun.network.model import FloatingIp
from yun.operations.answer import answer
from yun.web.api import Ctx, Match, Route, tag

router = APIRouter(route_class=Route, prefix="/floating-ips", tags=["floating IPs"])


class AllocateBody(BaseModel):
    """Which outside address to take; the lowest free one where none is named."""

    model_config = ConfigDict(extra="forbid")

    address: str | None = Field(None, max_length=60)
    name: str = Field("", max_length=400)
    description: str = Field("", max_length=1000)


class FloatingChanges(BaseModel):
    """What to change of a floating IP; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, max_length=400)
    description: str | None = Field(None, max_length=1000)


class AssociateBody(BaseModel):
    """Where the address is to lead."""

    model_config = ConfigDict(extra="forbid")

    port: str = Field(max_length=400, description="A port's id, address, MAC or host name, or an instance's id.")
    address: str | None = Field(None, max_length=60, description="Which of the port's addresses, where it has several.")
    move: bool = Field(False, description="Also where it leads to another port now.")


def _show(ctx: Context, row: FloatingIp) -> dict[str, Any]:
    return show.floating_ips(ctx.session, [row])[0]


@router.get("", summary="List floating IPs")
def list_floating_ips(
    ctx: Ctx, state: str | None = Query(None, max_length=20), sort: str = Query("address", max_length=40),
    cursor: str | None = Query(None, max_length=1000), limit: int = Query(100, ge=1, le=1000),
    q: str = Query("", max_length=1000, description="Such as `used:no text`."),
) -> dict[str, Any]:  # fmt: skip
    """The project's floating IPs and where they lead."""
    page = service.list_of(ctx, FloatingIp, filters={"state": state}, sort=sort, cursor=cursor, limit=limit, q=q)
    return {"items": show.floating_ips(ctx.session, page.items), "next": page.next}


@router.post("", summary="Allocate a floating IP", status_code=201)
def allocate(ctx: Ctx, body: AllocateBody | None = None, dry_run: bool = False) -> JSONResponse:
    """An outside address belongs to the project."""
    wish = body or AllocateBody()  # type: ignore[call-arg]
    intent = service.allocate(ctx, wish.address, name=wish.name, description=wish.description)
    made = intent.subject.id
    return answer(
        ctx, intent, dry_run=dry_run, status=201, row=lambda: _show(ctx, service.get_floating_ip(ctx, made))
    )


@router.get("/{ref}", summary="Show a floating IP")
def show_floating_ip(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
    """One floating IP, by address or id."""
    row = service.get_floating_ip(ctx, ref)
    tag(response, row)
    return _show(ctx, row)


@router.patch("/{ref}", summary="Change a floating IP")
def update(ctx: Ctx, ref: str, body: FloatingChanges, match: Match, dry_run: bool = False) -> JSONResponse:
    """Its name or its description."""
    row = service.get_floating_ip(ctx, ref)
    match.check(row)
    intent = service.update_floating_ip(ctx, row, **body.model_dump())
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _show(ctx, row))


@router.post("/{ref}/associate", summary="Associate a floating IP with a port")
def associate(ctx: Ctx, ref: str, body: AssociateBody, match: Match, dry_run: bool = False) -> JSONResponse:
    """The address leads to the port; with ``move`` no longer to the one where it led before."""
    row = service.get_floating_ip(ctx, ref)
    match.check(row)
    intent = service.associate(ctx, row, service.get_port(ctx, body.port), body.address, move=body.move)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _show(ctx, row))


@router.post("/{ref}/disassociate", summary="Disassociate a floating IP")
def disassociate(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """The address leads nowhere and stays the project's."""
    row = service.get_floating_ip(ctx, ref)
    match.check(row)
    return answer(ctx, service.disassociate(ctx, row), dry_run=dry_run, row=lambda: _show(ctx, row))


@router.delete("/{ref}", summary="Release a floating IP")
def release(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """The project gives the address back."""
    row = service.get_floating_ip(ctx, ref)
    match.check(row)
    return answer(ctx, service.release(ctx, row), dry_run=dry_run, row=lambda: _show(ctx, row))
