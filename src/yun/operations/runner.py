"""Runs one claimed operation: walks its recipe, and on failure or cancellation walks the journal back."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base import log as logs
from yun.base.db import DatabaseAway, epoch
from yun.base.errors import DriverError, YunError
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.operations import opposites
from yun.operations.claims import release_keys
from yun.operations.events import emit, raise_notice, resolve_notice
from yun.operations.flow import REGISTRY, Cancelled, Fenced, Op, Recipe, Refused, plain
from yun.operations.intent import Subject
from yun.operations.journal import OPERATIONS, Backoff, Journal, pause, persistent, unwrap
from yun.operations.model import Operation, OperationKey, OperationStep, OperationSubject, State

log = logs.logger(__name__)
UNDO_TRIES = 8


class Bug(YunError):
    """Anything a step raised outside the family: the person gets an id, the log the chain."""

    code = "internal"


def as_error(error: Exception) -> YunError:
    """The error itself if it is one of the family, else a `Bug` whose id is in the log."""
    if isinstance(error, YunError):
        return error
    return as_bug(error)


def as_bug(error: Exception) -> Bug:
    """An error without the words of what caused it; those are in the log under its number."""
    number = new_id("bug")
    log.error("bug %s: %s", number, "".join(traceback.format_exception(error)))
    return Bug(_("Something went wrong inside Yun (number {id}).", id=number), hint=_("The log has the details."))


class Runner:
    """One claim of one operation."""

    def __init__(self, op: Op, journal: Journal) -> None:
        self.op = op
        self.journal = journal
        self.operation = journal.operation

    def run(self) -> None:
        """Walk it as far as it goes now. Never raises for what the operation does; `Fenced` ends silently."""
        token = logs.subject.set(self.operation.id)
        try:
            if self.operation.fence > 1:  # nobody can have recorded anything before the first claim
                self.journal.load()
            self._run()
        except Fenced:
            log.warning("%s was taken over or must let go; this process stops working on it", self.operation.id)
        except DatabaseAway as error:
            log.warning("%s waits for the database: %s", self.operation.id, error)
        except Exception as caught:
            # Not even how it ended could be written. Claimed again, it would end here again, at once and for ever.
            self._stick(as_bug(caught))
        finally:
            logs.subject.reset(token)

    def _run(self) -> None:
        recipe = REGISTRY.recipes.get(self.operation.kind)
        if recipe is None:
            self._stick(YunError(_("This version does not know operations of kind {kind}.", kind=self.operation.kind)))
        elif self.operation.state == State.UNDOING:
            self._undo()
        else:
            self._forward(recipe)

    def _forward(self, recipe: Recipe) -> None:
        try:
            result = recipe.call(self.op, **self.operation.arguments)
        except Fenced:
            raise
        except Backoff as wait:
            self._wait(wait.seconds, wait.cause)
        except Cancelled as error:
            self._turn(State.CANCELLED, error)
        except Refused as refusal:
            self._finish(State.FAILED, error=refusal.cause)
        except Exception as caught:
            reason = as_error(caught)
            if (recipe.forward and self.journal.rows) or self.journal.final:
                self._again(reason)
            else:
                self._turn(State.FAILED, reason)
        else:
            self._finish(State.SUCCEEDED, result=result)

    def _again(self, error: YunError) -> None:
        """Roll forward: try the whole recipe again from its journal, and wait for an operator after enough tries."""
        row = max(self.journal.rows.values(), key=lambda r: r.position, default=None)
        tries = row.undo_attempts + 1 if row else UNDO_TRIES
        if row is None or tries >= UNDO_TRIES:
            self._stick(error)
            return
        self.journal.mark(row, undo_attempts=tries, error=error.to_json())
        self._wait(pause(tries), error)

    def _turn(self, outcome: State, error: YunError) -> None:
        """Begin to take back what was done."""
        log.info("%s %s: %s", self.operation.kind, outcome, error)
        values = {"state": State.UNDOING, "outcome": outcome, "error": error.to_json()}

        def write() -> None:
            with self.journal.fenced() as session:
                self._set(session, **values)
                self._tell(session, "undoing")

        persistent(write)
        self._undo()

    def _undo(self) -> None:
        self.op.undoing = "failure"
        for row in sorted(self.journal.rows.values(), key=lambda r: -r.position):
            if row.state == "undone":
                continue
            self.op.check_cancel()
            try:
                undo_row(self.op, self.journal, row)
            except Fenced:
                raise
            except Exception as caught:
                error = as_error(caught)
                tries = row.undo_attempts + 1
                self.journal.mark(row, undo_attempts=tries, error=error.to_json())
                if tries >= _patience(error):
                    self._stick(error)
                else:
                    self._wait(pause(tries), error)
                return
        outcome = State(self.operation.outcome or State.FAILED)
        self._finish(outcome)

    def _wait(self, seconds: float, cause: Exception) -> None:
        """Let the thread go; keep place and keys; come back after ``seconds`` of the database's clock."""
        error = as_error(cause)

        def write() -> None:
            with self.journal.fenced() as session:
                text = _(
                    "Waiting {seconds:.0f} s to try again: {reason}", seconds=max(seconds, 1), reason=error.message
                )
                self._set(session, node_id=None, not_before=epoch(session) + seconds, progress_text=text.to_json())
                self._tell(session, "waiting", error=error.to_json(), seconds=seconds)

        persistent(write)

    def _stick(self, error: YunError) -> None:
        """Nothing more can be done without an operator: keys stay held."""
        log.error("%s %s is stuck: %s", self.operation.kind, self.operation.id, error)

        def write() -> None:
            with self.journal.fenced() as session:
                stuck_in = self.operation.state if self.operation.state != State.QUEUED else State.RUNNING
                self._set(session, state=State.STUCK, stuck_in=stuck_in, node_id=None, error=error.to_json())
                raise_notice(
                    session, f"stuck:{self.operation.id}", level="error",
                    subject=Subject("operation", self.operation.id, self.operation.subject_name),
                    message=_("{title} is stuck: {reason}", title=_title(self.operation), reason=error.message),
                    hint=_("Mend the cause, then retry the operation; or abandon it to release what it holds."),
                )  # fmt: skip
                self._tell(session, "stuck", error=error.to_json())

        persistent(write)

    def _finish(self, outcome: State, result: Any = None, error: YunError | None = None) -> None:
        value = {"value": plain(result)} if result is not None else None

        def write() -> None:
            with self.journal.fenced() as session:
                if error is not None:
                    self._set(session, error=error.to_json())
                if self.operation.quiet and not result:
                    if outcome != State.SUCCEEDED:
                        log.warning("%s %s: %s", self.operation.kind, outcome, self.operation.error)
                    release_keys(session, self.operation)
                    self._in_time(session)
                    forget(session, self.operation.seq)
                    return
                self._conclude(session, outcome, value)

        persistent(write)

    def _conclude(self, session: Session, outcome: State, result: dict[str, Any] | None) -> None:
        now = datetime.now(UTC)
        days = self.op.settings.undo_days
        until = now + timedelta(days=days) if outcome == State.SUCCEEDED and self.operation.undoable else None
        text = None if outcome == State.SUCCEEDED else self.operation.progress_text
        self._set(
            session, state=outcome, node_id=None, finished_at=now, undo_until=until, result=result,
            progress=1.0 if outcome == State.SUCCEEDED else self.operation.progress, progress_text=text,
        )  # fmt: skip
        if outcome == State.SUCCEEDED:
            opposites.succeeded(session, self.operation, self.op.settings.undo_days)
        release_keys(session, self.operation)
        self._in_time(session)
        self._tell(session, outcome, error=self.operation.error)

    def _in_time(self, session: Session) -> None:
        """It has ended: nobody need be told any longer that it takes too long."""
        if self.journal.late:
            resolve_notice(session, f"deadline:{self.operation.id}")

    def _set(self, session: Session, **values: Any) -> None:
        mine = sa.update(OPERATIONS).where(OPERATIONS.c.seq == self.operation.seq)
        session.execute(mine.values(**values))
        for name, value in values.items():
            setattr(self.operation, name, value)

    def _tell(self, session: Session, what: str, **data: Any) -> None:
        if self.operation.quiet and what not in (State.STUCK, State.FAILED):
            return
        announce(session, self.operation, what, **data)


