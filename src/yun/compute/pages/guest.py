"""Dialogs of the guest side: a password, a freeze, a command; and the commands that were run."""

from __future__ import annotations

import shlex
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.context import Context
from yun.base.errors import Invalid
from yun.base.messages import _
from yun.compute import service
from yun.compute.model import Instance
from yun.compute.service import inside
from yun.operations import service as operations
from yun.operations.intent import Subject
from yun.operations.pages import shown
from yun.operations.service import submit
from yun.web.pages import Ctx, PageRoute, Typed, accepted, number, render, word

router = APIRouter(route_class=PageRoute, include_in_schema=False)
RUNS = 5
LOOK_BACK = 50


def runs_of(ctx: Context, row: Instance) -> list[dict[str, Any]]:
    """The last commands that were run in the instance, newest first, for whoever may run some."""
    if not ctx.allowed("instance.run", row.project_id):
        return []
    page = operations.list_operations(ctx, subject=Subject("instance", row.id), limit=LOOK_BACK)
    return [shown(ctx, o) for o in page.items if o.kind == "instance.run"][:RUNS]


@router.get("/instances/{ref}/set-password")
def password_dialog(ctx: Ctx, ref: str) -> Response:
    """The dialog that asks for a password."""
    row = service.get(ctx, ref)
    ctx.may("instance.set_password", row.project_id)
    inside.must_have_agent(row)
    return render(
        ctx, "compute/password_dialog.html", row=row, action=f"/instances/{row.id}/set-password"
    )


@router.post("/instances/{ref}/set-password")
def set_password(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Set it."""
    row = service.get(ctx, ref)
    password = str(typed.get("password") or "")
    if not password:
        raise Invalid(_("Which password?"), fields={"password": _("is required")})
    intent = service.set_password(ctx, row, password, user=word(typed, "user") or "")
    return accepted(ctx, submit(ctx, intent), location=f"/instances/{row.id}/guest")


@router.get("/instances/{ref}/freeze")
def freeze_dialog(ctx: Ctx, ref: str) -> Response:
    """The dialog that asks for how long."""
    row = service.get(ctx, ref)
    ctx.may("instance.freeze", row.project_id)
    inside.must_have_agent(row)
    return render(
        ctx, "compute/freeze_dialog.html", row=row, action=f"/instances/{row.id}/freeze",
        seconds=inside.FREEZE_SECONDS,
    )  # fmt: skip


@router.post("/instances/{ref}/freeze")
def freeze(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Freeze."""
    row = service.get(ctx, ref)
    seconds = number(typed, "seconds")
    intent = service.freeze(ctx, row, seconds=inside.FREEZE_SECONDS if seconds is None else seconds)
    return accepted(ctx, submit(ctx, intent), location=f"/instances/{row.id}/guest")


@router.get("/instances/{ref}/run")
def run_dialog(ctx: Ctx, ref: str) -> Response:
    """The dialog that asks for a command."""
    row = service.get(ctx, ref)
    ctx.may("instance.run", row.project_id)
    inside.must_have_agent(row)
    return render(
        ctx, "compute/run_dialog.html", row=row, action=f"/instances/{row.id}/run", seconds=inside.RUN_SECONDS
    )


@router.post("/instances/{ref}/run")
def run(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Run it."""
    row = service.get(ctx, ref)
    try:
        words = shlex.split(word(typed, "command") or "")
    except ValueError:
        raise Invalid(_("A quote is not closed."), fields={"command": _("as in a shell")}) from None
    timeout = number(typed, "timeout")
    intent = service.run(ctx, row, words, timeout=inside.RUN_SECONDS if timeout is None else timeout)
    return accepted(ctx, submit(ctx, intent), location=f"/instances/{row.id}/guest")
