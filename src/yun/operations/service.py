"""The verbs of operations: submit, look, cancel, undo, retry, abandon; and the notices."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base import permissions
from yun.base.context import Context, not_found
from yun.base.errors import Conflict, Forbidden
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.base.paging import Page, paginate
from yun.operations import opposites
from yun.operations.claims import is_first, release_keys, rouse, serialize
from yun.operations.events import emit, resolve_notice
from yun.operations.flow import FINAL, REGISTRY
from yun.operations.inline import perform
from yun.operations.intent import Intent, Key, Subject
from yun.operations.model import (
    OPEN,
    Event,
    Notice,
    Operation,
    OperationKey,
    OperationStep,
    OperationSubject,
    State,
)
from yun.operations.opposites import OPPOSITES


def submit(ctx: Context, intent: Intent) -> Operation:
    """Accept an intent in the caller's transaction: its rows, the operation, its keys; wake the engine on commit.

    Afterwards the operation is queued, or, for an instant intent whose keys are free, already done. Raises what an
    instant recipe raises; nothing is written then, since the caller's transaction rolls back.
    """
    session = ctx.session
    serialize(session)
    if intent.write is not None:
        intent.write(session)
    operation = _row(ctx, intent)
    keys = [(k.key, k.slots) for k in intent.all_keys]
    at_once = intent.instant and is_first(session, keys)
    session.add(operation)
    session.flush()
    for subject in intent.all_subjects:
        session.add(OperationSubject(seq=operation.seq, kind=subject.kind, id=subject.id, name=subject.name))
    if at_once:
        operation.result = {"value": perform(ctx, operation)}
        now = datetime.now(UTC)
        operation.state, operation.progress = State.SUCCEEDED, 1.0
        operation.started_at = operation.finished_at = now
        if operation.undoable:
            operation.undo_until = now + timedelta(days=ctx.settings.undo_days)
        opposites.succeeded(session, operation)
        _announce(session, operation, "succeeded")
    else:
        for key, slots in keys:
            session.add(OperationKey(seq=operation.seq, key=key, slots=slots))
        if not intent.quiet:
            _announce(session, operation, "queued")
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


def _announce(session: Session, operation: Operation, what: str) -> None:
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


# ── looking ──


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


def list_operations(
    ctx: Context, *, state: str | None = None, subject: Subject | None = None, open_only: bool = False,
    cursor: str | None = None, limit: int = 100,
) -> Page[Operation]:  # fmt: skip
    """Operations that the actor may see, newest first; ``subject`` keeps those that touch a thing."""
    query = sa.select(Operation).where(Operation.quiet.is_(False))
    if not ctx.actor.is_admin:
        mine = [p for p in ctx.actor.roles if p != "*"]
        own = sa.and_(Operation.project_id.is_(None), Operation.actor_id == ctx.actor.id)
        query = query.where(sa.or_(Operation.project_id.in_(mine), own))
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


# ── changing what runs ──


def cancel(ctx: Context, reference: str) -> Operation:
    """Ask an open operation to stop: a queued one ends at once, a running one takes back what it did.

    Raises `Conflict` where it has ended, is being taken back already, or has come so far that it must go on.
    """
    operation = get(ctx, reference)
    ctx.may("operation.cancel", operation.project_id)
    if operation.state not in (State.QUEUED, State.RUNNING):
        raise Conflict(_("This operation can no longer be cancelled: it is {state}.", state=_(operation.state)))
    if _must_go_on(ctx.session, operation):
        raise Conflict(_("This operation can no longer be cancelled: it must now go on to its end."))
    operation.cancel_requested = True
    operation.not_before, operation.ready = 0.0, True
    _announce(ctx.session, operation, "cancelling")
    rouse(ctx.session)
    return operation


def _must_go_on(session: Session, operation: Operation) -> bool:
    """Whether it is past its point of no return, or an undo or purge that has begun (`Op.cancellable`)."""
    recipe = REGISTRY.recipes.get(operation.kind)
    begun = sa.select(OperationStep.id).where(OperationStep.seq == operation.seq)
    if recipe is None or not recipe.forward:
        begun = begun.where(OperationStep.name == FINAL, OperationStep.state == "done")
    return session.scalar(begun.limit(1)) is not None


def retry(ctx: Context, reference: str) -> Operation:
    """Let a stuck operation go on from where it stood. Raises `Conflict` where it is not stuck."""
    operation = get(ctx, reference)
    ctx.may("operation.retry")
    if operation.state != State.STUCK:
        raise Conflict(_("Only a stuck operation can be retried; this one is {state}.", state=_(operation.state)))
    rows = sa.update(OperationStep).where(OperationStep.seq == operation.seq)
    ctx.session.execute(rows.values(attempts=0, undo_attempts=0))
    operation.state, operation.stuck_in, operation.not_before = operation.stuck_in or State.RUNNING, None, 0.0
    operation.ready = True
    _drop_notice(ctx.session, operation)
    _announce(ctx.session, operation, "retried")
    rouse(ctx.session)
    return operation


def abandon(ctx: Context, reference: str) -> Operation:
    """Give a stuck operation up: its keys are released, what it left behind stays. Raises `Conflict` otherwise."""
    operation = get(ctx, reference)
    ctx.may("operation.abandon")
    if operation.state != State.STUCK:
        raise Conflict(_("Only a stuck operation can be abandoned; this one is {state}.", state=_(operation.state)))
    return give_up(ctx, operation)


def give_up(ctx: Context, operation: Operation) -> Operation:
    """Abandon a stuck operation on behalf of a verb that removes what it left behind; that verb's permission counts."""
    operation.state, operation.finished_at = State.ABANDONED, datetime.now(UTC)
    operation.fence += 1
    release_keys(ctx.session, operation)
    _drop_notice(ctx.session, operation)
    _announce(ctx.session, operation, "abandoned")
    return operation


