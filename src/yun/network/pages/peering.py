"""Pages of peerings: what was asked for, what one is asked for, and what holds."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.context import Context
from yun.base.errors import Invalid
from yun.base.messages import _
from yun.network import service
from yun.network.api import show
from yun.network.model import Router
from yun.operations.intent import Intent
from yun.operations.service import submit
from yun.web.pages import Ctx, FormData, Listing, PageRoute, Typed, accepted, live_preview, preview, render, word
from yun.web.typed import listed

router = APIRouter(route_class=PageRoute, include_in_schema=False)
BASE = "/networks/peerings"


@router.get("/networks/peerings")
def peerings(ctx: Ctx, state: str = "", sort: str = "name", cursor: str | None = None) -> Response:
    """The peerings of the project; those in the trash where they are asked for."""
    page = service.list_peerings(ctx, state=state or None, sort=sort, cursor=cursor)
    listing = Listing(BASE, page, sort=sort, filters={"state": state}, cursor=cursor, live="network_peering")
    shown = [show.peering(ctx, p) for p in page.items]
    return render(ctx, "network/peerings.html", listing=listing, shown=shown, tab="peerings")


def _routers(ctx: Context) -> list[tuple[str, str]]:
    found = service.list_of(ctx, Router, sort="name", limit=1000).items
    return [(r.id, r.name) for r in found]


@router.get("/networks/peerings/new")
def peering_form(ctx: Ctx) -> Response:
    """The form that asks another project."""
    ctx.may("network_peering.create")
    return render(
        ctx, "network/peering_form.html", action=BASE, preview_url=f"{BASE}/new/preview", routers=_routers(ctx)
    )


def _new(ctx: Context, form: FormData) -> Intent:
    return service.create_peering(ctx, service.NewPeering(
        word(form, "name") or "", _router(form), word(form, "project") or "", listed(word(form, "ranges") or ""),
        listed(word(form, "peer_ranges") or ""), word(form, "description") or "",
    ))  # fmt: skip


def _router(form: FormData) -> str:
    found = word(form, "router")
    if found is None:
        raise Invalid(_("Choose a router."), fields={"router": _("a router of the project")})
    return found


@router.post("/networks/peerings/new/preview")
def plan_peering(ctx: Ctx, typed: Typed) -> Response:
    """What asking would mean."""
    return live_preview(ctx, lambda: _new(ctx, typed))


@router.post("/networks/peerings")
def create_peering(ctx: Ctx, typed: Typed) -> Response:
    """Ask."""
    return accepted(ctx, submit(ctx, _new(ctx, typed)), location=BASE)


@router.get("/networks/peerings/{ref}/accept")
def accept_form(ctx: Ctx, ref: str) -> Response:
    """The form by which a request is accepted."""
    found = service.get_peering(ctx, ref)
    ctx.may("network_peering.accept", found.peer_project_id)
    action = f"{BASE}/{found.id}/accept"
    return render(
        ctx, "network/peering_accept.html", action=action, preview_url=f"{action}/preview",
        peering=show.peering(ctx, found), routers=_routers(ctx),
    )  # fmt: skip


@router.post("/networks/peerings/{ref}/accept/preview")
def plan_accept(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """What accepting would mean."""
    return live_preview(ctx, lambda: service.accept_peering(ctx, service.get_peering(ctx, ref), _router(typed)))


@router.post("/networks/peerings/{ref}/accept")
def accept_peering(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Agree."""
    intent = service.accept_peering(ctx, service.get_peering(ctx, ref), _router(typed))
    return accepted(ctx, submit(ctx, intent), location=BASE)


@router.get("/networks/peerings/{ref}/delete/preview")
def delete_preview(ctx: Ctx, ref: str) -> Response:
    """What ending it does."""
    found = service.get_peering(ctx, ref)
    return preview(ctx, service.delete_peering(ctx, found), action=f"{BASE}/{found.id}/delete", confirm=_("End"))


@router.post("/networks/peerings/{ref}/delete")
def delete_peering(ctx: Ctx, ref: str) -> Response:
    """End it."""
    return accepted(ctx, submit(ctx, service.delete_peering(ctx, service.get_peering(ctx, ref))))
