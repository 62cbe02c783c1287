"""Changing what runs: cancel, retry, abandon."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.errors import Conflict
from yun.base.messages import _
from yun.operations.claims import release_keys, rouse
from yun.operations.events import resolve_notice
from yun.operations.flow import FINAL, REGISTRY
from yun.operations.model import (
    Operation,
    OperationStep,
    State,
)
from yun.operations.service.look import get
from yun.operations.service.submit import announce


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
    announce(ctx.session, operation, "cancelling")
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
    announce(ctx.session, operation, "retried")
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
    announce(ctx.session, operation, "abandoned")
    return operation


def _drop_notice(session: Session, operation: Operation) -> None:
    resolve_notice(session, f"stuck:{operation.id}")