def _drop_notice(session: Session, operation: Operation) -> None:
    resolve_notice(session, f"stuck:{operation.id}")


# ── undo of a success ──


def undo(ctx: Context, reference: str | None = None, *, through: bool = False) -> Intent:
    """The intent that takes a finished operation back; without a reference the actor's newest undoable one.

    With ``through`` everything later that stands in the way is undone first, newest first. Raises `Conflict` that
    says what stands in the way, why it cannot be undone, or that the window has closed.
    """
    target = get(ctx, reference) if reference else _newest(ctx)
    _may_undo(ctx, target)
    check_undoable(target)
    _not_under_way(ctx.session, target)
    if target.kind in OPPOSITES:
        return _opposite(ctx, target)
    chain = _chain(ctx, target, through=through)
    keys = {key: slots for t in chain for key, slots in t.keys}
    subjects = _subjects(ctx.session, chain)
    return Intent(
        kind="operation.undo",
        title=_("Undo: {title}", title=Message.from_json(target.title)),
        subject=Subject(target.subject_kind, target.subject_id, target.subject_name),
        project_id=target.project_id,
        arguments={"targets": [t.id for t in chain]},
        keys=tuple(Key(key, slots) for key, slots in keys.items()),
        subjects=subjects,
        effects=tuple(_("Takes back: {title}", title=Message.from_json(t.title)) for t in chain),
        undoable=False,
        no_undo=_("An undo is not itself undone; do the thing again instead."),
        transparent=True,
    )


def _opposite(ctx: Context, target: Operation) -> Intent:
    """The verb that takes a creation back, under the name of the undo that was asked for."""
    intent = OPPOSITES[target.kind](ctx, target)
    return replace(intent, title=_("Undo: {title}", title=Message.from_json(target.title)), undoes=target.id)


def _not_under_way(session: Session, target: Operation) -> None:
    open_ones = sa.select(Operation).where(Operation.kind == "operation.undo", Operation.state.in_(OPEN))
    if any(target.id in undo.arguments["targets"] for undo in session.scalars(open_ones)):
        raise Conflict(_("{title} is being undone already.", title=Message.from_json(target.title)))


def _newest(ctx: Context) -> Operation:
    query = sa.select(Operation).where(
        Operation.actor_id == ctx.actor.id,
        Operation.state == State.SUCCEEDED,
        Operation.undoable.is_(True),
        Operation.undo_until > datetime.now(UTC),
        # The undo of a creation is a deletion; undoing that would only bring the thing back, and never get further.
        Operation.preview[opposites.UNDOES].as_string().is_(None),
    )
    if ctx.project_id is not None:
        query = query.where(sa.or_(Operation.project_id == ctx.project_id, Operation.project_id.is_(None)))
    found = ctx.session.scalar(query.order_by(Operation.seq.desc()).limit(1))
    if found is None:
        raise Conflict(_("There is nothing of yours to undo here."))
    return found


