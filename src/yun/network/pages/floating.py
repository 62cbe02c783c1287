"""Pages of floating IPs."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.errors import Invalid
from yun.base.messages import _
from yun.network import service
from yun.network.model import FloatingIp, Port
from yun.network.service import balancing
from yun.network.service.search import FIELDS
from yun.operations.service import submit
from yun.web.edits import changed
from yun.web.pages import Ctx, Listing, PageRoute, Typed, accepted, preview, render, word
from yun.web.searching import searched

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/networks/floating-ips")
def floating_ips(ctx: Ctx, q: str = "", sort: str = "address", cursor: str | None = None) -> Response:
    """The project's floating IPs and where they lead."""
    page, fault = searched(ctx, q, FIELDS[FloatingIp], lambda words: service.list_of(
        ctx, FloatingIp, sort=sort, cursor=cursor, q=words
    ))  # fmt: skip
    listing = Listing(
        "/networks/floating-ips", page, sort=sort, filters={"q": q}, cursor=cursor,
        live="floating_ip port load_balancer", fault=fault,
    )  # fmt: skip
    ports = service.ports_by_id(ctx.session, [f.port_id for f in page.items if f.port_id])
    balancers = balancing.by_floating_ip(ctx.session, [f.id for f in page.items])
    return render(
        ctx, "network/floating.html", listing=listing, ports=ports, balancers=balancers, tab="floating"
    )


@router.get("/networks/floating-ips/new")
def allocate_dialog(ctx: Ctx) -> Response:
    """The dialog for one more address."""
    ctx.may("floating_ip.allocate")
    return render(ctx, "network/floating_dialog.html", action="/networks/floating-ips")


@router.post("/networks/floating-ips")
def allocate(ctx: Ctx, typed: Typed) -> Response:
    """Take an outside address."""
    named = {"name": word(typed, "name") or "", "description": word(typed, "description") or ""}
    intent = service.allocate(ctx, word(typed, "address"), **named)
    return accepted(ctx, submit(ctx, intent), location="/networks/floating-ips")


def _kept(row: FloatingIp) -> dict[str, Any]:
    return {"name": row.name, "description": row.description}


@router.get("/networks/floating-ips/{ref}/update")
def update_dialog(ctx: Ctx, ref: str) -> Response:
    """The dialog for its name and description."""
    found = service.get_floating_ip(ctx, ref)
    ctx.may("floating_ip.update", found.project_id)
    action = f"/networks/floating-ips/{found.id}/update"
    return render(ctx, "network/floating_update.html", action=action, floating=found, was=_kept(found))


@router.post("/networks/floating-ips/{ref}/update")
def update(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Save what was changed."""
    row = service.get_floating_ip(ctx, ref)
    wanted = {"name": word(typed, "name") or "", "description": word(typed, "description") or ""}
    changes = changed(typed, wanted, _kept(row), {"name": _("Name"), "description": _("Description")})
    return accepted(ctx, submit(ctx, service.update_floating_ip(ctx, row, **changes)))


@router.get("/networks/floating-ips/{ref}/associate")
def associate_dialog(ctx: Ctx, ref: str) -> Response:
    """The dialog that chooses a port."""
    found = service.get_floating_ip(ctx, ref)
    ctx.may("floating_ip.associate", found.project_id)
    page = service.list_of(ctx, Port, sort="created_at", limit=500)
    taken = service.floating_of(ctx.session, [p.id for p in page.items])
    behind = service.ports_by_id(ctx.session, [found.port_id] if found.port_id else [])
    choices = [
        (f"{p.id} {address}", f"{p.hostname or p.name} · {address}" if p.hostname or p.name else address)
        for p in page.items if p.id not in taken for address in service.inner_choices(ctx.session, p)
    ]  # fmt: skip
    action = f"/networks/floating-ips/{found.id}/associate"
    return render(
        ctx, "network/associate_dialog.html", action=action, floating=found, choices=choices,
        behind=behind.get(found.port_id or ""),
    )  # fmt: skip


@router.post("/networks/floating-ips/{ref}/associate")
def associate(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Let the address lead to a port."""
    chosen = word(typed, "port")
    if chosen is None:
        raise Invalid(_("Choose a port."), fields={"port": _("a port's id, address, MAC or host name")})
    port, _space, address = chosen.partition(" ")
    found = service.get_floating_ip(ctx, ref)
    # The dialog said where it led: if somebody led it elsewhere since, that is told and not taken away.
    move = found.port_id is not None and found.port_id == word(typed, "from")
    intent = service.associate(ctx, found, service.get_port(ctx, port), address or None, move=move)
    return accepted(ctx, submit(ctx, intent))


@router.get("/networks/floating-ips/{ref}/disassociate/preview")
def disassociate_preview(ctx: Ctx, ref: str) -> Response:
    """What taking it off its port does."""
    found = service.get_floating_ip(ctx, ref)
    intent = service.disassociate(ctx, found)
    return preview(ctx, intent, action=f"/networks/floating-ips/{found.id}/disassociate", confirm=_("Disassociate"))


@router.post("/networks/floating-ips/{ref}/disassociate")
def disassociate(ctx: Ctx, ref: str) -> Response:
    """Take it off its port."""
    return accepted(ctx, submit(ctx, service.disassociate(ctx, service.get_floating_ip(ctx, ref))))


@router.get("/networks/floating-ips/{ref}/release/preview")
def release_preview(ctx: Ctx, ref: str) -> Response:
    """What giving it back does."""
    found = service.get_floating_ip(ctx, ref)
    action = f"/networks/floating-ips/{found.id}/release"
    return preview(ctx, service.release(ctx, found), action=action, confirm=_("Release"))


@router.post("/networks/floating-ips/{ref}/release")
def release(ctx: Ctx, ref: str) -> Response:
    """Give it back."""
    return accepted(ctx, submit(ctx, service.release(ctx, service.get_floating_ip(ctx, ref))))
