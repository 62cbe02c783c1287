"""How a face answers a verb: the preview, or the accepted operation with the row it is about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from fastapi.responses import JSONResponse

from yun.base.context import Context
from yun.base.messages import Message
from yun.operations.intent import Intent
from yun.operations.model import Operation, State
from yun.operations.service import submit
from yun.operations.service.many import Many, Turn

HEADER = "Yun-Operation"


def answer(
    ctx: Context,
    intent: Intent,
    *,
    dry_run: bool = False,
    row: Callable[[], dict[str, Any] | None] | None = None,
    status: int = 202,
) -> JSONResponse:
    """Show the intent (``dry_run``) or submit it.

    The body is the row that ``row`` renders after the submission (the thing in its first state), with the operation
    under ``operation``. ``status`` is 201 for a creation, 202 else; an operation that is already done answers 200
    in place of 202. The header ``Yun-Operation`` names the operation to wait for.
    """
    if dry_run:
        body = intent.render(ctx.locale, now=ctx.clock.now(), undo_days=ctx.settings.undo_days)
        return JSONResponse(body, 200)
    operation = submit(ctx, intent)
    if status == 202 and operation.state == State.SUCCEEDED:
        status = 200
    body = (row() if row else None) or {}
    body["operation"] = show_operation(operation, ctx.locale)
    return JSONResponse(body, status, headers={HEADER: operation.id})


def show_operation(operation: Operation, locale: str) -> dict[str, Any]:
    """An operation as JSON, its texts in a language."""
    return {
        "id": operation.id,
        "kind": operation.kind,
        "title": operation.title_in(locale),
        "state": operation.state,
        "progress": operation.progress,
        "progress_text": text(operation.progress_text, locale),
        "project_id": operation.project_id,
        "subject": {
            "kind": operation.subject_kind, "id": operation.subject_id, "name": operation.subject_name,
        },
        "actor": {"kind": operation.actor_kind, "id": operation.actor_id, "name": operation.actor_name},
        "cancel_requested": operation.cancel_requested,
        "deadline_missed": operation.deadline_missed,
        "error": show_error(operation.error, locale),
        "result": (operation.result or {}).get("value"),
        "undo": undo_of(operation, locale),
        "created_at": moment(operation.created_at),
        "started_at": moment(operation.started_at),
        "finished_at": moment(operation.finished_at),
    }  # fmt: skip


def undo_of(operation: Operation, locale: str) -> dict[str, Any]:
    """Whether, until when, or why not an operation can be undone."""
    possible = bool(
        operation.state == State.SUCCEEDED and operation.undoable
        and operation.undo_until and operation.undo_until > datetime.now(UTC)
    )  # fmt: skip
    return {
        "possible": possible,
        "until": moment(operation.undo_until) if possible else None,
        "reason": text(operation.no_undo, locale),
        "undone_by": operation.undone_by,
    }


def show_error(error: dict[str, Any] | None, locale: str) -> dict[str, Any] | None:
    """A stored error as JSON, its texts in a language."""
    if not error:
        return None
    return {
        "code": error["code"],
        "message": text(error["message"], locale),
        "hint": text(error.get("hint"), locale),
        "fields": {k: text(v, locale) for k, v in error.get("fields", {}).items()},
    }


def text(message: dict[str, Any] | None, locale: str) -> str | None:
    """A stored message in a language."""
    return Message.from_json(message).render(locale) if message else None


def moment(value: datetime | None) -> str | None:
    """A moment as ISO 8601 in UTC."""
    return value.astimezone(UTC).isoformat() if value else None


def report(
    many: Many[Any, Any], verb: str, turns: Sequence[Turn], since: Sequence[Turn], locale: str
) -> dict[str, Any]:
    """What became of each, as JSON: an operation, or why there is none; ``since`` are those that came after the
    preview."""
    items: list[dict[str, Any]] = []
    for turn in turns:
        if turn.operation is not None:
            items.append({"id": turn.id, "name": turn.name, "operation": show_operation(turn.operation, locale)})
        elif turn.error is not None:
            said = {"code": turn.error.code, "message": turn.error.message.render(locale)}
            items.append({"id": turn.id, "name": turn.name, "error": said})
    count = sum("operation" in item for item in items)
    return {
        "title": many.titles[verb](count).render(locale), "count": count, "items": items,
        "since": [{"id": turn.id, "name": turn.name} for turn in since],
    }  # fmt: skip
