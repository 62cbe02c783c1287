"""Pages of routers, their legs and static routes."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.context import Context
from yun.base.errors import Invalid
from yun.base.messages import _
from yun.network import service
from yun.network.api import show
from yun.network.model import Network, Port, Router, Subnet
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
    preview,
    render,
    ticked,
    word,
)
from yun.web.searching import searched

router = APIRouter(route_class=PageRoute, include_in_schema=False)
BASE = "/networks/routers"
CHANGEABLE = {"name": _("Name"), "description": _("Description"), "snat": _("Source NAT")}


@router.get("/networks/routers")
def routers(ctx: Ctx, q: str = "", state: str = "", sort: str = "name", cursor: str | None = None) -> Response:
    """The project's routers; those in the trash where they are asked for."""
    page, fault = searched(ctx, q, FIELDS[Router], lambda words: service.list_of(
        ctx, Router, filters={"state": state or None}, sort=sort, cursor=cursor, q=words
    ))  # fmt: skip
    filters = {"q": q, "state": state}
    listing = Listing(BASE, page, sort=sort, filters=filters, cursor=cursor, live="router", fault=fault)
    shown = {r.id: show.router(r, ctx.session) for r in page.items}
    return render(ctx, "network/routers.html", listing=listing, shown=shown, names=_names(ctx), tab="routers")


def _names(ctx: Context) -> dict[str, str]:
    return {n.id: n.name for n in service.list_of(ctx, Network, sort="name", limit=1000).items}


def _outside(ctx: Context) -> list[tuple[str, str]]:
    found = service.list_of(ctx, Network, sort="name", limit=1000).items
    return [(n.id, n.name) for n in found if n.external]


@router.get("/networks/routers/new")
def router_form(ctx: Ctx) -> Response:
    """The form for a router."""
    ctx.may("router.create")
    return render(
        ctx, "network/router_form.html", action=BASE, preview_url=f"{BASE}/new/preview", outside=_outside(ctx)
    )


def _new_router(ctx: Context, form: FormData) -> Intent:
    external = ticked(form, "external")
    return service.create_router(ctx, service.NewRouter(
        word(form, "name") or "", word(form, "description") or "", external,
        word(form, "network") if external else None, word(form, "address") if external else None,
        ticked(form, "snat"),
    ))  # fmt: skip


@router.post("/networks/routers/new/preview")
def plan_router(ctx: Ctx, typed: Typed) -> Response:
    """What creating it would do."""
    return live_preview(ctx, lambda: _new_router(ctx, typed))


@router.post("/networks/routers")
def create_router(ctx: Ctx, typed: Typed) -> Response:
    """Make a router."""
    operation = submit(ctx, _new_router(ctx, typed))
    return accepted(ctx, operation, location=f"{BASE}/{operation.subject_id}")


@router.get("/networks/routers/{ref}")
def one_router(ctx: Ctx, ref: str) -> Response:
    """One router: its legs, its routes, and what leads through it."""
    found = service.get_router(ctx, ref)
    shown = show.router(found, ctx.session)
    ids = [leg["subnet_id"] for leg in shown["interfaces"]]
    subnets = {i: row for i in ids if (row := ctx.session.get(Subnet, i)) is not None}
    floating = show.floating_ips(ctx.session, service.floating_through(ctx.session, found.id))
    return render(
        ctx, "network/router.html", router=found, shown=shown, names=_names(ctx), subnets=subnets, floating=floating,
        chains=[show.chain(c, ctx.session) for c in service.chains_of_router(ctx.session, found.id)],
        live=f"router:{found.id} floating_ip service_chain",
    )  # fmt: skip


def _kept(row: Router) -> dict[str, Any]:
    return {"name": row.name, "description": row.description, "snat": row.snat}


@router.get("/networks/routers/{ref}/update")
def update_form(ctx: Ctx, ref: str) -> Response:
    """The form for what can be changed."""
    found = service.get_router(ctx, ref)
    ctx.may("router.update", found.project_id)
    action = f"{BASE}/{found.id}/update"
    return render(
        ctx, "network/router_update.html", action=action, preview_url=f"{action}/preview", router=found,
        was=_kept(found),
    )  # fmt: skip


