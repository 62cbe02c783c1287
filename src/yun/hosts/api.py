"""REST of the hosts: look, start a service, change limits."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from yun.base.context import Context
from yun.base.messages import Message
from yun.hosts import service
from yun.hosts.model import ACCEL_REASONS, SERVICE_TITLES, Host, HostService
from yun.hosts.placement import Room
from yun.operations.answer import answer, moment
from yun.web.api import Ctx, Match, Route, tag

router = APIRouter(route_class=Route, prefix="/hosts", tags=["hosts"])


class HostChanges(BaseModel):
    """What can be changed of a host; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    description: str | None = Field(None, max_length=500)
    accepts: bool | None = Field(None, description="Whether it takes new instances.")
    reserved_mib: int | None = Field(None, ge=0, description="Memory kept for the host itself, MiB.")
    cpu_overcommit: float | None = Field(None, gt=0, description="vCPUs that may be promised per processor.")
    memory_overcommit: float | None = Field(None, gt=0, description="Memory that may be promised per MiB present.")


def show_service(row: HostService, locale: str) -> dict[str, Any]:
    """A service as JSON."""
    return {
        "name": row.name,
        "title": SERVICE_TITLES.get(row.name, Message(row.name)).render(locale),
        "state": row.state,
        "version": row.version,
        "pid": row.pid,
        "detail": row.detail,
        "since": moment(row.since),
    }


def show_host(host: Host, services: list[HostService], room: Room, locale: str) -> dict[str, Any]:
    """A host with its services and what it may still promise, as JSON."""
    reason = ACCEL_REASONS.get(host.accel_reason)
    return {
        "id": host.id,
        "name": host.name,
        "description": host.description,
        "state": host.state,
        "accepts": host.accepts,
        "accel": host.accel,
        "accel_reason": host.accel_reason,
        "accel_text": reason.render(locale) if reason else "",
        "datapath": host.datapath,
        "cpus": host.cpus,
        "memory_mib": host.memory_mib,
        "reserved_mib": host.reserved_mib,
        "cpu_overcommit": host.cpu_overcommit,
        "memory_overcommit": host.memory_overcommit,
        "committed_mib": room.committed_mib,
        "left_mib": max(room.memory_mib, 0),
        "left_vcpus": max(room.vcpus, 0),
        "qemu_version": host.qemu_version,
        "libvirt_version": host.libvirt_version,
        "facts": host.facts,
        "services": [show_service(s, locale) for s in services],
        "seen_at": moment(host.seen_at),
        "created_at": moment(host.created_at),
        "updated_at": moment(host.updated_at),
        "revision": host.revision,
    }


def _show(ctx: Context, host: Host) -> dict[str, Any]:
    room = next(r for r in service.rooms(ctx.session) if r.host.id == host.id)
    return show_host(host, service.services_of(ctx.session, host.id), room, ctx.locale)


@router.get("", summary="List hosts")
def list_hosts(
    ctx: Ctx,
    q: str = Query("", max_length=1000, description="Such as `state:up memory>64G text`."),
    state: str | None = Query(None, max_length=20, description="up, degraded or down"),
    sort: str = Query("name", max_length=40),
    cursor: str | None = Query(None, max_length=500),
    limit: int = Query(100, ge=1, le=1000),
) -> dict[str, Any]:
    """All hosts with their services."""
    page = service.list_hosts(ctx, q=q, state=state, sort=sort, cursor=cursor, limit=limit)
    return {"items": [_show(ctx, h) for h in page.items], "next": page.next}


@router.get("/{ref}", summary="Show a host")
def show(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
    """One host, by name or id."""
    host = service.get(ctx, ref)
    tag(response, host)
    return _show(ctx, host)


@router.patch("/{ref}", summary="Change a host's limits")
def update(ctx: Ctx, ref: str, body: HostChanges, match: Match, dry_run: bool = False) -> JSONResponse:
    """Description, limits, and whether it takes new instances."""
    host = service.get(ctx, ref)
    wanted = {name: value for name, value in body.model_dump().items() if value is not None}
    values = match.edit(host, wanted, {name: getattr(host, name) for name in wanted}, {})
    intent = service.update(ctx, ref, service.Changes(**values))
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _show(ctx, service.get(ctx, host.id)))


@router.post("/{ref}/services/{name}/start", summary="Start a service of a host")
def start_service(ctx: Ctx, ref: str, name: str, dry_run: bool = False) -> JSONResponse:
    """For instance ``libvirt``, the virtual machine service."""
    host = service.get(ctx, ref)
    intent = service.start_service(ctx, ref, name)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _show(ctx, host))
