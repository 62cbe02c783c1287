"""Pages of security groups and their rules."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.context import Context
from yun.base.messages import _
from yun.network import service
from yun.network.api import show
from yun.network.model import SecurityGroup
from yun.network.service.search import FIELDS
from yun.operations.intent import Intent
from yun.operations.service import submit
from yun.web.pages import Ctx, FormData, Listing, PageRoute, Typed, accepted, number, preview, render, word
from yun.web.searching import searched

router = APIRouter(route_class=PageRoute, include_in_schema=False)
WELL_KNOWN = (
    ("", _("Own rule"), "", ""),
    ("ssh", "SSH", "tcp", "22"),
    ("http", "HTTP", "tcp", "80"),
    ("https", "HTTPS", "tcp", "443"),
    ("ping", _("Ping (ICMP)"), "icmp", ""),
    ("rdp", "RDP", "tcp", "3389"),
    ("all", _("Everything"), "any", ""),
)


@router.get("/networks/security-groups")
def groups(ctx: Ctx, q: str = "", state: str = "", sort: str = "name", cursor: str | None = None) -> Response:
    """The project's security groups; those in the trash where they are asked for."""
    page, fault = searched(ctx, q, FIELDS[SecurityGroup], lambda words: service.list_of(
        ctx, SecurityGroup, filters={"state": state or None}, sort=sort, cursor=cursor, q=words
    ))  # fmt: skip
    url, filters = "/networks/security-groups", {"q": q, "state": state}
    listing = Listing(url, page, sort=sort, filters=filters, cursor=cursor, live="security_group", fault=fault)
    shown = {g.id: show.group(g, ctx.session, ctx.locale) for g in page.items}
    return render(ctx, "network/groups.html", listing=listing, shown=shown, tab="groups")


@router.get("/networks/security-groups/new")
def group_dialog(ctx: Ctx) -> Response:
    """The dialog for a group."""
    ctx.may("security_group.create")
    return render(ctx, "network/group_dialog.html", action="/networks/security-groups")


@router.post("/networks/security-groups")
def create_group(ctx: Ctx, typed: Typed) -> Response:
    """Make a group."""
    intent = service.create_group(ctx, word(typed, "name") or "", word(typed, "description") or "")
    operation = submit(ctx, intent)
    return accepted(ctx, operation, location=f"/networks/security-groups/{operation.subject_id}")


@router.get("/networks/security-groups/{ref}")
def group(ctx: Ctx, ref: str) -> Response:
    """One group and its rules."""
    found = service.get_group(ctx, ref)
    shown = show.group(found, ctx.session, ctx.locale)
    return render(ctx, "network/group.html", group=found, shown=shown, live=f"security_group:{found.id}")


@router.get("/networks/security-groups/{ref}/delete/preview")
def delete_preview(ctx: Ctx, ref: str) -> Response:
    """What deleting does."""
    found = service.get_group(ctx, ref)
    intent = service.delete_group(ctx, found)
    return preview(ctx, intent, action=f"/networks/security-groups/{found.id}/delete", confirm=_("Delete"))


@router.post("/networks/security-groups/{ref}/delete")
def delete_group(ctx: Ctx, ref: str) -> Response:
    """Put it into the trash."""
    intent = service.delete_group(ctx, service.get_group(ctx, ref))
    return accepted(ctx, submit(ctx, intent), location="/networks/security-groups")


# ── rules ──


@router.get("/networks/security-groups/{ref}/rules/new")
def rule_dialog(ctx: Ctx, ref: str) -> Response:
    """The dialog for a rule."""
    found = service.get_group(ctx, ref)
    ctx.may("security_group.add_rule", found.project_id)
    others = service.list_of(ctx, SecurityGroup, sort="name", limit=1000).items
    action = f"/networks/security-groups/{found.id}/rules"
    return render(ctx, "network/rule_dialog.html", action=action, group=found, others=others, known=WELL_KNOWN)


def _rule(ctx: Context, ref: str, form: FormData) -> Intent:
    known = {name: (protocol, port) for name, _title, protocol, port in WELL_KNOWN if name}
    kind = word(form, "kind") or ""
    remote = word(form, "remote_group") or word(form, "remote")
    direction, family = word(form, "direction") or "ingress", word(form, "family") or "ipv4"
    description = word(form, "description") or ""
    if kind in known:
        protocol, port = known[kind]
        least = int(port) if port else None
        rule = service.NewRule(direction, protocol, least, least, remote, family, description=description)
    else:
        protocol = word(form, "protocol") or "tcp"
        least, most = number(form, "port_min"), number(form, "port_max")
        rule = service.NewRule(direction, protocol, least, most, remote, family, description=description)
    return service.add_rule(ctx, service.get_group(ctx, ref), rule)


@router.post("/networks/security-groups/{ref}/rules")
def add_rule(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Allow one more thing."""
    return accepted(ctx, submit(ctx, _rule(ctx, ref, typed)))


@router.get("/networks/security-groups/{ref}/rules/{rule_id}/remove/preview")
def remove_preview(ctx: Ctx, ref: str, rule_id: str) -> Response:
    """What removing does."""
    intent = service.remove_rule(ctx, service.get_group(ctx, ref), rule_id)
    return preview(ctx, intent, action=f"/networks/security-groups/{ref}/rules/{rule_id}/remove", confirm=_("Remove"))


@router.post("/networks/security-groups/{ref}/rules/{rule_id}/remove")
def remove_rule(ctx: Ctx, ref: str, rule_id: str) -> Response:
    """Allow it no longer."""
    return accepted(ctx, submit(ctx, service.remove_rule(ctx, service.get_group(ctx, ref), rule_id)))
