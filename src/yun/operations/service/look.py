"""Looking at operations, events and notices; what makes a quiet operation a part of the history."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context, not_found
from yun.base.messages import Message
from yun.base.paging import Page, paginate
from yun.operations.claims import blockers
from yun.operations.events import emit
from yun.operations.intent import Subject
from yun.operations.model import (
    OPEN,
    Event,
    Notice,
    Operation,
    OperationStep,
    OperationSubject,
    State,
)
from yun.operations.service import search


def get(ctx: Context, reference: str) -> Operation:
    """An operation by id, where the actor may see it. Raises `NotFound`."""
    found = ctx.session.scalar(sa.select(Operation).where(Operation.id == reference))
    if found is None or not _visible(ctx, found):
        raise not_found("operation", reference)
    ctx.may("operation.show", found.project_id)
    return found


def _visible(ctx: Context, operation: Operation) -> bool:
    if operation.project_id is None:
        return ctx.actor.is_admin or operation.actor_id == ctx.actor.id
    return ctx.sees(operation.project_id)


def waits_for(ctx: Context, operation: Operation) -> list[Operation]:
    """The operations that one in the queue stands behind, as far as the actor may see them, oldest first."""
    if operation.state != State.QUEUED:
        return []
    found = sa.select(Operation).where(Operation.seq.in_(blockers(ctx.session, operation.seq))).order_by(Operation.seq)
    return [o for o in ctx.session.scalars(found.limit(20)) if _visible(ctx, o)]


def list_operations(
    ctx: Context, *, state: str | None = None, subject: Subject | None = None, open_only: bool = False,
    cursor: str | None = None, limit: int = 100, q: str = "",
) -> Page[Operation]:  # fmt: skip
    """Operations that the actor may see, newest first; ``subject`` keeps those that touch a thing, ``q`` is in the
    query language (`search.FIELDS`, and free text). Raises `Invalid` for a query that means nothing."""
    query = sa.select(Operation).where(Operation.quiet.is_(False), *search.conditions(ctx.session, q, ctx.locale))
    if not ctx.actor.is_admin:
        mine = Operation.project_id.in_([p for p in ctx.actor.roles if p != "*"])
        if ctx.actor.role_in(None) is not None:  # a role in the whole cloud sees every project
            mine = Operation.project_id.is_not(None)
        own = sa.and_(Operation.project_id.is_(None), Operation.actor_id == ctx.actor.id)
        query = query.where(sa.or_(mine, own))
    if ctx.project_id is not None and not (subject and ctx.actor.is_admin):
        query = query.where(sa.or_(Operation.project_id == ctx.project_id, Operation.project_id.is_(None)))
    if state:
        query = query.where(Operation.state == state)
    if open_only:
        query = query.where(Operation.state.in_(OPEN))
    if subject is not None:
        touched = sa.select(OperationSubject.seq).where(OperationSubject.kind == subject.kind)
        same = sa.or_(OperationSubject.id == subject.id, OperationSubject.name == subject.id)
        query = query.where(Operation.seq.in_(touched.where(same)))
    return paginate(
        ctx.session, query, sorts={"seq": Operation.seq}, key=Operation.id, sort="-seq", cursor=cursor, limit=limit
    )


def steps(ctx: Context, operation: Operation) -> list[OperationStep]:
    """The journal of an operation, in order."""
    query = sa.select(OperationStep).where(OperationStep.seq == operation.seq).order_by(OperationStep.position)
    return list(ctx.session.scalars(query))


def events_after(session: Session, after: int, limit: int = 500) -> list[Event]:
    """The events that follow number ``after``, in order."""
    return list(session.scalars(sa.select(Event).where(Event.seq > after).order_by(Event.seq).limit(limit)))


def last_event(session: Session) -> int:
    """The number of the newest event, 0 where there is none."""
    return session.scalar(sa.select(sa.func.max(Event.seq))) or 0


def notices(ctx: Context) -> list[Notice]:
    """What operators should know now, newest first."""
    ctx.may("notice.list")
    return list(ctx.session.scalars(sa.select(Notice).order_by(Notice.created_at.desc())))


def dismiss(ctx: Context, key: str) -> None:
    """Take a notice away; it comes back when its cause is found again. Raises `NotFound`."""
    ctx.may("notice.dismiss")
    found = ctx.session.get(Notice, key)
    if found is None:
        raise not_found("notice", key)
    ctx.session.delete(found)
    emit(ctx.session, "notice.resolved", subject=Subject(found.subject_kind, found.subject_id), data={"key": key})


def surface(session: Session, operation_id: str, *, title: Message, project_id: str | None) -> None:
    """A quiet operation has found news: it belongs to the history, under this title and in this project."""
    query = sa.update(Operation).where(Operation.id == operation_id)
    session.execute(query.values(quiet=False, title=title.to_json(), project_id=project_id))
