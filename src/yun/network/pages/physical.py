"""Pages of physical networks."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.messages import _
from yun.hosts import service as hosts
from yun.hosts.model import Host
from yun.network import service
from yun.operations.service import submit
from yun.web.pages import Ctx, PageRoute, Typed, accepted, preview, render, word

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/networks/physical")
def physical_networks(ctx: Ctx, cursor: str | None = None) -> Response:
    """What the hosts reach beyond their cards."""
    page = service.list_physical(ctx, cursor=cursor)
    names = {r.host_id: host.name for r in page.items if (host := ctx.session.get(Host, r.host_id)) is not None}
    return render(
        ctx, "network/physical.html", rows=page.items, next=page.next, hosts=names, tab="physical",
        live="physical_network",
    )  # fmt: skip


@router.get("/networks/physical/new")
def physical_dialog(ctx: Ctx) -> Response:
    """The dialog for one."""
    ctx.may("physical_network.create")
    listed = hosts.list_hosts(ctx, limit=500).items
    return render(ctx, "network/physical_dialog.html", action="/networks/physical", listed=listed)


@router.post("/networks/physical")
def create_physical(ctx: Ctx, typed: Typed) -> Response:
    """Describe one."""
    new = service.NewPhysical(
        word(typed, "name") or "", word(typed, "bridge") or "", word(typed, "interface") or "", word(typed, "host"),
        word(typed, "description") or "",
    )  # fmt: skip
    return accepted(ctx, submit(ctx, service.create_physical(ctx, new)), location="/networks/physical")


@router.get("/networks/physical/{ref}/delete/preview")
def delete_preview(ctx: Ctx, ref: str) -> Response:
    """What forgetting it does."""
    intent = service.delete_physical(ctx, service.get_physical(ctx, ref))
    return preview(ctx, intent, action=f"/networks/physical/{ref}/delete", confirm=_("Delete"))


@router.post("/networks/physical/{ref}/delete")
def delete_physical(ctx: Ctx, ref: str) -> Response:
    """Forget it."""
    intent = service.delete_physical(ctx, service.get_physical(ctx, ref))
    return accepted(ctx, submit(ctx, intent), location="/networks/physical")
