"""The verbs on many things of a list at once: one preview, one answer; what makes no sense for some is said and left
out. Chosen are ticked ones, or all that the list's search finds: then those that the preview showed are changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from yun.base.context import Context
from yun.base.errors import Invalid, NotFound, YunError
from yun.base.messages import _
from yun.compute import service
from yun.compute.service import bulk, bulk_others, bulk_volumes
from yun.operations import service as operations
from yun.operations.intent import Intent
from yun.operations.model import Operation
from yun.operations.service import submit
from yun.operations.service.many import LEFT_OUT, Many, Turn
from yun.storage import service as storage
from yun.web.pages import Ctx, FormData, PageRoute, Typed, done, render, toast, word, words
from yun.web.typed import listed

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Noun = Literal["instances", "volumes", "images", "networks"]
Ids = Annotated[list[str], Query(alias="id", max_length=500)]
Searched = Annotated[str | None, Query(alias="query", max_length=1000)]
MANY = 12
ASKING = {"tag", "resize", "update", "move"}
"""Verbs whose dialog asks something first."""


@dataclass(frozen=True)
class Kind:
    """What the pages need to know of one noun: its changes, and how what was typed becomes a wish."""

    many: Many[Any, Any]
    wish: Callable[[Mapping[str, Any]], Any]


def _text(typed: Mapping[str, Any], name: str) -> str | None:
    return str(typed.get(name) or "").strip() or None


def _instances_wish(typed: Mapping[str, Any]) -> bulk.BulkWish:
    def answer(name: str) -> bool | None:
        return {"true": True, "false": False}.get(_text(typed, name) or "")

    return bulk.BulkWish(
        flavor=_text(typed, "flavor"), add_tags=listed(_text(typed, "add_tags") or ""),
        autostart=answer("autostart"), remove_tags=listed(_text(typed, "remove_tags") or ""),
        protected=answer("protected"), on_crash=_text(typed, "on_crash"),
    )  # fmt: skip


def _volumes_wish(typed: Mapping[str, Any]) -> bulk_volumes.VolumesWish:
    return bulk_volumes.VolumesWish(
        pool=_text(typed, "pool"), add_tags=listed(_text(typed, "add_tags") or ""),
        remove_tags=listed(_text(typed, "remove_tags") or ""),
    )


def _tags_wish(typed: Mapping[str, Any]) -> bulk_others.TagsWish:
    return bulk_others.TagsWish(
        add_tags=listed(_text(typed, "add_tags") or ""), remove_tags=listed(_text(typed, "remove_tags") or "")
    )


KINDS = {
    "instances": Kind(bulk.MANY, _instances_wish),
    "volumes": Kind(bulk_volumes.MANY, _volumes_wish),
    "images": Kind(bulk_others.IMAGES, _tags_wish),
    "networks": Kind(bulk_others.NETWORKS, _tags_wish),
}


def _kind(noun: str, verb: str) -> Kind:
    found = KINDS[noun]
    if verb not in found.many.calls:
        raise NotFound(_("There is no page at this address."))
    return found


def _short(ctx: Context, plan: dict[str, Any]) -> dict[str, Any]:
    """The preview of many with so many lines as a person reads; all names stand below."""
    shown = plan["effects"][:MANY]
    if len(plan["effects"]) > MANY:
        shown.append(_("and {count} more", count=len(plan["effects"]) - MANY).render(ctx.locale))
    if plan["kind"].rpartition(".")[2] in ASKING:
        alike = list(dict.fromkeys(line for machine in plan["machines"] for line in machine["effects"]))
        shown += alike[:MANY]
    left = [_("Left out: {reason}", reason=one["reason"]).render(ctx.locale) for one in plan["left_out"][:MANY]]
    parts = {name: plan[name][:MANY] for name in ("restarts", "destroys", "depends")}
    names = [one["name"] for one in plan["machines"]] if len(plan["machines"]) > MANY else []
    return {**plan, "effects": [*shown, *left], **parts, "names": names}


@router.get("/bulk/{noun}/{verb}/dialog")
def bulk_dialog(ctx: Ctx, noun: Noun, verb: str, ids: Ids = [], query: Searched = None) -> Response:  # noqa: B006
    """The dialog that asks what a change of many shall be."""
    kind = _kind(noun, verb)
    ctx.may(f"{kind.many.noun}.{verb}")
    if verb not in ASKING:
        raise NotFound(_("There is no page at this address."))
    chosen = kind.many.meant(ctx, query=query, ids=None if query is not None else ids)
    return render(
        ctx, "compute/bulk_dialog.html", noun=noun, verb=verb, ids=[] if query is not None else chosen, query=query,
        title=kind.many.titles[verb](len(chosen)).render(ctx.locale),
        flavors=service.list_flavors(ctx, limit=1000).items if verb == "resize" else [],
        pools=storage.list_pools(ctx, limit=1000).items if verb == "move" else [],
    )  # fmt: skip


@router.get("/bulk/{noun}/{verb}/preview")
def bulk_preview(
    ctx: Ctx, request: Request, noun: Noun, verb: str, ids: Ids = [], query: Searched = None  # noqa: B006
) -> Response:  # fmt: skip
    """What the verb would do to all that are chosen."""
    return _previewed(ctx, noun, verb, request.query_params, list(ids), query)


def _previewed(
    ctx: Context, noun: str, verb: str, typed: Mapping[str, Any], ids: list[str], query: str | None
) -> Response:
    kind = _kind(noun, verb)
    meant = kind.many.meant(ctx, query=query, ids=None if query is not None else ids)
    turns = kind.many.plan(ctx, verb, meant, kind.wish(typed))
    together = kind.many.together(ctx, verb, turns)
    more = {name: value for name, value in typed.items() if name not in ("id", "query", "shown") and value}
    fields = {**more, "id": [turn.id for turn in turns if turn.error is None]}
    if query is not None:
        fields |= {"query": query, "shown": "yes"}
    return render(
        ctx, "web/preview.html", plan=_short(ctx, together), action=f"/bulk/{noun}/{verb}", fields=fields,
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
        done(*(o.id for o in made)), told.render(ctx.locale), kind="warning" if reasons else "success",
        hint=" ".join(shown), undo_all=[o.id for o in reversed(made) if o.undoable],
    )  # fmt: skip


@router.post("/bulk/undo")
def undo_all(ctx: Ctx, typed: Typed) -> Response:
    """Take back what was done to many at once; the ids come newest first."""
    ids = list(dict.fromkeys(words(typed, "id")))[:500]
    if not ids:
        raise Invalid(_("Nothing to undo was named."))
    made, reasons = _each(ctx, [lambda i=i: operations.undo(ctx, i) for i in ids])  # type: ignore[misc]
    title = _("Undo of {count} operations", count=len(made)).render(ctx.locale)
    return _report(ctx, made, title, reasons, len(ids) - len(made))


@router.post("/bulk/{noun}/{verb}")
def change_many(ctx: Ctx, noun: Noun, verb: str, typed: Typed) -> Response:
    """Do it to each that can; what is left out is said with its reasons. All that a search finds are shown first."""
    kind = _kind(noun, verb)
    ids, query = list(words(typed, "id")), _query(typed)
    if query is not None and word(typed, "shown") is None:
        asked = _previewed(ctx, noun, verb, typed, ids, query)
        asked.headers["HX-Retarget"], asked.headers["HX-Reswap"] = "#dialog", "innerHTML"
        return asked
    wish = kind.wish(typed)
    meant = kind.many.meant(ctx, ids=ids)
    since = kind.many.come_since(ctx, verb, query, meant, wish) if query is not None else []
    turns = kind.many.carry_out(ctx, verb, meant, wish, query=query)
    made = [turn.operation for turn in turns if turn.operation is not None]
    errors = [turn.error for turn in turns if turn.error is not None]
    reasons = list(dict.fromkeys(error.message.render(ctx.locale) for error in errors))
    if since:
        reasons.insert(0, _come(ctx, since))
    return _report(ctx, made, kind.many.titles[verb](len(made)).render(ctx.locale), reasons, len(errors))


def _query(typed: FormData) -> str | None:
    """The search that was sent along; an empty one means all."""
    value = typed.get("query")
    return value[:1000] if isinstance(value, str) else None


def _come(ctx: Context, since: list[Turn]) -> str:
    names = [turn.name for turn in since[:MANY]] + (["…"] if len(since) > MANY else [])
    told = _("The search finds more by now, which was not changed: {names}", names=", ".join(names))
    return told.render(ctx.locale)
