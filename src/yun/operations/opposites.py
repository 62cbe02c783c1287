"""Successes whose undo is another verb: what was made lives on in the trash, with all that was done with it since.

Undoing a creation step by step would destroy what the thing has come to hold. So a room says here which verb takes it
back; the engine notes which operation that verb undid, and forgets it when the verb itself is undone.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.operations.intent import Intent
from yun.operations.model import Operation, State

Opposite = Callable[[Context, Operation], Intent]
OPPOSITES: dict[str, Opposite] = {}
UNDOES = "undoes"


def opposite(kind: str) -> Callable[[Opposite], Opposite]:
    """The decorated function gives the intent that takes a finished operation of ``kind`` back."""

    def register(call: Opposite) -> Opposite:
        OPPOSITES[kind] = call
        return call

    return register


def succeeded(session: Session, operation: Operation, days: float) -> None:
    """An operation has succeeded: what it undid counts as undone, and what that had undone stands again."""
    _set(session, operation, state=State.UNDONE, undone_by=operation.id, undo_until=None)
    target = operation.preview.get(UNDOES)
    undone = session.scalar(sa.select(Operation).where(Operation.id == target)) if target else None
    if undone is not None:
        taken_back(session, undone, days)


def taken_back(session: Session, operation: Operation, days: float) -> None:
    """An operation has been undone: what it had undone stands again, and can be undone again for ``days`` days."""
    until = datetime.now(UTC) + timedelta(days=days)
    _set(session, operation, state=State.SUCCEEDED, undone_by=None, undo_until=until)


def _set(session: Session, operation: Operation, **values: object) -> None:
    target = operation.preview.get(UNDOES)
    if target:
        session.execute(sa.update(Operation).where(Operation.id == target).values(**values))
