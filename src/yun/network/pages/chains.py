"""Pages of service chains."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.context import Context
from yun.base.errors import Invalid
from yun.base.messages import Message, _
from yun.network import service
from yun.network.api import show
from yun.network.model import Port, Router, ServiceChain, Subnet
from yun.network.service.search import FIELDS
from yun.operations.intent import Intent
from yun.operations.service import submit
from yun.web.edits import changed
from yun.web.pages import (
    Ctx,
    FormData,
    Listing,
    PageRoute,
    Typed,
    accepted,
    live_preview,
    number,
    preview,
    render,
    word,
)
from yun.web.searching import searched

router = APIRouter(route_class=PageRoute, include_in_schema=False)
BASE = "/networks/service-chains"
ROWS, SHOWN = service.MOST_HOPS, 4
CHANGEABLE = {
    "name": _("Name"), "description": _("Description"), "hops": _("Hops"), "protocol": _("Protocol"),
    "port_min": _("First port"), "port_max": _("Last port"), "on_failure": _("While a machine does not run"),
}  # fmt: skip


@router.get(BASE)
def chains(ctx: Ctx, q: str = "", state: str = "", sort: str = "name", cursor: str | None = None) -> Response:
    """The project's service chains; those in the trash where they are asked for."""
    page, fault = searched(ctx, q, FIELDS[ServiceChain], lambda words: service.list_of(
        ctx, ServiceChain, filters={"state": state or None}, sort=sort, cursor=cursor, q=words
    ))  # fmt: skip
    filters = {"q": q, "state": state}
    listing = Listing(BASE, page, sort=sort, filters=filters, cursor=cursor, live="service_chain port", fault=fault)
    shown = [_shown(ctx, c) for c in page.items]
    return render(ctx, "network/chains.html", listing=listing, shown=shown, tab="chains")


def _shown(ctx: Context, row: ServiceChain) -> dict[str, Any]:
    kind = service.said_kind(row)
    traffic = kind.render(ctx.locale) if isinstance(kind, Message) else kind
    return {**show.chain(row, ctx.session), "traffic": traffic, "created": row.created_at}


def _form(ctx: Context) -> dict[str, Any]:
    """What can be chosen: subnets on the project's routers, and ports of machines."""
    routers = service.list_of(ctx, Router, sort="name", limit=500).items
    legs = [leg for r in routers for leg in service.legs_of(ctx.session, r.id) if not leg.external]
    subnets = {s.id: s for leg in legs if (s := ctx.session.get(Subnet, leg.subnet_id)) is not None}
    ports = [p for p in service.list_of(ctx, Port, sort="created_at", limit=1000).items if p.instance_id]
    named = sorted(ports, key=lambda p: (p.hostname or p.name, p.device_index, p.address))
    return {
        "subnets": [(s.id, f"{s.name} · {s.cidr}") for s in sorted(subnets.values(), key=lambda s: s.name)],
        "routers": [(r.id, r.name) for r in routers],
        "ports": [(p.id, " · ".join(w for w in (p.hostname or p.name, p.address) if w)) for p in named],
    }


@router.get(BASE + "/new")
def chain_form(ctx: Ctx, subnet: str = "") -> Response:
    """The form for a chain."""
    ctx.may("service_chain.create")
    rows = [{"inner": "", "outer": ""}] * ROWS
    return render(
        ctx, "network/chain_form.html", action=BASE, preview_url=f"{BASE}/new/preview", chain=None, rows=rows,
        subnet=subnet, shown_hops=SHOWN, **_form(ctx),
    )  # fmt: skip


def _typed_hops(form: FormData) -> list[service.NewHop]:
    pairs = zip(form.getlist("inner"), form.getlist("outer"), strict=False)
    return [service.NewHop(str(inner), str(outer) or None) for inner, outer in pairs if inner]


def _new(ctx: Context, form: FormData) -> Intent:
    subnet = word(form, "subnet")
    if subnet is None:
        raise Invalid(_("Choose a subnet."), fields={"subnet": _("a subnet on a router")})
    return service.create_chain(ctx, service.NewChain(
        word(form, "name") or "", subnet, _typed_hops(form), word(form, "router"), word(form, "description") or "",
        word(form, "protocol") or "any", number(form, "port_min"), number(form, "port_max"),
        word(form, "on_failure") or "block",
    ))  # fmt: skip