def _changed(ctx: Context, ref: str, form: FormData) -> Intent:
    row = service.get_router(ctx, ref)
    wanted = {
        "name": word(form, "name") or "", "description": word(form, "description") or "", "snat": ticked(form, "snat"),
    }  # fmt: skip
    return service.update_router(ctx, row, **changed(form, wanted, _kept(row), CHANGEABLE))


@router.post("/networks/routers/{ref}/update/preview")
def plan_update(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """What saving would do."""
    return live_preview(ctx, lambda: _changed(ctx, ref, typed))


@router.post("/networks/routers/{ref}/update")
def update_router(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Save what was changed."""
    operation = submit(ctx, _changed(ctx, ref, typed))
    return accepted(ctx, operation, location=f"{BASE}/{operation.subject_id}")


@router.get("/networks/routers/{ref}/delete/preview")
def delete_preview(ctx: Ctx, ref: str) -> Response:
    """What deleting does."""
    found = service.get_router(ctx, ref)
    return preview(ctx, service.delete_router(ctx, found), action=f"{BASE}/{found.id}/delete", confirm=_("Delete"))


@router.post("/networks/routers/{ref}/delete")
def delete_router(ctx: Ctx, ref: str) -> Response:
    """Put it into the trash."""
    return accepted(ctx, submit(ctx, service.delete_router(ctx, service.get_router(ctx, ref))), location=BASE)


# ── legs ──


@router.get("/networks/routers/{ref}/interfaces/new")
def interface_form(ctx: Ctx, ref: str) -> Response:
    """The form for a leg."""
    found = service.get_router(ctx, ref)
    ctx.may("router.add_interface", found.project_id)
    names = _names(ctx)
    here = {leg.subnet_id for leg in service.legs_of(ctx.session, found.id)}
    subnets = service.list_of(ctx, Subnet, sort="cidr", limit=1000).items
    choices = [
        (s.id, f"{names.get(s.network_id, '–')} · {s.cidr}") for s in subnets
        if s.project_id == found.project_id and s.id not in here
    ]  # fmt: skip
    action = f"{BASE}/{found.id}/interfaces"
    return render(
        ctx, "network/interface_form.html", action=action, preview_url=f"{action}/preview", router=found,
        choices=choices,
    )  # fmt: skip


def _new_interface(ctx: Context, ref: str, form: FormData) -> Intent:
    subnet = word(form, "subnet")
    if subnet is None:
        raise Invalid(_("Choose a subnet."), fields={"subnet": _("a subnet of the project")})
    found = service.get_router(ctx, ref)
    return service.add_interface(ctx, found, service.get_subnet(ctx, subnet), word(form, "address"))


@router.post("/networks/routers/{ref}/interfaces/preview")
def plan_interface(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """What connecting it would do."""
    return live_preview(ctx, lambda: _new_interface(ctx, ref, typed))


@router.post("/networks/routers/{ref}/interfaces")
def add_interface(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Connect it with a subnet."""
    operation = submit(ctx, _new_interface(ctx, ref, typed))
    return accepted(ctx, operation, location=f"{BASE}/{operation.subject_id}")


@router.get("/networks/routers/{ref}/interfaces/{interface}/remove/preview")
def remove_interface_preview(ctx: Ctx, ref: str, interface: str) -> Response:
    """What taking it off does."""
    found = service.get_router(ctx, ref)
    leg = service.interface_of(ctx.session, found, interface)
    action = f"{BASE}/{found.id}/interfaces/{leg.row.id}/remove"
    return preview(ctx, service.remove_interface(ctx, found, leg), action=action, confirm=_("Remove"))


@router.post("/networks/routers/{ref}/interfaces/{interface}/remove")
def remove_interface(ctx: Ctx, ref: str, interface: str) -> Response:
    """Take it off a subnet."""
    found = service.get_router(ctx, ref)
    leg = service.interface_of(ctx.session, found, interface)
    return accepted(ctx, submit(ctx, service.remove_interface(ctx, found, leg)))


# ── the way out ──


@router.get("/networks/routers/{ref}/gateway/new")
def gateway_form(ctx: Ctx, ref: str) -> Response:
    """The form for a way out."""
    found = service.get_router(ctx, ref)
    ctx.may("router.set_gateway", found.project_id)
    action = f"{BASE}/{found.id}/gateway"
    return render(
        ctx, "network/gateway_form.html", action=action, preview_url=f"{action}/preview", router=found,
        outside=_outside(ctx),
    )  # fmt: skip


def _gateway(ctx: Context, ref: str, form: FormData) -> Intent:
    return service.set_gateway(ctx, service.get_router(ctx, ref), word(form, "network"), word(form, "address"))


@router.post("/networks/routers/{ref}/gateway/preview")
def plan_gateway(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """What the way out would do."""
    return live_preview(ctx, lambda: _gateway(ctx, ref, typed))


@router.post("/networks/routers/{ref}/gateway")
def set_gateway(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Give it a way out."""
    operation = submit(ctx, _gateway(ctx, ref, typed))
    return accepted(ctx, operation, location=f"{BASE}/{operation.subject_id}")


@router.get("/networks/routers/{ref}/gateway/clear/preview")
def clear_gateway_preview(ctx: Ctx, ref: str) -> Response:
    """What taking it does."""
    found = service.get_router(ctx, ref)
    action = f"{BASE}/{found.id}/gateway/clear"
    return preview(ctx, service.clear_gateway(ctx, found), action=action, confirm=_("Remove"))


@router.post("/networks/routers/{ref}/gateway/clear")
def clear_gateway(ctx: Ctx, ref: str) -> Response:
    """Take its way out."""
    return accepted(ctx, submit(ctx, service.clear_gateway(ctx, service.get_router(ctx, ref))))


# ── static routes ──


@router.get("/networks/routers/{ref}/routes/new")
def route_form(ctx: Ctx, ref: str) -> Response:
    """The form for a static route."""
    found = service.get_router(ctx, ref)
    ctx.may("router.add_route", found.project_id)
    networks = [leg.network_id for leg in service.legs_of(ctx.session, found.id)]
    ports = [p for n in networks for p in service.list_of(ctx, Port, filters={"network_id": n}, limit=200).items]
    hops = [(p.address, p.hostname or p.name or p.address) for p in ports]
    action = f"{BASE}/{found.id}/routes"
    return render(
        ctx, "network/route_form.html", action=action, preview_url=f"{action}/preview", router=found, hops=hops
    )


def _route(ctx: Context, ref: str, form: FormData) -> Intent:
    found = service.get_router(ctx, ref)
    return service.add_route(ctx, found, word(form, "destination") or "", word(form, "next_hop") or "")


@router.post("/networks/routers/{ref}/routes/preview")
def plan_route(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """What the route would do."""
    return live_preview(ctx, lambda: _route(ctx, ref, typed))


@router.post("/networks/routers/{ref}/routes")
def add_route(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Add a static route."""
    operation = submit(ctx, _route(ctx, ref, typed))
    return accepted(ctx, operation, location=f"{BASE}/{operation.subject_id}")


@router.get("/networks/routers/{ref}/routes/{route}/remove/preview")
def remove_route_preview(ctx: Ctx, ref: str, route: str) -> Response:
    """What removing it does."""
    found = service.get_router(ctx, ref)
    action = f"{BASE}/{found.id}/routes/{route}/remove"
    return preview(ctx, service.remove_route(ctx, found, route), action=action, confirm=_("Remove"))


@router.post("/networks/routers/{ref}/routes/{route}/remove")
def remove_route(ctx: Ctx, ref: str, route: str) -> Response:
    """Remove a static route."""
    return accepted(ctx, submit(ctx, service.remove_route(ctx, service.get_router(ctx, ref), route)))
