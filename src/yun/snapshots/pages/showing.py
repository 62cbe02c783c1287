"""Looking at snapshots: all of the project, an instance's tree, one, and two against each other."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from yun.base.context import Context
from yun.base.messages import Message, _
from yun.base.units import MIB, format_size
from yun.compute import service as compute
from yun.compute.model import SETTLED, Instance
from yun.compute.pages.one import frame
from yun.operations.pages import history_of
from yun.snapshots import service
from yun.snapshots.drawing import drawn
from yun.web.pages import Ctx, Listing, PageRoute, render

router = APIRouter(route_class=PageRoute, include_in_schema=False)
FIELDS: dict[str, Message] = {
    "vcpus": _("vCPUs"), "memory_mib": _("Memory"), "flavor_name": _("Flavor"), "firmware": _("Firmware"),
    "hardware": _("Hardware"), "boot_order": _("Boot order"),
}  # fmt: skip
"""What of an instance's definition a person is told; the flavor's id says nothing to him."""


@router.get("/snapshots")
def snapshots(ctx: Ctx, q: str = "", sort: str = "-created_at", cursor: str | None = None) -> Response:
    """The project's snapshots."""
    page = service.list_snapshots(ctx, q=q[:200], sort=sort, cursor=cursor, limit=50)
    listing = Listing("/snapshots", page, sort=sort, filters={"q": q}, cursor=cursor, live="snapshot")
    items = service.shown(ctx, page.items)
    return render(ctx, "snapshots/list.html", listing=listing, items=items, settled=SETTLED)


@router.get("/instances/{ref}/snapshots")
def tree(ctx: Ctx, ref: str) -> Response:
    """An instance's snapshots as a tree, with the place where it is now."""
    row = compute.get(ctx, ref)
    found = service.shown_tree(ctx, row)
    nodes = {node["id"]: node for node in found["nodes"]}
    lines = drawn([(node["id"], node["parent_id"]) for node in found["nodes"]], found["present"])
    top = frame(ctx, row)
    top["live"] = f"{top['live']} snapshot"
    return render(
        ctx, "snapshots/tab.html", tab="snapshots", lines=lines, nodes=nodes, settled=row.state in SETTLED,
        whole=sum(node["own_bytes"] for node in found["nodes"]), **top,
    )  # fmt: skip


# ── two against each other ──


@router.get("/snapshots/compare")
def compare(ctx: Ctx, ids: Annotated[list[str], Query(alias="id", max_length=500)] = []) -> Response:  # noqa: B006
    """What differs between two; where not two are ticked, that is said."""
    if len(ids) != 2:
        return render(ctx, "snapshots/compare.html", found=None)
    one, other = sorted((service.get(ctx, i) for i in ids), key=lambda row: row.created_at)
    found = service.compare(ctx, one, other)
    changes = [
        (FIELDS[name].render(ctx.locale), *(value_of(ctx, name, value) for value in both))
        for name, both in found["definition"].items() if name in FIELDS
    ]  # fmt: skip
    return render(ctx, "snapshots/compare.html", one=one, other=other, changes=changes, found=found)


def value_of(ctx: Context, name: str, value: Any) -> str:
    """A value of a definition as a person reads it."""
    if value in (None, "", [], {}):
        return "–"
    if name == "memory_mib":
        return format_size(value * MIB)
    if isinstance(value, dict):
        return ", ".join(f"{key}: {one}" for key, one in value.items() if one not in (None, "", [], {}))
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


# ── one ──


@router.get("/snapshots/{ref}")
def one(ctx: Ctx, ref: str) -> Response:
    """One snapshot: what it keeps, and what can be made of it."""
    row = service.get(ctx, ref)
    item = service.shown(ctx, [row])[0]
    definition = [
        (title.render(ctx.locale), value_of(ctx, name, row.definition[name]))
        for name, title in FIELDS.items() if name in row.definition
    ]  # fmt: skip
    parent = next(iter(service.shown(ctx, [service.get(ctx, row.parent_id)])), None) if row.parent_id else None
    return render(
        ctx, "snapshots/one.html", row=row, item=item, definition=definition, parent=parent,
        settled=_settled(ctx, row.instance_id), live=f"snapshot:{row.id}",
        history=history_of(ctx, "snapshot", row.id, limit=10),
    )  # fmt: skip


def _settled(ctx: Context, instance_id: str) -> bool:
    found = ctx.session.get(Instance, instance_id)
    return found is not None and found.state in SETTLED
