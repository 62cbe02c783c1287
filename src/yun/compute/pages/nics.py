"""Pages of an instance's network cards: add one, change one, remove one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.context import Context
from yun.base.messages import _
from yun.compute import service
from yun.compute.model import LIVE, Instance
from yun.compute.service.nics import MODELS, find
from yun.network import service as network
from yun.network.model import Network, Port, SecurityGroup
from yun.operations.intent import Intent
from yun.operations.service import submit
from yun.web.edits import changed
from yun.web.pages import (
    Ctx,
    FormData,
    PageRoute,
    Typed,
    accepted,
    live_preview,
    preview,
    render,
    ticked,
    word,
    words,
)

router = APIRouter(route_class=PageRoute, include_in_schema=False)


def _choices(ctx: Context, row: Instance) -> dict[str, Any]:
    """Networks and groups that a card of the instance may have."""
    inside = replace(ctx, project_id=row.project_id)
    networks = network.list_of(inside, Network, sort="name", limit=1000).items
    groups = network.list_of(inside, SecurityGroup, sort="name", limit=1000).items
    return {
        "networks": [n for n in networks if not n.external],
        "groups": [g for g in groups if g.project_id == row.project_id],
        "models": MODELS,
    }


@router.get("/instances/{ref}/nics/new")
def nic_form(ctx: Ctx, ref: str) -> Response:
    """The form for one more card."""
    row = service.get(ctx, ref)
    ctx.may("instance.add_nic", row.project_id)
    base = f"/instances/{row.id}/nics"
    return render(
        ctx, "compute/nic_form.html", row=row, action=base, preview_url=f"{base}/new/preview", port=None,
        chosen=_default_groups(ctx, row), waiting=_waiting(ctx, row), **_choices(ctx, row),
    )  # fmt: skip


def _waiting(ctx: Context, row: Instance) -> list[Port]:
    """Ports of the project that are in no instance."""
    inside = replace(ctx, project_id=row.project_id)
    page = network.list_of(inside, Port, filters={"state": "down"}, sort="created_at", limit=1000)
    return [p for p in page.items if p.instance_id is None]


def _default_groups(ctx: Context, row: Instance) -> list[str]:
    group = network.default_group(ctx.session, row.project_id)
    return [group.id] if group else []


def _new(ctx: Context, row: Instance, form: FormData) -> Intent:
    card = _card(form)
    if port := word(form, "port"):
        card = service.Card(port=port, model=card.model, link_up=card.link_up)
    return service.add_nic(ctx, row, card)


def _card(form: FormData) -> service.Card:
    return service.Card(
        network=word(form, "network"), address=word(form, "address"), groups=words(form, "groups"),
        model=word(form, "model"), mac=word(form, "mac"), link_up=ticked(form, "link_up"),
    )  # fmt: skip


@router.post("/instances/{ref}/nics/new/preview")
def plan_nic(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """What adding it would do."""
    return live_preview(ctx, lambda: _new(ctx, service.get(ctx, ref), typed))


@router.post("/instances/{ref}/nics")
def add_nic(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Add it."""
    row = service.get(ctx, ref)
    return accepted(ctx, submit(ctx, _new(ctx, row, typed)), location=f"/instances/{row.id}/network")


# ── one that is there ──


@router.get("/instances/{ref}/nics/{card}/change")
def change_form(ctx: Ctx, ref: str, card: str) -> Response:
    """The form that changes a card."""
    row = service.get(ctx, ref)
    ctx.may("instance.change_nic", row.project_id)
    port = find(ctx, row, card)
    base = f"/instances/{row.id}/nics/{port.id}/change"
    return render(
        ctx, "compute/nic_form.html", row=row, action=base, preview_url=f"{base}/preview", port=port,
        was=service.card_told(ctx, port),
        chosen=[g.id for g in network.groups_of(ctx.session, port.id)], live=row.state in LIVE, **_choices(ctx, row),
    )  # fmt: skip


def _changed(ctx: Context, row: Instance, card: str, form: FormData) -> Intent:
    """Only what was changed is asked for: an address that was left as it is follows the card to another network."""
    port = find(ctx, row, card)
    wish = _card(form)
    wanted = service.wish_told(ctx, row, wish)
    kept = changed(form, wanted, service.card_told(ctx, port), service.CARD_TITLES)
    return service.change_nic(ctx, row, port.id, service.only(wish, kept))


@router.post("/instances/{ref}/nics/{card}/change/preview")
def plan_change(ctx: Ctx, ref: str, card: str, typed: Typed) -> Response:
    """What changing it would do."""
    return live_preview(ctx, lambda: _changed(ctx, service.get(ctx, ref), card, typed))


@router.post("/instances/{ref}/nics/{card}/change")
def change_nic(ctx: Ctx, ref: str, card: str, typed: Typed) -> Response:
    """Change it."""
    row = service.get(ctx, ref)
    return accepted(ctx, submit(ctx, _changed(ctx, row, card, typed)), location=f"/instances/{row.id}/network")


@router.get("/instances/{ref}/nics/{card}/remove/preview")
def remove_preview(ctx: Ctx, ref: str, card: str) -> Response:
    """What removing it does."""
    row = service.get(ctx, ref)
    intent = service.remove_nic(ctx, row, card)
    return preview(ctx, intent, action=f"/instances/{row.id}/nics/{card}/remove", confirm=_("Remove"))


@router.post("/instances/{ref}/nics/{card}/remove")
def remove_nic(ctx: Ctx, ref: str, card: str) -> Response:
    """Remove it."""
    return accepted(ctx, submit(ctx, service.remove_nic(ctx, service.get(ctx, ref), card)))


@router.get("/instances/{ref}/nics/{card}/release/preview")
def release_preview(ctx: Ctx, ref: str, card: str) -> Response:
    """What taking it out and keeping its port does."""
    row = service.get(ctx, ref)
    intent = service.remove_nic(ctx, row, card, keep_port=True)
    return preview(ctx, intent, action=f"/instances/{row.id}/nics/{card}/release", confirm=_("Take it out"))


@router.post("/instances/{ref}/nics/{card}/release")
def release_nic(ctx: Ctx, ref: str, card: str) -> Response:
    """Take it out and keep its port."""
    return accepted(ctx, submit(ctx, service.remove_nic(ctx, service.get(ctx, ref), card, keep_port=True)))
