"""The verb submit: an intent becomes an operation, in the caller's transaction."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.ids import new_id
from yun.base.messages import _
from yun.operations import opposites
from yun.operations.claims import is_first, rouse, serialize
from yun.operations.events import emit
from yun.operations.inline import perform
from yun.operations.intent import Intent, Subject
from yun.operations.model import (
    Operation,
    OperationKey,
    OperationSubject,
    State,
)

_SUBJECTS = sa.insert(cast(sa.Table, OperationSubject.__table__))
_KEYS = sa.insert(cast(sa.Table, OperationKey.__table__))


def submit(ctx: Context, intent: Intent) -> Operation:
    """Accept an intent in the caller's transaction: its rows, the operation, its keys; wake the engine on commit.

    Afterwards the operation is queued, or, for an instant intent whose keys are free, already done. Raises what an
    instant recipe raises; nothing is written then, since the caller's transaction rolls back.
    """
    session = ctx.session
    serialize(session)
    if intent.still is not None:
        intent.still(session)
    if intent.write is not None:
        intent.write(session)
    operation = _row(ctx, intent)
    keys = [(k.key, k.slots) for k in intent.all_keys]
    at_once = intent.instant and is_first(session, keys)
    session.add(operation)
    session.flush()
    subjects = [{"seq": operation.seq, "kind": s.kind, "id": s.id, "name": s.name} for s in intent.all_subjects]
    session.execute(_SUBJECTS, subjects)
    if at_once:
        operation.result = {"value": perform(ctx, operation)}
        now = datetime.now(UTC)
        operation.state, operation.progress = State.SUCCEEDED, 1.0
        operation.started_at = operation.finished_at = now
        if operation.undoable:
            operation.undo_until = now + timedelta(days=ctx.settings.undo_days)
        opposites.succeeded(session, operation, ctx.settings.undo_days)
        announce(session, operation, "succeeded")
    else:
        session.execute(_KEYS, [{"seq": operation.seq, "key": key, "slots": slots} for key, slots in keys])
        if not intent.quiet:
            announce(session, operation, "queued")
        rouse(session)
    session.flush()
    return operation


def _row(ctx: Context, intent: Intent) -> Operation:
    return Operation(
        id=new_id("op"),
        kind=intent.kind,
        title=intent.title.to_json(),
        project_id=intent.project_id,
        actor_kind=ctx.actor.kind,
        actor_id=ctx.actor.id,
        actor_name=ctx.actor.name,
        address=ctx.address,
        subject_kind=intent.subject.kind,
        subject_id=intent.subject.id,
        subject_name=intent.subject.name,
        arguments=intent.arguments,
        preview=intent.describe(),
        keys=[[k.key, k.slots] for k in intent.all_keys],
        quiet=intent.quiet,
        transparent=intent.transparent,
        brings_rows=intent.write is not None,
        undoable=intent.undoable,
        no_undo=None if intent.undoable else (intent.no_undo or _("This cannot be undone.")).to_json(),
        deadline_seconds=intent.deadline,
        fence=0,
        state=State.QUEUED,
    )


def announce(session: Session, operation: Operation, what: str) -> None:
    """Emit ``operation.<what>``."""
    data = {
        "id": operation.id, "kind": operation.kind, "title": operation.title,
        "subject": {"kind": operation.subject_kind, "id": operation.subject_id, "name": operation.subject_name},
    }  # fmt: skip
    subject = Subject("operation", operation.id, operation.subject_name)
    emit(
        session,
        f"operation.{what}",
        subject=subject,
        project_id=operation.project_id,
        data=data,
        operation_id=operation.id,
    )
