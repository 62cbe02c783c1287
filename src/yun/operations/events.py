"""News: rows written in the transaction of the change, read in order by the stream, the panel and rooms above."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.db import on_commit
from yun.operations.intent import Subject
from yun.operations.model import Event, Notice

_WAKERS: list[Callable[[], object]] = []
_LOCK = threading.Lock()
STREAM_LOCK = 0x59554E02


_TELL = sa.insert(cast(sa.Table, Event.__table__))
"""Without the object mapper: no change is without an event, and nobody holds one."""


def emit(
    session: Session,
    kind: str,
    *,
    subject: Subject,
    project_id: str | None = None,
    data: dict[str, Any] | None = None,
    operation_id: str | None = None,
) -> None:
    """Tell that ``kind`` (``instance.started``) happened to ``subject``, in the caller's transaction.

    ``data`` is JSON. Events of one commit keep their order; on PostgreSQL a lock makes the order of numbers the order
    of commits, so a reader that goes on after the last number it saw misses nothing.
    """
    if session.get_bind().dialect.name == "postgresql" and not session.info.get("stream_locked"):
        session.execute(sa.text(f"SELECT pg_advisory_xact_lock({STREAM_LOCK})"))
        session.info["stream_locked"] = True
    values = {
        "kind": kind, "subject_kind": subject.kind, "subject_id": subject.id, "subject_name": subject.name,
        "project_id": project_id, "operation_id": operation_id, "data": data or {},
    }  # fmt: skip
    session.execute(_TELL, values)
    on_commit(session, wake)


def wake() -> None:
    """Tell this process's listeners that there is something new to read."""
    with _LOCK:
        wakers = list(_WAKERS)
    for waker in wakers:
        waker()


def listen(waker: Callable[[], object]) -> Callable[[], None]:
    """Call ``waker`` (from any thread) after each commit with events; returns what ends it."""
    with _LOCK:
        _WAKERS.append(waker)

    def end() -> None:
        with _LOCK:
            if waker in _WAKERS:
                _WAKERS.remove(waker)

    return end


def raise_notice(
    session: Session, key: str, *, subject: Subject, message: Any, hint: Any = None, level: str = "warning"
) -> None:
    """Make an operator aware of a cause, once per ``key``; ``message`` and ``hint`` are `Message` values."""
    found = session.get(Notice, key)
    if found is None:
        session.add(
            Notice(
                key=key, level=level, subject_kind=subject.kind, subject_id=subject.id,
                message=message.to_json(), hint=hint.to_json() if hint else None,
            )
        )  # fmt: skip
        emit(session, "notice.raised", subject=subject, data={"key": key, "level": level, "message": message.to_json()})
    else:
        found.message = message.to_json()
        found.hint = hint.to_json() if hint else None


def resolve_notice(session: Session, key: str) -> None:
    """The cause is gone; nothing happens where there is no such notice."""
    found = session.get(Notice, key)
    if found is not None:
        subject = Subject(found.subject_kind, found.subject_id)
        session.delete(found)
        emit(session, "notice.resolved", subject=subject, data={"key": key})
