"""The verbs on many instances at once: one preview, one answer; what makes no sense for some is said and left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from yun.base.context import Context
from yun.base.errors import Invalid, YunError
from yun.base.messages import _
from yun.compute import service
from yun.compute.service import bulk
from yun.operations import service as operations
from yun.operations.intent import Intent
from yun.operations.model import Operation
from yun.operations.service import submit
from yun.web.pages import Ctx, PageRoute, Typed, done, render, toast, words
from yun.web.typed import listed

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Verb = Literal["start", "stop", "reboot", "pause", "resume", "delete", "tag", "resize", "update"]
Asking = Literal["tag", "resize", "update"]
Ids = Annotated[list[str], Query(alias="id", max_length=500)]
MANY = 12
LEFT_OUT = bulk.LEFT_OUT


def _wish(typed: Mapping[str, Any]) -> bulk.BulkWish:
    """What a dialog, or the preview after it, says more."""

    def text(name: str) -> str | None:
        return str(typed.get(name) or "").strip() or None

    def answer(name: str) -> bool | None:
        return {"true": True, "false": False}.get(text(name) or "")

    return bulk.BulkWish(
        flavor=text("flavor"), add_tags=listed(text("add_tags") or ""), autostart=answer("autostart"),
        remove_tags=listed(text("remove_tags") or ""), protected=answer("protected"), on_crash=text("on_crash"),
    )  # fmt: skip


def _short(ctx: Context, plan: dict[str, Any]) -> dict[str, Any]:
    """The preview of many with so many lines as a person reads."""
    shown = plan["effects"][:MANY]
    if len(plan["effects"]) > MANY:
        shown.append(_("and {count} more", count=len(plan["effects"]) - MANY).render(ctx.locale))
    if plan["kind"] in ("instance.tag", "instance.resize", "instance.update"):
        alike = list(dict.fromkeys(line for machine in plan["machines"] for line in machine["effects"]))
        shown += alike[:MANY]
    left = [_("Left out: {reason}", reason=one["reason"]).render(ctx.locale) for one in plan["left_out"][:MANY]]
    parts = {name: plan[name][:MANY] for name in ("restarts", "destroys", "depends")}
    return {**plan, "effects": [*shown, *left], **parts}


@router.get("/instances/bulk/{verb}/dialog")
def bulk_dialog(ctx: Ctx, verb: Asking, ids: Ids = []) -> Response:  # noqa: B006
    """The dialog that asks what a change of many shall be."""
    ctx.may(f"instance.{verb}")
    chosen = bulk.meant(ctx, ids=ids)
    return render(
        ctx, "compute/bulk_dialog.html", verb=verb, ids=chosen, title=bulk.TITLES[verb](len(chosen)).render(ctx.locale),
        flavors=service.list_flavors(ctx, limit=1000).items if verb == "resize" else [],
    )  # fmt: skip


@router.get("/instances/bulk/{verb}/preview")
def bulk_preview(ctx: Ctx, request: Request, verb: Verb, ids: Ids = []) -> Response:  # noqa: B006
    """What the verb would do to all that are chosen."""
    turns = bulk.plan(ctx, verb, bulk.meant(ctx, ids=ids), _wish(request.query_params))
    together = bulk.together(ctx, verb, turns)
    more = {name: value for name, value in request.query_params.items() if name != "id" and value}
    fields = {**more, "id": [turn.id for turn in turns if turn.error is None]}
    return render(
        ctx, "web/preview.html", plan=_short(ctx, together), action=f"/instances/bulk/{verb}", fields=fields,
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
def change_many(ctx: Ctx, verb: Verb, typed: Typed) -> Response:
    """Do it to each that can; what is left out is said with its reasons."""
    turns = bulk.carry_out(ctx, verb, bulk.meant(ctx, ids=words(typed, "id")), _wish(typed))
    made = [turn.operation for turn in turns if turn.operation is not None]
    errors = [turn.error for turn in turns if turn.error is not None]
    reasons = list(dict.fromkeys(error.message.render(ctx.locale) for error in errors))
    return _report(ctx, made, bulk.TITLES[verb](len(made)).render(ctx.locale), reasons, len(errors))
