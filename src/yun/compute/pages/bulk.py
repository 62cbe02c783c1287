"""The verbs on many instances at once: one preview, one answer; what makes no sense for some is said and left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from yun.base.context import Context
from yun.base.errors import Conflict, Forbidden, Invalid, NotFound, YunError
from yun.base.messages import Message, _
from yun.compute import service
from yun.compute.model import Instance
from yun.operations.intent import Intent
from yun.operations.service import submit
from yun.web.pages import Ctx, PageRoute, Typed, done, plan, render, toast, words

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Verb = Literal["start", "stop", "reboot", "delete"]
Ids = Annotated[list[str], Query(alias="id", max_length=500)]
MANY = 12

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
        except (Conflict, Forbidden, NotFound) as error:
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


@router.post("/instances/bulk/{verb}")
def bulk(ctx: Ctx, verb: Verb, typed: Typed) -> Response:
    """Do it to each that can."""
    chosen = choose(ctx, verb, words(typed, "id"))
    operations = [submit(ctx, intent) for intent in chosen.intents]
    title = TITLES[verb](len(operations)).render(ctx.locale)
    told = _("{title}: started.", title=title)
    if chosen.refused:
        told = _("{title}: started; {count} left out.", title=title, count=len(chosen.refused))
    return toast(done(operations[-1].id), told.render(ctx.locale))
