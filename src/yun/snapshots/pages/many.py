"""Many snapshots at once: one preview, one answer."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from yun.base.messages import _
from yun.snapshots.service.many import MANY
from yun.web.pages import Ctx, PageRoute, Typed, done, render, toast, words

router = APIRouter(route_class=PageRoute, include_in_schema=False)
SHOWN = 12


@router.get("/snapshots/bulk/delete/preview")
def plan(ctx: Ctx, ids: Annotated[list[str], Query(alias="id", max_length=500)] = []) -> Response:  # noqa: B006
    """What deleting them does."""
    turns = MANY.plan(ctx, "delete", MANY.meant(ctx, ids=ids), None)
    together = MANY.together(ctx, "delete", turns)
    effects = together["effects"][:SHOWN]
    if len(together["effects"]) > SHOWN:
        effects.append(_("and {count} more", count=len(together["effects"]) - SHOWN).render(ctx.locale))
    effects += [_("Left out: {reason}", reason=one["reason"]).render(ctx.locale) for one in together["left_out"]]
    fields = {"id": [turn.id for turn in turns if turn.error is None]}
    return render(
        ctx, "web/preview.html", plan={**together, "effects": effects, "depends": []}, fields=fields,
        action="/snapshots/bulk/delete", confirm=together["title"],
    )  # fmt: skip


@router.post("/snapshots/bulk/delete")
def delete(ctx: Ctx, typed: Typed) -> Response:
    """Put them into the trash; what is left out is said with its reasons."""
    turns = MANY.carry_out(ctx, "delete", MANY.meant(ctx, ids=list(words(typed, "id"))), None)
    made = [turn.operation for turn in turns if turn.operation is not None]
    reasons = list(dict.fromkeys(turn.error.message.render(ctx.locale) for turn in turns if turn.error is not None))
    told = _("{title}: done.", title=MANY.titles["delete"](len(made)))
    return toast(
        done(*(o.id for o in made)), told.render(ctx.locale), kind="warning" if reasons else "success",
        hint=" ".join(reasons[:3]), undo_all=[o.id for o in reversed(made) if o.undoable],
    )  # fmt: skip
