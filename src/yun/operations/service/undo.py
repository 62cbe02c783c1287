"""Undo of a success: what stands in its way, and the intent that takes it back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base import permissions
from yun.base.context import Context
from yun.base.errors import Conflict, Forbidden
from yun.base.messages import Message, _
from yun.operations import opposites
from yun.operations.intent import USER, Intent, Key, Subject
from yun.operations.model import (
    OPEN,
    Operation,
    OperationSubject,
    State,
)
from yun.operations.opposites import OPPOSITES
from yun.operations.service.look import get

NOT_BY_TOKEN = ("user.grant", "user.revoke", "user.disable", "user.enable", "user.delete")
"""A role that comes back outlives the token that brought it back."""


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
        effects=tuple(text for t in chain for text in (_taken_back(t), *_told(t, "back"))),
        destroys=tuple(text for t in chain for text in _told(t, "back_destroys")),
        undoable=False,
        no_undo=_("An undo is not itself undone; do the thing again instead."),
        transparent=True,
    )


def _taken_back(operation: Operation) -> Message:
    return _("Takes back: {title}", title=Message.from_json(operation.title))


def _told(operation: Operation, part: str) -> list[Message]:
    """What its preview said under ``part``."""
    return [Message.from_json(text) for text in operation.preview.get(part, [])]


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
        if target.kind in NOT_BY_TOKEN and ctx.actor.token_id is not None:
            raise Forbidden(_("An API token cannot undo what changed who may do what."))
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
        for newer in later(ctx.session, todo.pop()):
            if newer.seq in chain:
                continue
            if not through:
                raise _blocked_error(ctx, target)
            _may_undo(ctx, newer)
            check_undoable(newer)
            if newer.kind in OPPOSITES:
                raise _made_later(target, newer)
            chain[newer.seq] = newer
            todo.append(newer)
    return [chain[seq] for seq in sorted(chain, reverse=True)]


def later(session: Session, target: Operation) -> list[Operation]:
    """What was changed since on the things that ``target`` touched and still stands, newest first. Those who only use
    a thing do not stand in each other's way."""
    touched = sa.select(OperationSubject.kind, OperationSubject.id).where(OperationSubject.seq == target.seq)
    wanted: set[tuple[str, str]] = set()
    for kind, identifier in session.execute(touched):
        thing = kind.removesuffix(USER)
        wanted |= {(thing, identifier), *(() if kind != thing else ((thing + USER, identifier),))}
    shared = sa.select(OperationSubject.seq).where(
        sa.tuple_(OperationSubject.kind, OperationSubject.id).in_(sorted(wanted)), OperationSubject.seq > target.seq
    )
    query = sa.select(Operation).where(
        Operation.seq.in_(shared),
        Operation.transparent.is_(False),
        Operation.state.in_((*OPEN, State.SUCCEEDED)),
    )
    return list(session.scalars(query.order_by(Operation.seq.desc())))


def _blocked_error(ctx: Context, target: Operation) -> Conflict:
    newer = later(ctx.session, target)
    titles = "; ".join(f"{o.id} {o.title_in(ctx.locale)}" for o in newer[:5])
    blockers: list[dict[str, Any]] = [{"id": o.id, "kind": o.kind, "title": o.title_in(ctx.locale)} for o in newer]
    return Conflict(
        _(
            "{title} cannot be undone yet: later changes stand on it: {later}",
            title=Message.from_json(target.title),
            later=titles,
        ),
        hint=_("Undo back to there: these first, newest first, then this one (yun undo {id} --through).", id=target.id),
        details={"blockers": blockers, "through": target.id},
    )


def _made_later(target: Operation, made: Operation) -> Conflict:
    """A thing made since stands in the way: taking it away is a verb of its own, not a part of this undo."""
    return Conflict(
        _(
            "{title} cannot be undone yet: something made since stands in the way: {later}",
            title=Message.from_json(target.title), later=Message.from_json(made.title),
        ),
        hint=_("Undo that by itself first: yun undo {id}", id=made.id),
        details={"blockers": [{"id": made.id, "kind": made.kind}]},
    )  # fmt: skip


def _subjects(session: Session, chain: list[Operation]) -> tuple[Subject, ...]:
    query = sa.select(OperationSubject).where(OperationSubject.seq.in_([o.seq for o in chain]))
    return tuple({(s.kind, s.id): Subject(s.kind, s.id, s.name) for s in session.scalars(query)}.values())


def close_undo(session: Session, kind: str, identifier: str) -> None:
    """Nothing that touched this thing can be undone from now on: it is being removed for good."""
    touched = sa.select(OperationSubject.seq).where(OperationSubject.kind == kind, OperationSubject.id == identifier)
    session.execute(sa.update(Operation).where(Operation.seq.in_(touched)).values(undo_until=None, undoable=False))
