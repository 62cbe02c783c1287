"""Pages of load balancers."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.context import Context
from yun.base.errors import Invalid
from yun.base.messages import _
from yun.network import service
from yun.network.api import show
from yun.network.model import FloatingIp, LoadBalancer, Network, Port
from yun.network.service.search import FIELDS
from yun.operations.intent import Intent
from yun.operations.service import submit
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
PLACE = "/networks/load-balancers"


@router.get(PLACE)
def balancers(ctx: Ctx, q: str = "", state: str = "", sort: str = "name", cursor: str | None = None) -> Response:
    """The project's load balancers; those in the trash where they are asked for."""
    page, fault = searched(ctx, q, FIELDS[LoadBalancer], lambda words: service.list_of(
        ctx, LoadBalancer, filters={"state": state or None}, sort=sort, cursor=cursor, q=words
    ))  # fmt: skip
    filters = {"q": q, "state": state}
    listing = Listing(PLACE, page, sort=sort, filters=filters, cursor=cursor, live="load_balancer", fault=fault)
    shown = {b.id: show.balancer(b, ctx.session, ctx.locale) for b in page.items}
    return render(ctx, "network/balancers.html", listing=listing, shown=shown, tab="balancers")


def _free_addresses(ctx: Context) -> list[FloatingIp]:
    page = service.list_of(ctx, FloatingIp, sort="address", limit=500, q="used:no")
    return [f for f in page.items if service.behind_floating_ip(ctx.session, f.id) is None]


@router.get(PLACE + "/new")
def balancer_form(ctx: Ctx) -> Response:
    """The form for a load balancer with its first listener and members."""
    ctx.may("load_balancer.create")
    networks = [n for n in service.list_of(ctx, Network, sort="name", limit=1000).items if not n.external]
    return render(
        ctx, "network/balancer_form.html", action=PLACE, preview_url=PLACE + "/new/preview", networks=networks,
        floating=_free_addresses(ctx), machines=_machines(ctx),
    )  # fmt: skip


def _machines(ctx: Context) -> list[Port]:
    """The first card of each instance of the project."""
    found: dict[str, Port] = {}
    for port in service.list_of(ctx, Port, sort="created_at", limit=1000).items:
        if port.instance_id:
            found.setdefault(port.instance_id, port)
    return sorted(found.values(), key=lambda p: (p.hostname, p.address))


def new_listener(form: FormData) -> service.NewListener:
    """What was typed of a listener. Raises `Invalid`."""
    port = number(form, "port")
    if port is None:
        raise Invalid(_("The port is missing."), fields={"port": _("{low} to {high}", low=1, high=65535)})
    affinity, check = number(form, "affinity_seconds"), number(form, "check_seconds")
    timeout, failures = number(form, "check_timeout"), number(form, "check_failures")
    return service.NewListener(
        port, word(form, "protocol") or "tcp", number(form, "member_port"), affinity or 0,
        5 if check is None else check, 2 if timeout is None else timeout, 3 if failures is None else failures,
    )  # fmt: skip


def _new(ctx: Context, form: FormData) -> Intent:
    listeners = (new_listener(form),) if word(form, "port") else ()
    members = [("instance", str(v)) for v in form.getlist("member") if v]
    if tag := word(form, "member_tag"):
        members.append(("tag", tag))
    return service.create_balancer(ctx, service.NewBalancer(
        name=word(form, "name") or "", network=word(form, "network"), address=word(form, "address"),
        description=word(form, "description") or "", floating_ip=word(form, "floating_ip"), listeners=listeners,
        members=tuple(members),
    ))  # fmt: skip


@router.post(PLACE + "/new/preview")
def plan_balancer(ctx: Ctx, typed: Typed) -> Response:
    """What creating it would do."""
    return live_preview(ctx, lambda: _new(ctx, typed))


@router.post(PLACE)
def create_balancer(ctx: Ctx, typed: Typed) -> Response:
    """Make a load balancer."""
    operation = submit(ctx, _new(ctx, typed))
    return accepted(ctx, operation, location=f"{PLACE}/{operation.subject_id}")


@router.get(PLACE + "/{ref}")
def balancer(ctx: Ctx, ref: str) -> Response:
    """One load balancer: listeners, members, and how they are."""
    found = service.get_balancer(ctx, ref)
    network = ctx.session.get(Network, found.network_id)
    return render(
        ctx, "network/balancer.html", balancer=found, shown=show.balancer(found, ctx.session, ctx.locale),
        network=network, live=f"load_balancer:{found.id} port",
    )  # fmt: skip


@router.get(PLACE + "/{ref}/edit")
def edit_dialog(ctx: Ctx, ref: str) -> Response:
    """The dialog for name, description and floating IP."""
    found = service.get_balancer(ctx, ref)
    ctx.may("load_balancer.update", found.project_id)
    own = ctx.session.get(FloatingIp, found.floating_ip_id) if found.floating_ip_id else None
    return render(
        ctx, "network/balancer_dialog.html", action=f"{PLACE}/{found.id}/edit", balancer=found, own=own,
        floating=_free_addresses(ctx),
    )  # fmt: skip


