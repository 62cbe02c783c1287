"""The verbs on many instances at once: one preview, one answer; what makes no sense for some is said and left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from yun.base.context import Context
from yun.base.errors import Conflict, Forbidden, Invalid, NoCapacity, NotFound, OverQuota, YunError
from yun.base.messages import Message, _
from yun.compute import service
from yun.compute.model import Instance
from yun.operations import service as operations
from yun.operations.intent import Intent
from yun.operations.model import Operation
from yun.operations.service import submit
from yun.web.pages import Ctx, PageRoute, Typed, done, plan, render, toast, words

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Verb = Literal["start", "stop", "reboot", "delete"]
Ids = Annotated[list[str], Query(alias="id", max_length=500)]
MANY = 12
LEFT_OUT = (Conflict, Forbidden, NoCapacity, NotFound, OverQuota)
"""What keeps one of many from its turn and not the others."""

CALLS: dict[str, Callable[[Context, Instance], Intent]] = {
    "start": service.start,
    "stop": service.stop,
    "reboot": service.reboot,
    "delete": service.delete,
}


@dataclass
class Chosen:
    """The intents for those that can, and the reasons of those that cannot."""

    intents: list[Intent] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def choose(ctx: Context, verb: str, ids: list[str] | tuple[str, ...]) -> Chosen:
    """What ``verb`` means for each. Raises `Invalid` where none is chosen and the reason where it fits none."""
    if not ids:
        raise Invalid(_("Choose at least one instance."))
    chosen = Chosen()
    first: YunError | None = None
    for identifier in dict.fromkeys(ids):
        try:
            chosen.intents.append(CALLS[verb](ctx, service.get(ctx, identifier)))
        except LEFT_OUT as error:
            first = first or error
            chosen.refused.append(error.message.render(ctx.locale))
    if not chosen.intents and first is not None:
        raise first
    return chosen


TITLES: dict[str, Callable[[int], Message]] = {
    "start": lambda count: _("Start {count} instances", count=count),
    "stop": lambda count: _("Stop {count} instances", count=count),
    "reboot": lambda count: _("Reboot {count} instances", count=count),
    "delete": lambda count: _("Delete {count} instances", count=count),
}


def _together(ctx: Context, verb: str, chosen: Chosen) -> dict[str, Any]:
    plans = [plan(ctx, intent) for intent in chosen.intents]
    shown = [p["title"] for p in plans[:MANY]]
    if len(plans) > MANY:
        shown.append(_("and {count} more", count=len(plans) - MANY).render(ctx.locale))
    skipped = [_("Left out: {reason}", reason=r).render(ctx.locale) for r in chosen.refused[:MANY]]

    def union(part: str) -> list[str]:
        return list(dict.fromkeys(line for p in plans for line in p[part]))[:MANY]

    return {
        **plans[0],
        "title": TITLES[verb](len(plans)).render(ctx.locale),
        "effects": [*shown, *skipped],
        "restarts": union("restarts"),
        "destroys": union("destroys"),
        "depends": union("depends"),
        "capacity": [],
    }


@router.get("/instances/bulk/{verb}/preview")
def bulk_preview(ctx: Ctx, verb: Verb, ids: Ids = []) -> Response:  # noqa: B006
    """What the verb would do to all that are chosen."""
    chosen = choose(ctx, verb, ids)
    together = _together(ctx, verb, chosen)
    fields = {"id": [intent.subject.id for intent in chosen.intents]}
    return render(
        ctx, "web/preview.html", plan=together, action=f"/instances/bulk/{verb}", fields=fields,
        confirm=together["title"],
    )  # fmt: skip


def _each(ctx: Context, intents: list[Callable[[], Intent]]) -> tuple[list[Operation], list[str]]:
    """Submit one after the other, each as things are by then; the operations, and the reasons of those left out.

    Raises the first reason where none is left.
    """
    accepted: list[Operation] = []
    refused: list[YunError] = []
    for intent in intents:
        try:
            with ctx.session.begin_nested():
                accepted.append(submit(ctx, intent()))
        except LEFT_OUT as error:
            refused.append(error)
    if not accepted and refused:
        raise refused[0]
    return accepted, list(dict.fromkeys(e.message.render(ctx.locale) for e in refused))


def _report(ctx: Context, made: list[Operation], title: str, reasons: list[str], left_out: int) -> Response:
    told = _("{title}: started.", title=title)
    if left_out:
        told = _("{title}: started; {count} left out.", title=title, count=left_out)
    shown = reasons[:3] + (["…"] if len(reasons) > 3 else [])
    return toast(
        done(*(o.id for o in made)), told.render(ctx.locale), kind="warning" if left_out else "success",
        hint=" ".join(shown), undo_all=[o.id for o in reversed(made) if o.undoable],
    )  # fmt: skip


@router.post("/instances/bulk/undo")
def undo_all(ctx: Ctx, typed: Typed) -> Response:
    """Take back what was done to many at once; the ids come newest first."""
    ids = list(dict.fromkeys(words(typed, "id")))[:500]
    if not ids:
        raise Invalid(_("Nothing to undo was named."))
    made, reasons = _each(ctx, [lambda i=i: operations.undo(ctx, i) for i in ids])  # type: ignore[misc]
    title = _("Undo of {count} operations", count=len(made)).render(ctx.locale)
    return _report(ctx, made, title, reasons, len(ids) - len(made))


@router.post("/instances/bulk/{verb}")
def bulk(ctx: Ctx, verb: Verb, typed: Typed) -> Response:
    """Do it to each that can; what is left out is said with its reasons."""
    ids = list(dict.fromkeys(words(typed, "id")))
    if not ids:
        raise Invalid(_("Choose at least one instance."))
    call = CALLS[verb]
    made, reasons = _each(ctx, [lambda i=i: call(ctx, service.get(ctx, i)) for i in ids])  # type: ignore[misc]
    return _report(ctx, made, TITLES[verb](len(made)).render(ctx.locale), reasons, len(ids) - len(made))
