"""The engine's own operations: undoing a success, and forgetting what is old."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import Conflict, Forbidden, Invalid, NoCapacity, NotFound
from yun.base.messages import Message, _
from yun.operations import opposites
from yun.operations.events import emit
from yun.operations.flow import Op, Refused, operation, periodic, step, tx_step
from yun.operations.intent import Subject
from yun.operations.model import Event, Notice, Operation, OperationStep, OperationSubject, Reply, State
from yun.operations.runner import announce, undo_row
from yun.operations.service import check_undoable, later

PROGRESS_KEPT = timedelta(hours=1)
REPLIES_KEPT = timedelta(days=1)
BATCH = 2000


@operation("operation.undo", forward=True)
def undo(op: Op, targets: list[str]) -> dict[str, Any]:
    """Walk the journals of ``targets`` (newest first) back."""
    for target in targets:
        for row_id in op.step(open_undo, target):
            op.step(undo_one, target, row_id)
        op.step(close_undo, target)
    return {"undone": targets}


@tx_step()
def open_undo(op: Op, session: Session, target: str) -> list[int]:
    """The recorded steps of ``target`` that stand, newest first. Raises `Conflict` where it can no longer be undone."""
    found = session.scalars(sa.select(Operation).where(Operation.id == target)).one()
    check_undoable(found)
    _refuse_newer(op, session, found)
    rows = sa.select(OperationStep.id).where(OperationStep.seq == found.seq, OperationStep.state == "done")
    return list(session.scalars(rows.order_by(OperationStep.position.desc())))


def _refuse_newer(op: Op, session: Session, target: Operation) -> None:
    """Raise `Conflict` where something was changed between the plan of this undo and its acceptance."""
    operation = op.journal.operation
    newer = [o for o in later(session, target) if o.seq < operation.seq and o.id not in operation.arguments["targets"]]
    if newer:
        raise Conflict(
            _(
                "{title} cannot be undone yet: later changes stand on it: {later}",
                title=Message.from_json(target.title), later="; ".join(o.id for o in newer),
            )
        )  # fmt: skip


@step(retries=8)
def undo_one(op: Op, target: str, row_id: int) -> None:
    """Take one step of ``target`` back."""
    with op.read() as session:
        row = session.get(OperationStep, row_id)
    if row is None or row.state == "undone":
        return
    op.undoing, op.may_refuse = "success", not _begun(op)
    try:
        undo_row(op, op.journal, row)
    except (Conflict, Forbidden, Invalid, NoCapacity, NotFound) as error:
        # What a person must mend first. Nothing was taken back: the target stands, and nobody is kept waiting.
        if op.may_refuse:
            raise Refused(error) from error
        raise
    finally:
        op.undoing, op.may_refuse = None, False


def _begun(op: Op) -> bool:
    """Whether any step of any target has been taken back already."""
    targets = sa.select(Operation.seq).where(Operation.id.in_(op.journal.operation.arguments["targets"]))
    undone = sa.select(OperationStep.id).where(OperationStep.seq.in_(targets), OperationStep.state == "undone")
    with op.read() as session:
        return session.scalar(undone.limit(1)) is not None


@tx_step()
def close_undo(op: Op, session: Session, target: str) -> None:
    """``target`` counts as undone."""
    found = session.scalars(sa.select(Operation).where(Operation.id == target)).one()
    found.state, found.undone_by, found.undo_until = State.UNDONE, op.id, None
    opposites.taken_back(session, found, op.settings.undo_days)
    announce(session, found, "undone", by=op.id)


@periodic("operation.prune", every=3600.0)
@operation("operation.prune")
def prune(op: Op) -> None:
    """Forget what the settings no longer keep: steps past their undo window, old operations, events and replies."""
    now = datetime.now(UTC)
    old = now - timedelta(days=op.settings.history_days)
    while prune_once(op, now, old):
        op.check_cancel()


def prune_once(op: Op, now: datetime, old: datetime) -> bool:
    """One short transaction of forgetting; true where there may be more."""
    closed = sa.and_(
        Operation.finished_at.is_not(None), sa.or_(Operation.undo_until.is_(None), Operation.undo_until < now)
    )
    # How something failed is looked at later than what succeeded and was forgotten by everybody.
    failed = Operation.state.in_((State.FAILED, State.CANCELLED, State.ABANDONED))
    kept = sa.and_(failed, Operation.finished_at >= now - timedelta(days=op.settings.undo_days))
    with op.write() as session:
        seqs = sa.select(Operation.seq).where(closed, Operation.finished_at < old).limit(BATCH)
        gone = list(session.scalars(seqs))
        for table in (OperationStep, OperationSubject):
            session.execute(sa.delete(table).where(table.seq.in_(gone)))
        session.execute(sa.delete(Operation).where(Operation.seq.in_(gone)))
        spent = sa.select(OperationStep.id).join(Operation, Operation.seq == OperationStep.seq)
        spent = spent.where(closed, sa.not_(kept))
        steps = list(session.scalars(spent.limit(BATCH)))
        session.execute(sa.delete(OperationStep).where(OperationStep.id.in_(steps)))
        stale = sa.or_(Event.at < old, sa.and_(Event.kind == "operation.progress", Event.at < now - PROGRESS_KEPT))
        events = list(session.scalars(sa.select(Event.seq).where(stale).limit(BATCH)))
        session.execute(sa.delete(Event).where(Event.seq.in_(events)))
        session.execute(sa.delete(Reply).where(Reply.created_at < now - REPLIES_KEPT))
        _drop_dead_notices(session)
    return BATCH in (len(gone), len(steps), len(events))


def _drop_dead_notices(session: Session) -> None:
    ended = sa.select(Operation.id).where(Operation.finished_at.is_not(None))
    about = sa.select(Notice).where(Notice.subject_kind == "operation", Notice.subject_id.in_(ended))
    for notice in session.scalars(about):
        session.delete(notice)
        emit(session, "notice.resolved", subject=Subject("operation", notice.subject_id), data={"key": notice.key})
