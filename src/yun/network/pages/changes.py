"""Pages where networks and subnets are changed."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.context import Context
from yun.network import service
from yun.network.model import Network, Subnet
from yun.operations.intent import Intent
from yun.operations.service import submit
from yun.web.edits import changed
from yun.web.pages import Ctx, FormData, PageRoute, Typed, accepted, live_preview, number, render, ticked, word
from yun.web.typed import listed

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/networks/{ref}/edit")
def network_form(ctx: Ctx, ref: str) -> Response:
    """The form for its name, description, MTU and domain."""
    found = service.get_network(ctx, ref)
    ctx.may("network.update", found.project_id)
    action = f"/networks/{found.id}/edit"
    return render(
        ctx, "network/network_edit.html", network=found, was=service.told_network(found), action=action,
        preview_url=f"{action}/preview",
    )  # fmt: skip


def _network(ctx: Context, found: Network, form: FormData) -> Intent:
    now = service.told_network(found)
    wanted = {
        "name": word(form, "name") or "", "description": word(form, "description") or "",
        "mtu": number(form, "mtu"), "domain": word(form, "domain") or "",
    }  # fmt: skip
    kept = {name: now[name] if value is None else value for name, value in wanted.items()}
    changes = changed(form, kept, now, service.NETWORK_TITLES)
    return service.update_network(ctx, found, service.NetworkChanges(**changes))


@router.post("/networks/{ref}/edit/preview")
def plan_network(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """What changing it would do."""
    return live_preview(ctx, lambda: _network(ctx, service.get_network(ctx, ref), typed))


@router.post("/networks/{ref}/edit")
def save_network(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Change it."""
    found = service.get_network(ctx, ref)
    return accepted(ctx, submit(ctx, _network(ctx, found, typed)), location=f"/networks/{found.id}")


# ── subnets ──


@router.get("/subnets/{ref}/edit")
def subnet_form(ctx: Ctx, ref: str) -> Response:
    """The form for its gateway, pool, and what guests are told."""
    found = service.get_subnet(ctx, ref)
    ctx.may("subnet.update", found.project_id)
    action = f"/subnets/{found.id}/edit"
    return render(
        ctx, "network/subnet_edit.html", subnet=found, network=ctx.session.get_one(Network, found.network_id),
        was=service.told_subnet(found), ways=ways(found.routes), action=action, preview_url=f"{action}/preview",
    )  # fmt: skip


def ways(routes: list[dict[str, Any]]) -> str:
    """Routes as they are typed: one a line."""
    return "\n".join(f"{r['destination']}, {r['nexthop']}" for r in routes)


def typed_ways(form: FormData) -> list[dict[str, str]]:
    """Routes as they were typed: range and next hop, one a line."""
    found = []
    for line in (word(form, "routes") or "").splitlines():
        words = listed(line)
        if words:
            found.append({"destination": words[0], "nexthop": " ".join(words[1:])})
    return found


def _subnet(ctx: Context, found: Subnet, form: FormData) -> Intent:
    now = service.told_subnet(found)
    wanted: dict[str, Any] = {
        "name": word(form, "name") or "", "gateway": word(form, "gateway") or "none",
        "pool_start": word(form, "pool_start"), "pool_end": word(form, "pool_end"),
        "dns_servers": listed(word(form, "dns_servers") or ""), "domain": word(form, "domain") or "",
        "dhcp": ticked(form, "dhcp"), "lease_seconds": number(form, "lease_seconds"),
        "ntp_servers": listed(word(form, "ntp_servers") or ""), "routes": typed_ways(form),
    }  # fmt: skip
    kept = {name: now[name] if value is None else value for name, value in wanted.items()}
    changes = changed(form, kept, now, service.SUBNET_TITLES)
    return service.update_subnet(ctx, found, service.SubnetChanges(**changes))


@router.post("/subnets/{ref}/edit/preview")
def plan_subnet(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """What changing it would do."""
    return live_preview(ctx, lambda: _subnet(ctx, service.get_subnet(ctx, ref), typed))


@router.post("/subnets/{ref}/edit")
def save_subnet(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Change it."""
    found = service.get_subnet(ctx, ref)
    return accepted(ctx, submit(ctx, _subnet(ctx, found, typed)), location=f"/networks/{found.network_id}")