@router.post(PLACE + "/{ref}/edit")
def update_balancer(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Another name, description or floating IP."""
    intent = service.update_balancer(
        ctx, service.get_balancer(ctx, ref), name=word(typed, "name") or "",
        description=word(typed, "description") or "", floating_ip=word(typed, "floating_ip"),
    )  # fmt: skip
    return accepted(ctx, submit(ctx, intent))


@router.get(PLACE + "/{ref}/delete/preview")
def delete_preview(ctx: Ctx, ref: str) -> Response:
    """What deleting does."""
    found = service.get_balancer(ctx, ref)
    intent = service.delete_balancer(ctx, found)
    return preview(ctx, intent, action=f"{PLACE}/{found.id}/delete", confirm=_("Delete"))


@router.post(PLACE + "/{ref}/delete")
def delete_balancer(ctx: Ctx, ref: str) -> Response:
    """Put it into the trash."""
    return accepted(ctx, submit(ctx, service.delete_balancer(ctx, service.get_balancer(ctx, ref))), location=PLACE)


# ── listeners ──


@router.get(PLACE + "/{ref}/listeners/new")
def listener_dialog(ctx: Ctx, ref: str) -> Response:
    """The dialog for one more listener."""
    found = service.get_balancer(ctx, ref)
    ctx.may("load_balancer.add_listener", found.project_id)
    return render(
        ctx, "network/listener_dialog.html", action=f"{PLACE}/{found.id}/listeners", balancer=found, listener=None
    )


@router.post(PLACE + "/{ref}/listeners")
def add_listener(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Answer on one more port."""
    intent = service.add_listener(ctx, service.get_balancer(ctx, ref), new_listener(typed))
    return accepted(ctx, submit(ctx, intent))


@router.get(PLACE + "/{ref}/listeners/{listener}/change")
def change_dialog(ctx: Ctx, ref: str, listener: str) -> Response:
    """The dialog that changes a listener."""
    found = service.get_balancer(ctx, ref)
    ctx.may("load_balancer.change_listener", found.project_id)
    row = service.get_listener(ctx.session, found, listener)
    action = f"{PLACE}/{found.id}/listeners/{row.id}/change"
    return render(ctx, "network/listener_dialog.html", action=action, balancer=found, listener=row)


@router.post(PLACE + "/{ref}/listeners/{listener}/change")
def change_listener(ctx: Ctx, ref: str, listener: str, typed: Typed) -> Response:
    """The listener is as it was typed."""
    intent = service.change_listener(ctx, service.get_balancer(ctx, ref), listener, new_listener(typed))
    return accepted(ctx, submit(ctx, intent))


@router.get(PLACE + "/{ref}/listeners/{listener}/remove/preview")
def remove_listener_preview(ctx: Ctx, ref: str, listener: str) -> Response:
    """What removing does."""
    found = service.get_balancer(ctx, ref)
    intent = service.remove_listener(ctx, found, listener)
    action = f"{PLACE}/{found.id}/listeners/{listener}/remove"
    return preview(ctx, intent, action=action, confirm=_("Remove"))


@router.post(PLACE + "/{ref}/listeners/{listener}/remove")
def remove_listener(ctx: Ctx, ref: str, listener: str) -> Response:
    """Answer on that port no longer."""
    return accepted(ctx, submit(ctx, service.remove_listener(ctx, service.get_balancer(ctx, ref), listener)))


# ── members ──


@router.get(PLACE + "/{ref}/members/new")
def member_dialog(ctx: Ctx, ref: str) -> Response:
    """The dialog for one more member."""
    found = service.get_balancer(ctx, ref)
    ctx.may("load_balancer.add_member", found.project_id)
    return render(
        ctx, "network/member_dialog.html", action=f"{PLACE}/{found.id}/members", balancer=found,
        machines=_machines(ctx), ports=service.list_of(ctx, Port, sort="created_at", limit=500).items,
    )  # fmt: skip


@router.post(PLACE + "/{ref}/members")
def add_member(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Share the connections with one more."""
    kind = word(typed, "kind") or "instance"
    intent = service.add_member(ctx, service.get_balancer(ctx, ref), kind, word(typed, kind) or "")
    return accepted(ctx, submit(ctx, intent))


@router.get(PLACE + "/{ref}/members/{member}/remove/preview")
def remove_member_preview(ctx: Ctx, ref: str, member: str) -> Response:
    """What removing does."""
    found = service.get_balancer(ctx, ref)
    intent = service.remove_member(ctx, found, member)
    return preview(ctx, intent, action=f"{PLACE}/{found.id}/members/{member}/remove", confirm=_("Remove"))


@router.post(PLACE + "/{ref}/members/{member}/remove")
def remove_member(ctx: Ctx, ref: str, member: str) -> Response:
    """Share the connections with one less."""
    return accepted(ctx, submit(ctx, service.remove_member(ctx, service.get_balancer(ctx, ref), member)))
