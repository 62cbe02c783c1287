"""Pages of the hosts: the list, one host with its services, what was done to it, its limits."""

from __future__ import annotations

import re
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.context import Context
from yun.base.errors import Invalid
from yun.base.messages import Message, _
from yun.hosts import service
from yun.hosts.api import show_host
from yun.hosts.model import Host
from yun.hosts.search import FIELDS
from yun.operations.pages import history_of
from yun.operations.service import submit
from yun.web.edits import changed
from yun.web.navigation import ADMIN
from yun.web.pages import (
    Ctx,
    FormData,
    Listing,
    PageRoute,
    Typed,
    accepted,
    nav,
    number,
    preview,
    render,
    ticked,
    word,
)
from yun.web.searching import searched

router = APIRouter(route_class=PageRoute, include_in_schema=False)
nav("hosts", _("Hosts"), "/hosts", icon="server-2", order=10, section=ADMIN, permission="host.list")

TABS = (
    ("overview", _("Overview")), ("devices", _("Devices")), ("activity", _("Activity")), ("settings", _("Settings")),
)  # fmt: skip
"""The pages of one host; that of its devices is the instances' room's, which knows who has them."""


@router.get("/hosts")
def list_page(ctx: Ctx, q: str = "", state: str = "", sort: str = "name", cursor: str | None = None) -> Response:
    """All hosts with their health and what is left on them."""
    page, fault = searched(ctx, q, FIELDS, lambda words: service.list_hosts(
        ctx, q=words, state=state or None, sort=sort, cursor=cursor, limit=50
    ))  # fmt: skip
    rooms = {r.host.id: r for r in service.rooms(ctx.session)}
    items = [show_host(h, service.services_of(ctx.session, h.id), rooms[h.id], ctx.locale) for h in page.items]
    filters = {"q": q, "state": state}
    listing = Listing("/hosts", page, sort=sort, filters=filters, cursor=cursor, live="host", fault=fault)
    return render(ctx, "hosts/list.html", listing=listing, items=items)


def page(ctx: Context, ref: str, tab: str, *, template: str = "", **values: Any) -> Response:
    """One of a host's pages: ``template``, by default that of the tab."""
    host = service.get(ctx, ref)
    room = next(r for r in service.rooms(ctx.session) if r.host.id == host.id)
    item = show_host(host, service.services_of(ctx.session, host.id), room, ctx.locale)
    base = f"/hosts/{host.id}"
    tabs = [(base if n == "overview" else f"{base}/{n}", title.render(ctx.locale), n) for n, title in TABS]
    live = "" if tab == "settings" else f"host:{host.id} operation"
    return render(ctx, template or f"hosts/{tab}.html", item=item, tab=tab, tabs=tabs, live=live, **values)


@router.get("/hosts/{ref}")
def overview(ctx: Ctx, ref: str) -> Response:
    """Its services, its use and what it is."""
    return page(ctx, ref, "overview")


@router.get("/hosts/{ref}/activity")
def activity(ctx: Ctx, ref: str) -> Response:
    """What was done to it."""
    host = service.get(ctx, ref)
    return page(ctx, ref, "activity", history=history_of(ctx, "host", host.id))


@router.get("/hosts/{ref}/settings")
def settings(ctx: Ctx, ref: str) -> Response:
    """Its limits."""
    return page(ctx, ref, "settings", was=_kept(service.get(ctx, ref)))


CHANGEABLE: dict[str, Message] = {
    "description": _("Description"),
    "accepts": _("Takes new instances"),
    "reserved_mib": _("Kept for the host itself"),
    "cpu_overcommit": _("CPU overcommit"),
    "memory_overcommit": _("Memory overcommit"),
}


def _kept(host: Host) -> dict[str, Any]:
    kept = {name: getattr(host, name) for name in CHANGEABLE}
    # The form shows six digits.
    return {name: float(f"{value:g}") if isinstance(value, float) else value for name, value in kept.items()}


@router.get("/hosts/{ref}/services/{name}/start/preview")
def start_preview(ctx: Ctx, ref: str, name: str) -> Response:
    """What starting the service would do."""
    host = service.get(ctx, ref)
    intent = service.start_service(ctx, host.id, name)
    return preview(ctx, intent, action=f"/hosts/{host.id}/services/{name}/start")


@router.post("/hosts/{ref}/services/{name}/start")
def start_service(ctx: Ctx, ref: str, name: str) -> Response:
    """Start it."""
    return accepted(ctx, submit(ctx, service.start_service(ctx, ref, name)))


@router.post("/hosts/{ref}/update")
def update(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Save its limits; what is as it was, or was left empty, is left out."""
    host = service.get(ctx, ref)
    wanted: dict[str, Any] = {
        "description": word(typed, "description") or "",
        "accepts": ticked(typed, "accepts"),
        "reserved_mib": number(typed, "reserved_mib"),
        "cpu_overcommit": _decimal(typed, "cpu_overcommit"),
        "memory_overcommit": _decimal(typed, "memory_overcommit"),
    }
    wanted = {name: value for name, value in wanted.items() if value is not None}
    changes = changed(typed, wanted, _kept(host), CHANGEABLE)
    operation = submit(ctx, service.update(ctx, host.id, service.Changes(**changes)))
    return accepted(ctx, operation, location=f"/hosts/{host.id}/settings")


def _decimal(form: FormData, name: str) -> float | None:
    """The number under ``name``, None where it is empty. Raises `Invalid`."""
    text = word(form, name)
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,6}([.,]\d{1,6})?", text):
        raise Invalid(_("{value} is not a number.", value=text[:40]), fields={name: _("a number such as 1.5")})
    return float(text.replace(",", "."))