def _may_undo(ctx: Context, target: Operation) -> None:
    ctx.may("operation.undo", target.project_id)
    if target.kind in permissions.NEEDS:
        if permissions.required(target.kind).scope == "self" and ctx.actor.token_id is not None:
            raise Forbidden(_("An API token cannot undo what was done to its owner's account."))
        ctx.may(target.kind, target.project_id)
    elif not ctx.actor.is_admin:
        ctx.may("operation.retry")


def check_undoable(target: Operation) -> None:
    """Pass where a finished operation can be undone now. Raises `Conflict` with the reason."""
    title = Message.from_json(target.title)
    if target.state in OPEN:
        raise Conflict(
            _("{title} is still {state}.", title=title, state=_(target.state)), hint=_("Wait for it, or cancel it.")
        )
    if target.state != State.SUCCEEDED:
        raise Conflict(_("{title} cannot be undone: it is {state}.", title=title, state=_(target.state)))
    if not target.undoable:
        why = Message.from_json(target.no_undo) if target.no_undo else _("This cannot be undone.")
        raise Conflict(_("{title} cannot be undone: {reason}", title=title, reason=why))
    if target.undo_until is None or target.undo_until <= datetime.now(UTC):
        raise Conflict(_("{title} can no longer be undone: its time has passed.", title=title))


def _chain(ctx: Context, target: Operation, *, through: bool) -> list[Operation]:
    """The target and whatever must be undone before it, newest first."""
    chain: dict[int, Operation] = {target.seq: target}
    todo = [target]
    while todo:
        for later in _later(ctx.session, todo.pop()):
            if later.seq in chain:
                continue
            if not through:
                raise _blocked_error(ctx, target)
            _may_undo(ctx, later)
            check_undoable(later)
            if later.kind in OPPOSITES:
                raise _made_later(ctx, target, later)
            chain[later.seq] = later
            todo.append(later)
    return [chain[seq] for seq in sorted(chain, reverse=True)]


def _later(session: Session, target: Operation) -> list[Operation]:
    mine, other = OperationSubject, sa.orm.aliased(OperationSubject)
    shared = (
        sa.select(other.seq)
        .join(mine, sa.and_(mine.kind == other.kind, mine.id == other.id))
        .where(mine.seq == target.seq, other.seq > target.seq)
    )
    query = sa.select(Operation).where(
        Operation.seq.in_(shared),
        Operation.transparent.is_(False),
        Operation.state.in_((*OPEN, State.SUCCEEDED)),
    )
    return list(session.scalars(query.order_by(Operation.seq.desc())))


def _blocked_error(ctx: Context, target: Operation) -> Conflict:
    later = _later(ctx.session, target)
    titles = "; ".join(f"{o.id} {o.title_in(ctx.locale)}" for o in later[:5])
    blockers: list[dict[str, Any]] = [{"id": o.id, "kind": o.kind, "title": o.title_in(ctx.locale)} for o in later]
    return Conflict(
        _(
            "{title} cannot be undone yet: later changes stand on it: {later}",
            title=Message.from_json(target.title),
            later=titles,
        ),
        hint=_("Undo back to there: these first, newest first, then this one (yun undo {id} --through).", id=target.id),
        details={"blockers": blockers, "through": target.id},
    )


def _made_later(ctx: Context, target: Operation, later: Operation) -> Conflict:
    """A thing made since stands in the way: taking it away is a verb of its own, not a part of this undo."""
    return Conflict(
        _(
            "{title} cannot be undone yet: something made since stands in the way: {later}",
            title=Message.from_json(target.title), later=Message.from_json(later.title),
        ),
        hint=_("Undo that by itself first: yun undo {id}", id=later.id),
        details={"blockers": [{"id": later.id, "kind": later.kind, "title": later.title_in(ctx.locale)}]},
    )  # fmt: skip


def _subjects(session: Session, chain: list[Operation]) -> tuple[Subject, ...]:
    query = sa.select(OperationSubject).where(OperationSubject.seq.in_([o.seq for o in chain]))
    return tuple({(s.kind, s.id): Subject(s.kind, s.id, s.name) for s in session.scalars(query)}.values())


def close_undo(session: Session, kind: str, identifier: str) -> None:
    """Nothing that touched this thing can be undone from now on: it is being removed for good."""
    touched = sa.select(OperationSubject.seq).where(OperationSubject.kind == kind, OperationSubject.id == identifier)
    session.execute(sa.update(Operation).where(Operation.seq.in_(touched)).values(undo_until=None, undoable=False))
