"""Pages of security groups and their rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.context import Context
from yun.base.messages import Message, _
from yun.network import service
from yun.network.api import reach as faces
from yun.network.api import show
from yun.network.model import AddressSet, SecurityGroup
from yun.network.service import group_changes, hits
from yun.network.service.reach import of_group
from yun.network.service.search import FIELDS
from yun.operations.service import submit
from yun.web.edits import changed
from yun.web.pages import (
    Ctx,
    FormData,
    Listing,
    PageRoute,
    Typed,
    accepted,
    number,
    preview,
    render,
    word,
    words,
)
from yun.web.searching import searched

router = APIRouter(route_class=PageRoute, include_in_schema=False)
TITLES: dict[str, Message] = {"name": _("Name"), "description": _("Description"), "stateless": _("Stateless")}


def allowing() -> list[tuple[str, Message]]:
    """What a new group may let in, by its word, with a title."""
    usual = ("ssh", "ping", "http", "https", "rdp")
    return [*((word, service.KNOWN[word][0]) for word in usual), (service.OWN, _("Everything from the same group"))]


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
    return render(ctx, "network/group_dialog.html", action="/networks/security-groups", allowing=allowing())


@router.post("/networks/security-groups")
def create_group(ctx: Ctx, typed: Typed) -> Response:
    """Make a group."""
    allow = words(typed, "allow")
    intent = service.create_group(ctx, word(typed, "name") or "", word(typed, "description") or "", allow=allow)
    operation = submit(ctx, intent)
    return accepted(ctx, operation, location=f"/networks/security-groups/{operation.subject_id}")


@router.get("/networks/security-groups/{ref}")
def group(ctx: Ctx, ref: str) -> Response:
    """One group and its rules."""
    found = service.get_group(ctx, ref)
    shown = show.group(found, ctx.session, ctx.locale)
    may_see = ctx.allowed("security_group.hits", found.project_id)
    noted = show.hits(hits.hits(ctx, found), ctx.locale) if may_see else None
    ports = group_changes.ports_in(ctx.session, found.id)
    reach = faces.summary(of_group(ctx.session, found.id), ctx.locale)
    return render(ctx, "network/group.html", group=found, shown=shown, reach=reach, ports=ports, hits=noted,
                  live=f"security_group:{found.id}")  # fmt: skip


@router.get("/networks/security-groups/{ref}/edit")
def edit_dialog(ctx: Ctx, ref: str) -> Response:
    """The dialog that changes a group."""
    found = service.get_group(ctx, ref)
    ctx.may("security_group.update", found.project_id)
    return render(ctx, "network/group_edit.html", action=f"/networks/security-groups/{found.id}/edit", group=found)


@router.post("/networks/security-groups/{ref}/edit")
def edit_group(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Change a group."""
    found = service.get_group(ctx, ref)
    wanted = {
        "description": word(typed, "description") or "", "stateless": word(typed, "sort") == "stateless",
        **({} if found.is_default else {"name": word(typed, "name") or ""}),
    }  # fmt: skip
    changes = changed(typed, wanted, {name: getattr(found, name) for name in wanted}, TITLES)
    return accepted(ctx, submit(ctx, group_changes.update_group(ctx, found, **changes)))


@router.get("/networks/security-groups/{ref}/clone")
def clone_dialog(ctx: Ctx, ref: str) -> Response:
    """The dialog that asks how the copy is called."""
    found = service.get_group(ctx, ref)
    ctx.may("security_group.clone", found.project_id)
    return render(ctx, "network/group_clone.html", action=f"/networks/security-groups/{found.id}/clone", group=found)


