"""Many snapshots at once: one preview, one answer."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from yun.base.messages import _
from yun.snapshots.service.many import MANY
from yun.web.pages import Ctx, PageRoute, Typed, done, render, toast, words

router = APIRouter(route_class=PageRoute, include_in_schema=False)
SHOWN = 12
Verb = Literal["delete"]


@router.get("/snapshots/bulk/{verb}/preview")
def plan(ctx: Ctx, verb: Verb, ids: Annotated[list[str], Query(alias="id", max_length=500)] = []) -> Response:  # noqa: B006
    """What the verb would do to all that are chosen."""
    turns = MANY.plan(ctx, verb, MANY.meant(ctx, ids=ids), None)
    together = MANY.together(ctx, verb, turns)
    effects = together["effects"][:SHOWN]
    if len(together["effects"]) > SHOWN:
        effects.append(_("and {count} more", count=len(together["effects"]) - SHOWN).render(ctx.locale))
    effects += [_("Left out: {reason}", reason=one["reason"]).render(ctx.locale) for one in together["left_out"]]
    fields = {"id": [turn.id for turn in turns if turn.error is None]}
    return render(
        ctx, "web/preview.html", plan={**together, "effects": effects, "depends": []}, fields=fields,
        action=f"/snapshots/bulk/{verb}", confirm=together["title"],
    )  # fmt: skip


@router.post("/snapshots/bulk/{verb}")
def change_many(ctx: Ctx, verb: Verb, typed: Typed) -> Response:
    """Do it to each that can; what is left out is said with its reasons."""
    turns = MANY.carry_out(ctx, verb, MANY.meant(ctx, ids=list(words(typed, "id"))), None)
    made = [turn.operation for turn in turns if turn.operation is not None]
    reasons = list(dict.fromkeys(turn.error.message.render(ctx.locale) for turn in turns if turn.error is not None))
    told = _("{title}: done.", title=MANY.titles[verb](len(made)))
    return toast(
        done(*(o.id for o in made)), told.render(ctx.locale), kind="warning" if reasons else "success",
        hint=" ".join(reasons[:3]), undo_all=[o.id for o in reversed(made) if o.undoable],
    )  # fmt: skip
