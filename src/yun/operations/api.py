"""REST: operations and their undo, the history, the live stream of events, notices."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from yun.base.context import Context
from yun.operations import previews, service
from yun.operations.answer import answer, moment, show_error, show_operation, text
from yun.operations.intent import Subject
from yun.operations.model import Notice, Operation, OperationStep
from yun.web.api import Ctx, Route, in_context
from yun.web.request import Asker, cloud_of, credentials
from yun.web.sse import last_seen, stream

router = APIRouter(route_class=Route, tags=["operations"])
Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get("/operations")
def list_operations(
    ctx: Ctx,
    q: Annotated[str, Query(max_length=1000, description="Such as `kind:instance. by:admin text`.")] = "",
    state: Annotated[str | None, Query(max_length=20)] = None,
    subject_kind: Annotated[str | None, Query(max_length=40)] = None,
    subject: Annotated[str | None, Query(max_length=300)] = None,
    open_only: bool = False,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Limit = 100,
) -> dict[str, Any]:
    """The history, newest first; `subject_kind` and `subject` (id or name) keep one thing's."""
    about = Subject(subject_kind, subject) if subject_kind and subject else None
    page = service.list_operations(
        ctx, q=q, state=state, subject=about, open_only=open_only, cursor=cursor, limit=limit
    )  # fmt: skip
    return {"items": [show_operation(o, ctx.locale) for o in page.items], "next": page.next}


@router.get("/operations/{operation_id}")
def show(ctx: Ctx, operation_id: str) -> dict[str, Any]:
    """One operation with its steps, what it had promised, and which others it waits for."""
    found = service.get(ctx, operation_id)
    body = show_operation(found, ctx.locale)
    body["preview"] = {k: [text(m, ctx.locale) for m in v] for k, v in found.preview.items() if isinstance(v, list)}
    body["steps"] = [show_step(s, ctx.locale) for s in service.steps(ctx, found)]
    body["waits_for"] = [
        {"id": o.id, "title": o.title_in(ctx.locale), "state": o.state} for o in service.waits_for(ctx, found)
    ]
    return body


@router.post("/operations/undo")
def undo_newest(ctx: Ctx, dry_run: bool = False) -> JSONResponse:
    """Undo your newest operation that can be undone."""
    return answer(ctx, service.undo(ctx), dry_run=dry_run)


@router.post("/operations/{operation_id}/undo")
def undo(ctx: Ctx, operation_id: str, dry_run: bool = False, through: bool = False) -> JSONResponse:
    """Undo a finished operation; with `through` first everything later that stands on it."""
    return answer(ctx, service.undo(ctx, operation_id, through=through), dry_run=dry_run)


@router.post("/operations/{operation_id}/cancel")
def cancel(ctx: Ctx, operation_id: str, dry_run: bool = False) -> JSONResponse:
    """Ask an operation to stop; what it did is taken back."""
    return _changed(ctx, service.cancel(ctx, operation_id), "cancel", dry_run=dry_run)


@router.post("/operations/{operation_id}/retry")
def retry(ctx: Ctx, operation_id: str, dry_run: bool = False) -> JSONResponse:
    """Let a stuck operation go on."""
    return _changed(ctx, service.retry(ctx, operation_id), "retry", dry_run=dry_run)


@router.post("/operations/{operation_id}/abandon")
def abandon(ctx: Ctx, operation_id: str, dry_run: bool = False) -> JSONResponse:
    """Give a stuck operation up and release what it holds."""
    return _changed(ctx, service.abandon(ctx, operation_id), "abandon", dry_run=dry_run)


def _changed(ctx: Context, operation: Operation, verb: str, *, dry_run: bool) -> JSONResponse:
    if dry_run:
        return previews.of_operation(ctx, operation, verb)
    return JSONResponse(show_operation(operation, ctx.locale))


@router.get("/events", response_class=Response, responses={200: {"content": {"text/event-stream": {}}}})
async def events(request: Request) -> Response:
    """Everything that happens, as server-sent events; resumes after `Last-Event-ID`."""
    cloud = cloud_of(request)
    after = last_seen(request)

    def ask(ctx: Context) -> Asker:
        ctx.may("event.list", ctx.project_id)
        return Asker(actor=ctx.actor, project_id=ctx.project_id)

    asker = await in_context(request, ask, write=False)
    return stream(cloud.events(asker, after, credentials(request)))


@router.get("/notices")
def list_notices(ctx: Ctx) -> dict[str, Any]:
    """What an operator should know and mend now."""
    return {"items": [show_notice(n, ctx.locale) for n in service.notices(ctx)], "next": None}


@router.delete("/notices/{key:path}", status_code=204)
def dismiss(ctx: Ctx, key: str) -> Response:
    """Take a notice away."""
    service.dismiss(ctx, key)
    return Response(status_code=204)


def show_step(step: OperationStep, locale: str) -> dict[str, Any]:
    """A journal row as JSON; arguments and outputs stay inside."""
    return {
        "name": step.name, "state": step.state, "attempts": step.attempts, "error": show_error(step.error, locale),
        "begun_at": moment(step.begun_at), "ended_at": moment(step.ended_at),
    }  # fmt: skip


def show_notice(notice: Notice, locale: str) -> dict[str, Any]:
    """A notice as JSON."""
    return {
        "key": notice.key, "level": notice.level, "message": text(notice.message, locale),
        "hint": text(notice.hint, locale), "created_at": moment(notice.created_at),
        "subject": {"kind": notice.subject_kind, "id": notice.subject_id},
    }  # fmt: skip
