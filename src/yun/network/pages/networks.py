"""Pages of networks and subnets."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.context import Context
from yun.base.messages import _
from yun.base.query import finished
from yun.network import service
from yun.network.api import show
from yun.network.model import Network, Port
from yun.network.pages.changes import typed_ways
from yun.network.pages.groups import allowing
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
    ticked,
    word,
    words,
)
from yun.web.searching import searched
from yun.web.typed import listed

router = APIRouter(route_class=PageRoute, include_in_schema=False)

MANY = 100_000


@router.get("/networks")
def networks(ctx: Ctx, q: str = "", state: str = "", sort: str = "name", cursor: str | None = None) -> Response:
    """The project's networks and the external one; those in the trash where they are asked for."""
    page, fault = searched(ctx, q, FIELDS[Network], lambda words: service.list_of(
        ctx, Network, filters={"state": state or None}, sort=sort, cursor=cursor, q=words
    ))  # fmt: skip
    filters = {"q": q, "state": state}
    words = " ".join(w for w in (finished(q, FIELDS[Network]), f"state:{state}" if state else "") if w)
    more = fault is None and (page.next is not None or cursor is not None)
    listing = Listing(
        "/networks", page, sort=sort, filters=filters, cursor=cursor, live="network subnet", fault=fault,
        total=len(service.ids_of(ctx, Network, words, MANY)) if more else None, query=words if more else None,
    )  # fmt: skip
    subnets = service.subnets_by_network(ctx.session, [n.id for n in page.items])
    return render(ctx, "network/networks.html", listing=listing, subnets=subnets, tab="networks")


@router.get("/networks/new")
def network_form(ctx: Ctx) -> Response:
    """The form for a network with its first subnet."""
    ctx.may("network.create")
    known = service.physical_names(ctx) if ctx.allowed("network.provide") else []
    return render(
        ctx, "network/network_form.html", action="/networks", preview_url="/networks/new/preview",
        physical=[(name, name) for name in known], allowing=allowing(),
    )  # fmt: skip


def new_subnet(form: FormData) -> service.NewSubnet:
    """What was typed of a subnet. Raises `Invalid`."""
    servers = listed(word(form, "dns_servers") or "")
    lease = number(form, "lease_seconds")
    return service.NewSubnet(
        cidr=word(form, "cidr") or "", name=word(form, "subnet_name") or "", gateway=word(form, "gateway") or "auto",
        pool_start=word(form, "pool_start"), pool_end=word(form, "pool_end"), dns_servers=servers,
        domain=word(form, "domain") or "", dhcp=ticked(form, "dhcp"), routed=ticked(form, "routed"),
        ntp_servers=listed(word(form, "ntp_servers") or ""), routes=typed_ways(form),
        lease_seconds=3600 if lease is None else lease, ipv6_mode=word(form, "ipv6_mode"),
    )  # fmt: skip


def _new_group(form: FormData) -> service.NewGroup | None:
    """The security group that is to come with it."""
    if not ticked(form, "with_group"):
        return None
    return service.NewGroup(word(form, "security_group.name") or "", allow=words(form, "security_group.allow"))


def _new_network(ctx: Context, form: FormData) -> Intent:
    subnet = new_subnet(form) if word(form, "cidr") else None
    new = service.NewNetwork(
        word(form, "name") or "", word(form, "description") or "", number(form, "mtu"), word(form, "network_domain"),
        subnet, word(form, "physical"), number(form, "vlan"), ticked(form, "external"), _new_group(form),
    )  # fmt: skip
    return service.create_network(ctx, new)


@router.post("/networks/new/preview")
def plan_network(ctx: Ctx, typed: Typed) -> Response:
    """What creating it would do."""
    return live_preview(ctx, lambda: _new_network(ctx, typed))


@router.post("/networks")
def create_network(ctx: Ctx, typed: Typed) -> Response:
    """Make a network."""
    operation = submit(ctx, _new_network(ctx, typed))
    return accepted(ctx, operation, location=f"/networks/{operation.subject_id}")


@router.get("/networks/{ref}")
def network(ctx: Ctx, ref: str, cursor: str | None = None) -> Response:
    """One network: its subnets and ports."""
    found = service.get_network(ctx, ref)
    subnets = [show.subnet(s, ctx.session) for s in service.subnets_of(ctx.session, found.id)]
    routers = {s["id"]: service.router_of(ctx.session, s["id"]) for s in subnets}
    page = service.list_of(ctx, Port, filters={"network_id": found.id}, sort="created_at", cursor=cursor)
    return render(
        ctx, "network/network.html", network=found, shared=found.id in service.shares_of(ctx.session, [found.id]),
        subnets=subnets, routers=routers,
        ports=show.ports(ctx.session, page.items), next=page.next, live=f"network:{found.id} port subnet",
    )  # fmt: skip


@router.get("/networks/{ref}/tag")
def tag_dialog(ctx: Ctx, ref: str) -> Response:
    """The dialog for the tags."""
    found = service.get_network(ctx, ref)
    ctx.may("network.tag", found.project_id)
    return render(ctx, "web/tag_dialog.html", action=f"/networks/{found.id}/tag", name=found.name, tags=found.tags)


@router.post("/networks/{ref}/tag")
def save_tags(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Give it these tags."""
    tags = listed(word(typed, "tags") or "")
    return accepted(ctx, submit(ctx, service.tag_network(ctx, service.get_network(ctx, ref), tags)))


@router.get("/networks/{ref}/delete/preview")
def delete_preview(ctx: Ctx, ref: str) -> Response:
    """What deleting does."""
    found = service.get_network(ctx, ref)
    intent = service.delete_network(ctx, found)
    return preview(ctx, intent, action=f"/networks/{found.id}/delete", confirm=_("Delete"))


@router.post("/networks/{ref}/delete")
def delete_network(ctx: Ctx, ref: str) -> Response:
    """Put it into the trash."""
    intent = service.delete_network(ctx, service.get_network(ctx, ref))
    return accepted(ctx, submit(ctx, intent), location="/networks")


# ── subnets ──


@router.get("/networks/{ref}/subnets/new")
def subnet_form(ctx: Ctx, ref: str) -> Response:
    """The form for one more subnet."""
    found = service.get_network(ctx, ref)
    ctx.may("subnet.create", found.project_id)
    action = f"/networks/{found.id}/subnets"
    return render(ctx, "network/subnet_form.html", action=action, preview_url=f"{action}/preview", network=found)


@router.post("/networks/{ref}/subnets/preview")
def plan_subnet(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """What creating it would do."""
    return live_preview(ctx, lambda: service.create_subnet(ctx, service.get_network(ctx, ref), new_subnet(typed)))


@router.post("/networks/{ref}/subnets")
def create_subnet(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Make a subnet."""
    intent = service.create_subnet(ctx, service.get_network(ctx, ref), new_subnet(typed))
    return accepted(ctx, submit(ctx, intent), location=f"/networks/{ref}")


@router.get("/subnets/{ref}/delete/preview")
def delete_subnet_preview(ctx: Ctx, ref: str) -> Response:
    """What deleting does."""
    found = service.get_subnet(ctx, ref)
    return preview(ctx, service.delete_subnet(ctx, found), action=f"/subnets/{found.id}/delete", confirm=_("Delete"))


@router.post("/subnets/{ref}/delete")
def delete_subnet(ctx: Ctx, ref: str) -> Response:
    """Put it into the trash."""
    found = service.get_subnet(ctx, ref)
    operation = submit(ctx, service.delete_subnet(ctx, found))
    return accepted(ctx, operation, location=f"/networks/{found.network_id}")
