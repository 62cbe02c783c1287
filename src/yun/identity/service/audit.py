"""The audit: every change (from the journal of operations) and every log-in, failed log-in and refusal, in one list."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Actor, Context
from yun.base.errors import Invalid
from yun.base.messages import Message, _
from yun.base.paging import MAX_LIMIT, Page
from yun.identity.model import AuditEntry
from yun.identity.service import audit_search
from yun.operations.intent import Subject
from yun.operations.model import Operation

TITLES: dict[str, Message] = {
    "session.login": _("Logged in"),
    "session.login_failed": _("Log-in failed"),
    "session.logout": _("Logged out"),
    "session.logout_everywhere": _("Ended all sessions"),
    "permission.refused": _("Permission refused"),
    "capture.download": _("Downloaded recorded packets"),
}


@dataclass(frozen=True)
class AuditLine:
    """One line: when, who, from where, what, on what, and how it ended; ``operation_id`` where it was a change."""

    at: datetime
    actor_kind: str
    actor_id: str
    actor_name: str
    address: str
    action: str
    title: Message
    subject: Subject
    outcome: str
    project_id: str | None = None
    operation_id: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    position: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Entry:
    """What is to be written down. ``data`` is JSON without secrets."""

    action: str
    actor: Actor
    address: str
    subject: Subject
    outcome: str = "succeeded"
    project_id: str | None = None
    data: dict[str, Any] = field(default_factory=dict)


def record(session: Session, at: datetime, entry: Entry) -> None:
    """Write an entry in the caller's transaction."""
    session.add(
        AuditEntry(
            at=at, action=entry.action, outcome=entry.outcome, actor_kind=entry.actor.kind, actor_id=entry.actor.id,
            actor_name=entry.actor.name[:200], address=entry.address[:64], project_id=entry.project_id,
            subject_kind=entry.subject.kind, subject_id=entry.subject.id[:80],
            subject_name=entry.subject.name[:300], data=entry.data,
        )
    )  # fmt: skip


def list_audit(
    ctx: Context, *, q: str = "", actor: str = "", action: str = "", address: str = "", cursor: str | None = None,
    limit: int = 100,
) -> Page[AuditLine]:  # fmt: skip
    """Changes, log-ins and refusals, newest first.

    ``actor`` is a name or id, ``action`` the beginning of one (``instance.`` or ``session.login_failed``); ``q`` is in
    the query language (`audit_search`, and free text). Raises `Invalid` for a query that means nothing.
    """
    ctx.may("audit.list")
    if not 1 <= limit <= MAX_LIMIT:
        right = _("1 to {most}", most=MAX_LIMIT)
        raise Invalid(_("A page has 1 to {most} items.", most=MAX_LIMIT), fields={"limit": right})
    at, entry_seq, operation_seq = _decode(cursor)
    entries = sa.select(AuditEntry).order_by(AuditEntry.at.desc(), AuditEntry.seq.desc())
    changes = sa.select(Operation).where(Operation.actor_kind != "system")
    changes = changes.order_by(Operation.created_at.desc(), Operation.seq.desc())
    if q:
        entries = entries.where(*audit_search.of_entries(ctx.session, q, ctx.locale, TITLES))
        changes = changes.where(*audit_search.of_changes(ctx.session, q, ctx.locale))
    if actor:
        entries = entries.where(sa.or_(AuditEntry.actor_name == actor, AuditEntry.actor_id == actor))
        changes = changes.where(sa.or_(Operation.actor_name == actor, Operation.actor_id == actor))
    if action:
        entries = entries.where(AuditEntry.action.startswith(action, autoescape=True))
        changes = changes.where(Operation.kind.startswith(action, autoescape=True))
    if address:
        entries, changes = entries.where(AuditEntry.address == address), changes.where(Operation.address == address)
    if at is not None:
        entries = entries.where(sa.tuple_(AuditEntry.at, AuditEntry.seq) < _edge(AuditEntry, at, entry_seq))
        changes = changes.where(sa.tuple_(Operation.created_at, Operation.seq) < _edge(Operation, at, operation_seq))
    lines = [_from_entry(e) for e in ctx.session.scalars(entries.limit(limit + 1))]
    lines += [_from_operation(o) for o in ctx.session.scalars(changes.limit(limit + 1))]
    lines.sort(key=lambda line: (line.at, line.position), reverse=True)
    shown = lines[:limit]
    return Page(shown, _encode(shown) if len(lines) > limit else None)


def _edge(table: type[AuditEntry] | type[Operation], at: datetime, seq: int) -> Any:
    moment = table.at if table is AuditEntry else table.created_at  # type: ignore[union-attr]
    return sa.tuple_(sa.literal(at, moment.type), sa.literal(seq, sa.BigInteger()))


def _encode(shown: list[AuditLine]) -> str:
    # Lines of one moment: entries sort before operations, so each table has its own last number.
    last = shown[-1]
    entry, operation = 1 << 62, 1 << 62
    for line in reversed(shown):
        if line.at != last.at:
            break
        if line.position[0] == 0:
            entry = min(entry, line.position[1])
        else:
            operation = min(operation, line.position[1])
    text = f"{last.at.isoformat()} {entry} {operation}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str | None) -> tuple[datetime | None, int, int]:
    if not cursor:
        return None, 0, 0
    try:
        at, entry, operation = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split(" ")
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None or not all(0 <= int(number) <= 1 << 62 for number in (entry, operation)):
            raise ValueError(at)
        return moment, int(entry), int(operation)
    except (ValueError, binascii.Error) as error:
        raise Invalid(
            _("The cursor does not belong to this list."), fields={"cursor": _("the value of next in the page before")}
        ) from error


def _from_entry(entry: AuditEntry) -> AuditLine:
    return AuditLine(
        at=entry.at, actor_kind=entry.actor_kind, actor_id=entry.actor_id, actor_name=entry.actor_name,
        address=entry.address, action=entry.action, title=TITLES.get(entry.action, Message(entry.action)),
        subject=Subject(entry.subject_kind, entry.subject_id, entry.subject_name), outcome=entry.outcome,
        project_id=entry.project_id, data=entry.data, position=(0, entry.seq),
    )  # fmt: skip


def _from_operation(row: Operation) -> AuditLine:
    return AuditLine(
        at=row.created_at, actor_kind=row.actor_kind, actor_id=row.actor_id, actor_name=row.actor_name,
        address=row.address, action=row.kind, title=Message.from_json(row.title),
        subject=Subject(row.subject_kind, row.subject_id, row.subject_name), outcome=row.state,
        project_id=row.project_id, operation_id=row.id, position=(1, row.seq),
    )  # fmt: skip
