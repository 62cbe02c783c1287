"""Tables of the engine: operations, their keys, subjects and steps; nodes, periodic work, events, notices."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import JSON, Base
from yun.base.messages import Message
from yun.base.permissions import declare

declare("operation", list="reader", show="reader", cancel="member", undo="member")
declare("operation", "cloud", retry="admin", abandon="admin")
declare("event", list="reader")
declare("notice", "cloud", list="admin", dismiss="admin")


class State(StrEnum):
    """Where an operation stands."""

    QUEUED = "queued"
    RUNNING = "running"
    UNDOING = "undoing"
    STUCK = "stuck"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNDONE = "undone"
    ABANDONED = "abandoned"


OPEN = (State.QUEUED, State.RUNNING, State.UNDOING, State.STUCK)
CLAIMABLE = (State.QUEUED, State.RUNNING, State.UNDOING)


class Operation(Base):
    """One change, from its acceptance to the end of its undo window.

    ``seq`` is its position: keys are granted in this order. ``fence`` counts claims; a writer that holds an older
    number has been replaced. ``node_id`` names the process that runs it now. ``not_before`` and ``deadline_at`` are
    seconds since 1970 by the database's clock. ``outcome`` is how it will end once its undo is complete, and
    ``stuck_in`` the state to go back to on a retry. ``brings_rows``: rows were written with it, which its first step
    adopts.
    """

    __tablename__ = "operation"

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(sa.String(40), unique=True)
    kind: Mapped[str] = mapped_column(sa.String(80))
    title: Mapped[dict[str, Any]]
    project_id: Mapped[str | None] = mapped_column(sa.String(40))
    actor_kind: Mapped[str] = mapped_column(sa.String(20))
    actor_id: Mapped[str] = mapped_column(sa.String(40))
    actor_name: Mapped[str] = mapped_column(sa.String(200))
    address: Mapped[str] = mapped_column(sa.String(64), default="")
    subject_kind: Mapped[str] = mapped_column(sa.String(40))
    subject_id: Mapped[str] = mapped_column(sa.String(80))
    subject_name: Mapped[str] = mapped_column(sa.String(300))
    arguments: Mapped[dict[str, Any]]
    preview: Mapped[dict[str, Any]]
    keys: Mapped[list[Any]]
    state: Mapped[str] = mapped_column(sa.String(20), default=State.QUEUED)
    ready: Mapped[bool] = mapped_column(default=True)
    fence: Mapped[int] = mapped_column(default=0)
    node_id: Mapped[str | None] = mapped_column(sa.String(40))
    not_before: Mapped[float] = mapped_column(default=0.0)
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    outcome: Mapped[str | None] = mapped_column(sa.String(20))
    stuck_in: Mapped[str | None] = mapped_column(sa.String(20))
    quiet: Mapped[bool] = mapped_column(default=False)
    transparent: Mapped[bool] = mapped_column(default=False)
    brings_rows: Mapped[bool] = mapped_column(default=False)
    undoable: Mapped[bool] = mapped_column(default=True)
    no_undo: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    undo_until: Mapped[datetime | None]
    undone_by: Mapped[str | None] = mapped_column(sa.String(40))
    deadline_seconds: Mapped[float] = mapped_column(default=600.0)
    deadline_at: Mapped[float | None]
    deadline_missed: Mapped[bool] = mapped_column(default=False)
    progress: Mapped[float] = mapped_column(default=0.0)
    progress_text: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        sa.Index("ix_operation_claim", "state", "ready", "seq"),
        sa.Index("ix_operation_project", "project_id", "seq"),
        sa.Index("ix_operation_subject", "subject_kind", "subject_id", "seq"),
        sa.Index("ix_operation_finished", "finished_at"),
        {"sqlite_autoincrement": True},
    )

    @property
    def is_open(self) -> bool:
        """Whether it still holds its keys."""
        return self.state in OPEN

    def title_in(self, locale: str) -> str:
        """What it is, in a language."""
        return Message.from_json(self.title).render(locale)


class OperationKey(Base):
    """A key that an unfinished operation names: at most ``slots`` of the oldest may run."""

    __tablename__ = "operation_key"

    key: Mapped[str] = mapped_column(sa.String(120), primary_key=True)
    seq: Mapped[int] = mapped_column(sa.ForeignKey("operation.seq", ondelete="CASCADE"), primary_key=True, index=True)
    slots: Mapped[int] = mapped_column(default=1)


class OperationSubject(Base):
    """A thing that an operation touches: for its history, and for the order of undoing."""

    __tablename__ = "operation_subject"

    kind: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    id: Mapped[str] = mapped_column(sa.String(80), primary_key=True)
    seq: Mapped[int] = mapped_column(sa.ForeignKey("operation.seq", ondelete="CASCADE"), primary_key=True, index=True)
    name: Mapped[str] = mapped_column(sa.String(300), default="")


class OperationStep(Base):
    """One step of the journal: ``begun`` before it acts, ``done`` with its output after, ``undone`` once taken back."""

    __tablename__ = "operation_step"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    seq: Mapped[int] = mapped_column(sa.ForeignKey("operation.seq", ondelete="CASCADE"))
    position: Mapped[int]
    name: Mapped[str] = mapped_column(sa.String(120))
    arguments: Mapped[list[Any]]
    output: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(sa.String(20))
    attempts: Mapped[int] = mapped_column(default=0)
    undo_attempts: Mapped[int] = mapped_column(default=0)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    begun_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))
    ended_at: Mapped[datetime | None]

    __table_args__ = (sa.UniqueConstraint("seq", "position"), {"sqlite_autoincrement": True})


class Node(Base):
    """A control-plane process and its last proof of life, by the database's clock."""

    __tablename__ = "node"

    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(200))
    beat: Mapped[float]
    started_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))