@router.post(BASE + "/new/preview")
def plan_chain(ctx: Ctx, typed: Typed) -> Response:
    """What creating it would do."""
    return live_preview(ctx, lambda: _new(ctx, typed))


@router.post(BASE)
def create_chain(ctx: Ctx, typed: Typed) -> Response:
    """Make a chain."""
    operation = submit(ctx, _new(ctx, typed))
    return accepted(ctx, operation, location=f"{BASE}/{operation.subject_id}")


@router.get(BASE + "/{ref}")
def one_chain(ctx: Ctx, ref: str) -> Response:
    """One chain: whose traffic, through whom, and how they are."""
    found = service.get_chain(ctx, ref)
    return render(
        ctx, "network/chain.html", chain=found, shown=_shown(ctx, found), live=f"service_chain:{found.id} port"
    )


def _kept(ctx: Context, row: ServiceChain) -> dict[str, Any]:
    hops = service.hops_of(ctx.session, row)
    return {
        "name": row.name, "description": row.description, "on_failure": row.on_failure, "protocol": row.protocol,
        "port_min": row.port_min, "port_max": row.port_max,
        "hops": [[h.row.inner_port_id, h.row.outer_port_id] for h in hops],
    }  # fmt: skip


@router.get(BASE + "/{ref}/update")
def update_form(ctx: Ctx, ref: str) -> Response:
    """The form for what can be changed."""
    found = service.get_chain(ctx, ref)
    ctx.may("service_chain.update", found.project_id)
    was = _kept(ctx, found)
    rows = [{"inner": i, "outer": o if o != i else ""} for i, o in was["hops"]]
    rows += [{"inner": "", "outer": ""}] * max(0, ROWS - len(rows))
    action = f"{BASE}/{found.id}/update"
    return render(
        ctx, "network/chain_form.html", action=action, preview_url=f"{action}/preview", chain=found, rows=rows, was=was,
        subnet="", shown_hops=max(SHOWN, len(was["hops"])), **_form(ctx),
    )  # fmt: skip


def _changed(ctx: Context, ref: str, form: FormData) -> Intent:
    row = service.get_chain(ctx, ref)
    hops = _typed_hops(form)
    wanted = {
        "name": word(form, "name") or "", "description": word(form, "description") or "",
        "on_failure": word(form, "on_failure") or "block", "protocol": word(form, "protocol") or "any",
        "port_min": number(form, "port_min"), "port_max": number(form, "port_max"),
        "hops": [[h.inner, h.outer or h.inner] for h in hops],
    }  # fmt: skip
    if wanted["protocol"] != "any" and wanted["port_min"] is not None and wanted["port_max"] is None:
        wanted["port_max"] = wanted["port_min"]
    new = changed(form, wanted, _kept(ctx, row), CHANGEABLE)
    if {"protocol", "port_min", "port_max"} & set(new):
        new |= {name: wanted[name] for name in ("protocol", "port_min", "port_max")}
    if "hops" in new:
        new["hops"] = hops
    return service.update_chain(ctx, row, service.ChainChanges(**new))


@router.post(BASE + "/{ref}/update/preview")
def plan_update(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """What the change would do."""
    return live_preview(ctx, lambda: _changed(ctx, ref, typed))


@router.post(BASE + "/{ref}/update")
def update_chain(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Change it."""
    operation = submit(ctx, _changed(ctx, ref, typed))
    return accepted(ctx, operation, location=f"{BASE}/{operation.subject_id}")


@router.get(BASE + "/{ref}/delete/preview")
def delete_preview(ctx: Ctx, ref: str) -> Response:
    """What deleting it does."""
    found = service.get_chain(ctx, ref)
    return preview(ctx, service.delete_chain(ctx, found), action=f"{BASE}/{found.id}/delete", confirm=_("Delete"))


@router.post(BASE + "/{ref}/delete")
def delete_chain(ctx: Ctx, ref: str) -> Response:
    """Put it into the trash."""
    return accepted(ctx, submit(ctx, service.delete_chain(ctx, service.get_chain(ctx, ref))), location=BASE)
