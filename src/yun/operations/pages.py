"""The panel's history: the drawer of operations, the Activity list, one operation with its steps, undo and cancel."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from yun.base.context import Context
from yun.base.errors import Conflict
from yun.base.messages import _
from yun.operations import service
from yun.operations.answer import show_error, show_operation, text
from yun.operations.intent import Subject
from yun.operations.model import Operation, State
from yun.operations.service.search import FIELDS
from yun.web.pages import Ctx, Listing, PageRoute, accepted, done, nav, preview, render, toast
from yun.web.searching import searched

router = APIRouter(route_class=PageRoute, include_in_schema=False)
nav("activity", _("Activity"), "/operations", icon="history", order=60, permission="operation.list")

STATES = tuple(State)
# Where a thing's own page lies, by the kind of subject; kinds without a page of their own are plain text.
PLACES = {
    "instance": "/instances/",
    "image": "/images/",
    "volume": "/volumes/",
    "network": "/networks/",
    "port": "/networks/ports/",
    "security_group": "/networks/security-groups/",
    "load_balancer": "/networks/load-balancers/",
    "function": "/functions/",
    "snapshot": "/snapshots/",
    "pool": "/pools/",
    "host": "/hosts/",
    "user": "/users/",
    "project": "/projects/",
}


def shown(ctx: Context, operation: Operation) -> dict[str, Any]:
    """An operation for the templates: its JSON, and what can be done about it by this person."""
    body = show_operation(operation, ctx.locale)
    place = PLACES.get(operation.subject_kind)
    body["subject_url"] = f"{place}{operation.subject_id}" if place else None
    body["cancellable"] = (
        operation.state in (State.QUEUED, State.RUNNING)
        and not operation.cancel_requested
        and ctx.allowed("operation.cancel", operation.project_id)
    )
    body["undoable"] = body["undo"]["possible"] and ctx.allowed("operation.undo", operation.project_id)
    body["stuck"] = operation.state == State.STUCK and ctx.allowed("operation.retry")
    seconds = None
    if operation.started_at and operation.finished_at:
        seconds = (operation.finished_at - operation.started_at).total_seconds()
    body["seconds"] = seconds
    return body


def history_of(ctx: Context, kind: str, identifier: str, *, limit: int = 50) -> list[dict[str, Any]]:
    """What happened to one thing, newest first: for the activity tab of its page."""
    page = service.list_operations(ctx, subject=Subject(kind, identifier), limit=limit)
    return [shown(ctx, o) for o in page.items]


@router.get("/operations")
def activity(
    ctx: Ctx, q: str = "", state: str = "", kind: str = "", subject: str = "", sort: str = "",
    cursor: str | None = None,
) -> Response:  # fmt: skip
    """Everything that was changed, newest first."""
    about = Subject(kind, subject) if kind and subject else None
    page, fault = searched(ctx, q, FIELDS, lambda words: service.list_operations(
        ctx, q=words, state=state or None, subject=about, cursor=cursor, limit=50
    ))  # fmt: skip
    items = [shown(ctx, o) for o in page.items]
    filters = {"q": q, "state": state, "kind": kind, "subject": subject}
    listing = Listing("/operations", page, filters=filters, cursor=cursor, live="operation", fault=fault)
    return render(ctx, "operations/list.html", listing=listing, items=items, states=STATES)


@router.get("/operations/drawer")
def drawer(ctx: Ctx) -> Response:
    """What runs now, and what ended last."""
    under_way = service.list_operations(ctx, open_only=True, limit=50).items
    ended = [o for o in service.list_operations(ctx, limit=30).items if not o.is_open]
    return render(
        ctx,
        "operations/drawer.html",
        under_way=[shown(ctx, o) for o in under_way],
        ended=[shown(ctx, o) for o in ended[:15]],
    )


@router.get("/operations/open")
def under_way(ctx: Ctx) -> Response:
    """The ids of what runs now, for the counter in the top bar: everybody has one, whoever sees nothing counts 0."""
    found = service.list_operations(ctx, open_only=True, limit=200)
    return JSONResponse({"ids": [o.id for o in found.items]})


@router.get("/operations/{operation_id}")
def one(ctx: Ctx, operation_id: str) -> Response:
    """One operation: what it promised, its steps, how it ended."""
    found = service.get(ctx, operation_id)
    steps = [
        {
            "name": s.name, "state": s.state, "attempts": s.attempts, "error": show_error(s.error, ctx.locale),
            "begun_at": s.begun_at,
            "seconds": (s.ended_at - s.begun_at).total_seconds() if s.ended_at else None,
        }
        for s in service.steps(ctx, found)
    ]  # fmt: skip
    promised = {k: [text(m, ctx.locale) for m in v] for k, v in found.preview.items() if isinstance(v, list)}
    return render(
        ctx, "operations/show.html", live=f"operation:{found.id}", operation=shown(ctx, found), steps=steps,
        promised=promised, waits_for=[shown(ctx, other) for other in service.waits_for(ctx, found)],
    )  # fmt: skip


@router.get("/operations/{operation_id}/undo/preview")
def undo_preview(ctx: Ctx, operation_id: str, through: bool = False) -> Response:
    """What undoing would take back."""
    intent = service.undo(ctx, operation_id, through=through)
    return preview(ctx, intent, action=_undo_url(operation_id, through=through))


def _undo_url(operation_id: str, *, through: bool) -> str:
    return f"/operations/{operation_id}/undo{'?through=true' if through else ''}"


@router.post("/operations/{operation_id}/undo")
def undo(ctx: Ctx, operation_id: str, through: bool = False) -> Response:
    """Undo it; where later changes stand on it, offer to undo back to there."""
    try:
        intent = service.undo(ctx, operation_id, through=through)
    except Conflict as error:
        if through or "through" not in error.details:
            raise
        whole = service.undo(ctx, operation_id, through=True)
        address = _undo_url(operation_id, through=True)
        answer = preview(ctx, whole, action=address, confirm=_("Undo all of these"))
        answer.headers["HX-Retarget"] = "#dialog"
        answer.headers["HX-Reswap"] = "innerHTML"
        return answer
    return accepted(ctx, service.submit(ctx, intent))


def _told(ctx: Context, operation: Operation, word: str) -> Response:
    return toast(done(operation.id), word, kind="info", operation=operation.id)


@router.post("/operations/{operation_id}/cancel")
def cancel(ctx: Ctx, operation_id: str) -> Response:
    """Ask it to stop."""
    operation = service.cancel(ctx, operation_id)
    title = operation.title_in(ctx.locale)
    return _told(ctx, operation, _("{title}: will stop and take back what it did.", title=title).render(ctx.locale))


@router.post("/operations/{operation_id}/retry")
def retry(ctx: Ctx, operation_id: str) -> Response:
    """Let a stuck one go on."""
    operation = service.retry(ctx, operation_id)
    return _told(ctx, operation, _("{title}: goes on.", title=operation.title_in(ctx.locale)).render(ctx.locale))


@router.post("/operations/{operation_id}/abandon")
def abandon(ctx: Ctx, operation_id: str) -> Response:
    """Give a stuck one up."""
    operation = service.abandon(ctx, operation_id)
    return _told(ctx, operation, _("{title}: given up.", title=operation.title_in(ctx.locale)).render(ctx.locale))


@router.post("/notices/dismiss")
def dismiss(ctx: Ctx, key: str) -> Response:
    """Take a notice away."""
    service.dismiss(ctx, key)
    return done()