class Periodic(Base):
    """Work that comes round: when it is due next, by the database's clock."""

    __tablename__ = "periodic"

    kind: Mapped[str] = mapped_column(sa.String(80), primary_key=True)
    every: Mapped[float]
    next: Mapped[float]


class Event(Base):
    """News, written in the transaction of the change it tells; read by the live stream and by the rooms above."""

    __tablename__ = "event"

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))
    kind: Mapped[str] = mapped_column(sa.String(80))
    project_id: Mapped[str | None] = mapped_column(sa.String(40))
    subject_kind: Mapped[str] = mapped_column(sa.String(40))
    subject_id: Mapped[str] = mapped_column(sa.String(80))
    subject_name: Mapped[str] = mapped_column(sa.String(300), default="")
    operation_id: Mapped[str | None] = mapped_column(sa.String(40))
    data: Mapped[dict[str, Any]]

    __table_args__ = (
        sa.Index("ix_event_subject", "subject_kind", "subject_id", "seq"),
        sa.Index("ix_event_at", "at"),
        {"sqlite_autoincrement": True},
    )


class Notice(Base):
    """Something an operator should know and mend; one row per cause (``key``), resolved when the cause is gone."""

    __tablename__ = "notice"

    key: Mapped[str] = mapped_column(sa.String(200), primary_key=True)
    level: Mapped[str] = mapped_column(sa.String(20), default="warning")
    subject_kind: Mapped[str] = mapped_column(sa.String(40))
    subject_id: Mapped[str] = mapped_column(sa.String(80))
    message: Mapped[dict[str, Any]]
    hint: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))


class Reply(Base):
    """The answer given to a request that carried an ``Idempotency-Key``, given again to its repetition."""

    __tablename__ = "reply"

    actor_id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(200), primary_key=True)
    request: Mapped[str] = mapped_column(sa.String(64))
    status: Mapped[int]
    body: Mapped[str] = mapped_column(sa.Text)
    created_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))