@router.post("/networks/security-groups/{ref}/clone")
def clone_group(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Make a group with the same rules."""
    intent = group_changes.clone_group(ctx, service.get_group(ctx, ref), word(typed, "name") or "")
    operation = submit(ctx, intent)
    return accepted(ctx, operation, location=f"/networks/security-groups/{operation.subject_id}")


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


@router.get("/networks/security-groups/{ref}/log/preview")
def log_preview(ctx: Ctx, ref: str) -> Response:
    """What noting the hits means."""
    found = service.get_group(ctx, ref)
    return preview(
        ctx, hits.log_group(ctx, found), action=f"/networks/security-groups/{found.id}/log", confirm=_("Note hits")
    )


@router.post("/networks/security-groups/{ref}/log")
def log_group(ctx: Ctx, ref: str) -> Response:
    """Note the hits for a while."""
    return accepted(ctx, submit(ctx, hits.log_group(ctx, service.get_group(ctx, ref))))


@router.post("/networks/security-groups/{ref}/stop-log")
def stop_log(ctx: Ctx, ref: str) -> Response:
    """Note nothing more."""
    return accepted(ctx, submit(ctx, hits.stop_log(ctx, service.get_group(ctx, ref))))


# ── rules ──


@router.get("/networks/security-groups/{ref}/rules/new")
def rule_dialog(
    ctx: Ctx, ref: str, direction: str = "ingress", protocol: str = "", port_min: str = "", port_max: str = "",
    remote: str = "", family: str = "ipv4", icmp_type: str = "",
) -> Response:  # fmt: skip
    """The dialog for a rule, filled in where a page offers a certain one."""
    filled = {
        "direction": direction, "protocol": protocol, "port_min": port_min, "port_max": port_max, "remote": remote,
        "family": family, "icmp_type": icmp_type, "remote_group": "", "remote_set": "", "description": "",
    }  # fmt: skip
    found = service.get_group(ctx, ref)
    ctx.may("security_group.add_rule", found.project_id)
    action = f"/networks/security-groups/{found.id}/rules"
    return render(ctx, "network/rule_dialog.html", action=action, group=found, filled=filled, **_choices(ctx, found))


def _choices(ctx: Context, group: SecurityGroup) -> dict[str, Any]:
    """Groups and address sets that a rule may name, and the well-known rules."""
    inside = replace(ctx, project_id=group.project_id)
    return {
        "others": service.list_of(inside, SecurityGroup, sort="name", limit=1000).items,
        "sets": service.list_of(inside, AddressSet, sort="name", limit=1000).items,
        "known": [("", _("Own rule")), *((name, title) for name, (title, *_rest) in service.KNOWN.items())],
    }


def _wish(form: FormData) -> service.NewRule:
    kind = word(form, "kind") or ""
    remote = word(form, "remote_group") or word(form, "remote_set") or word(form, "remote")
    direction, family = word(form, "direction") or "ingress", word(form, "family") or "ipv4"
    description = word(form, "description") or ""
    if kind in service.KNOWN:
        _title, protocol, least = service.KNOWN[kind]
        return service.NewRule(direction, protocol, least, least, remote, family, description=description)
    return service.NewRule(
        direction, word(form, "protocol") or "tcp", number(form, "port_min"), number(form, "port_max"), remote, family,
        icmp_type=number(form, "icmp_type"), description=description,
    )  # fmt: skip


@router.post("/networks/security-groups/{ref}/rules")
def add_rule(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Allow one more thing."""
    return accepted(ctx, submit(ctx, service.add_rule(ctx, service.get_group(ctx, ref), _wish(typed))))


@router.get("/networks/security-groups/{ref}/rules/{rule_id}/edit")
def edit_rule_dialog(ctx: Ctx, ref: str, rule_id: str) -> Response:
    """The dialog that changes a rule in its place."""
    found = service.get_group(ctx, ref)
    ctx.may("security_group.update_rule", found.project_id)
    rule = group_changes.rule_of(ctx, found, rule_id)
    action = f"/networks/security-groups/{found.id}/rules/{rule.id}/edit"
    filled = {
        "direction": rule.direction, "protocol": rule.protocol, "port_min": rule.port_min, "port_max": rule.port_max,
        "remote": rule.remote_cidr, "family": rule.family, "icmp_type": rule.icmp_type,
        "remote_group": rule.remote_group_id, "remote_set": rule.remote_set_id, "description": rule.description,
    }  # fmt: skip
    return render(ctx, "network/rule_dialog.html", action=action, group=found, filled=filled, **_choices(ctx, found))


@router.post("/networks/security-groups/{ref}/rules/{rule_id}/edit")
def edit_rule(ctx: Ctx, ref: str, rule_id: str, typed: Typed) -> Response:
    """Let a rule say something else."""
    found = service.get_group(ctx, ref)
    return accepted(ctx, submit(ctx, group_changes.update_rule(ctx, found, rule_id, _wish(typed))))


@router.get("/networks/security-groups/{ref}/rules/{rule_id}/remove/preview")
def remove_preview(ctx: Ctx, ref: str, rule_id: str) -> Response:
    """What removing does."""
    intent = service.remove_rule(ctx, service.get_group(ctx, ref), rule_id)
    return preview(ctx, intent, action=f"/networks/security-groups/{ref}/rules/{rule_id}/remove", confirm=_("Remove"))


@router.post("/networks/security-groups/{ref}/rules/{rule_id}/remove")
def remove_rule(ctx: Ctx, ref: str, rule_id: str) -> Response:
    """Allow it no longer."""
    return accepted(ctx, submit(ctx, service.remove_rule(ctx, service.get_group(ctx, ref), rule_id)))
