"""Previews of what is no operation itself (cancel, retry, abandon, the end of a session): done, shown, taken back."""

from __future__ import annotations

from fastapi.responses import JSONResponse

from yun.base.context import Context
from yun.base.messages import Message, _
from yun.operations.intent import Intent, Subject
from yun.operations.model import Operation

WORDS: dict[str, tuple[Message, Message, Message]] = {
    "cancel": (
        _("Cancel"),
        _("It stops as soon as it can, and what it did is taken back."),
        _("A cancelled operation cannot be revived; do the thing again instead."),
    ),
    "retry": (
        _("Retry"),
        _("It goes on from where it stood."),
        _("What it does can be undone as what it is, once it has succeeded."),
    ),
    "abandon": (
        _("Give up"),
        _("It ends as it stands: what it holds is released, what it left behind stays."),
        _("An operation that was given up cannot be revived."),
    ),
}


def taken_back(ctx: Context, intent: Intent) -> JSONResponse:
    """The preview of what the caller has just done in this request; all of that is rolled back.

    So a preview passes and fails where the verb does. Nothing may use the context's session afterwards.
    """
    body = intent.render(ctx.locale, now=ctx.clock.now(), undo_days=ctx.settings.undo_days)
    ctx.session.rollback()
    return JSONResponse(body)


def of_operation(ctx: Context, operation: Operation, verb: str) -> JSONResponse:
    """The preview of ``cancel``, ``retry`` or ``abandon``, which the caller has just applied."""
    word, effect, no_undo = WORDS[verb]
    title = _("{verb}: {title}", verb=word, title=Message.from_json(operation.title))
    subject = Subject("operation", operation.id, operation.subject_name)
    return taken_back(
        ctx,
        Intent(
            kind=f"operation.{verb}", title=title, subject=subject, project_id=operation.project_id,
            effects=(effect,), undoable=False, no_undo=no_undo,
        ),
    )  # fmt: skip