def announce(session: Session, operation: Operation, what: str, **data: Any) -> None:
    """Emit ``operation.<what>`` about an operation."""
    subject = Subject("operation", operation.id, operation.subject_name)
    body = {
        "id": operation.id, "kind": operation.kind, "title": operation.title,
        "subject": {"kind": operation.subject_kind, "id": operation.subject_id, "name": operation.subject_name},
        **data,
    }  # fmt: skip
    emit(
        session,
        f"operation.{what}",
        subject=subject,
        project_id=operation.project_id,
        data=body,
        operation_id=operation.id,
    )


def _patience(error: YunError) -> int:
    """How often an undo is tried."""
    if isinstance(error, DriverError) and error.retryable:
        return max(UNDO_TRIES, error.tries)
    return UNDO_TRIES


def _title(operation: Operation) -> Any:
    return Message.from_json(operation.title)


def undo_row(op: Op, journal: Journal, row: OperationStep) -> None:
    """Take one recorded step back; done once recorded as ``undone``. Raises what the undo raises."""
    step = REGISTRY.steps.get(row.name)
    if step is None:
        raise DriverError(_("This version does not know the step {name}.", name=row.name))
    undo, output = step.undo, unwrap(row.output)
    values = {"state": "undone", "ended_at": datetime.now(UTC)}
    if undo is not None and step.transactional:
        take_back = undo

        def write() -> None:
            with journal.fenced() as session:
                known = session.scalar(sa.select(OperationStep.state).where(OperationStep.id == row.id))
                if known == "undone":
                    return
                take_back(op, session, output, *row.arguments)
                session.execute(sa.update(OperationStep).where(OperationStep.id == row.id).values(**values))

        persistent(write)
        row.state = "undone"
        return
    if undo is not None:
        try:
            undo(op, output, *row.arguments)
        except DriverError as error:
            error.tries = max(error.tries, step.retries)
            raise
    journal.mark(row, **values)


def forget(session: Session, seq: int) -> None:
    """Remove an operation that left no trace worth keeping."""
    for table in (OperationStep, OperationSubject, OperationKey):
        session.execute(sa.delete(table).where(table.seq == seq))
    session.execute(sa.delete(Operation).where(Operation.seq == seq))
