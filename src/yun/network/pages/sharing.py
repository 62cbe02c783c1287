"""Pages where networks are shared."""

from __future__ import annotations

import sqlalchemy as sa
from fastapi import APIRouter
from starlette.responses import Response

from yun.base.messages import _
from yun.identity.model import Project
from yun.network import service
from yun.operations.service import submit
from yun.web.pages import Ctx, PageRoute, Typed, accepted, preview, render, ticked, word

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/networks/{ref}/share")
def share_dialog(ctx: Ctx, ref: str) -> Response:
    """With whom it is shared, and one more."""
    found = service.get_network(ctx, ref)
    ctx.may("network.share", found.project_id)
    shared = service.shares_of(ctx.session, [found.id]).get(found.id, [])
    rows = ctx.session.execute(sa.select(Project.id, Project.name).where(Project.id.in_(shared)))
    names = {identifier: name for identifier, name in rows}  # noqa: C416
    return render(
        ctx, "network/share_dialog.html", action=f"/networks/{found.id}/share", network=found, shared=shared,
        names=names,
    )  # fmt: skip


@router.post("/networks/{ref}/share")
def share(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Share it with a project, or with all."""
    found = service.get_network(ctx, ref)
    whom = "*" if ticked(typed, "all") else word(typed, "project") or ""
    return accepted(ctx, submit(ctx, service.share(ctx, found, whom)), location=f"/networks/{found.id}")


@router.get("/networks/{ref}/unshare/{project_id}/preview")
def unshare_preview(ctx: Ctx, ref: str, project_id: str) -> Response:
    """What ending it does."""
    found = service.get_network(ctx, ref)
    action = f"/networks/{found.id}/unshare/{project_id}"
    return preview(ctx, service.unshare(ctx, found, project_id), action=action, confirm=_("Stop sharing"))


@router.post("/networks/{ref}/unshare/{project_id}")
def unshare(ctx: Ctx, ref: str, project_id: str) -> Response:
    """Share it with the project no more."""
    found = service.get_network(ctx, ref)
    return accepted(ctx, submit(ctx, service.unshare(ctx, found, project_id)), location=f"/networks/{found.id}")
