"""The journal of one claimed operation: what was begun, done and taken back, every write behind the fence."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.db import Database, DatabaseAway, translated
from yun.base.errors import DriverError, YunError
from yun.base.log import logger
from yun.base.messages import Message
from yun.operations.events import emit
from yun.operations.flow import FINAL, Fenced, Later, Op, Step, plain
from yun.operations.intent import Subject
from yun.operations.model import Operation, OperationStep

log = logger(__name__)
PROGRESS_SECONDS = 0.5
STEPS = cast(sa.Table, OperationStep.__table__)
OPERATIONS = cast(sa.Table, Operation.__table__)
FENCE = (
    sa.select(OPERATIONS.c.fence, OPERATIONS.c.deadline_missed)
    .where(OPERATIONS.c.seq == sa.bindparam("operation_seq"))
    .with_for_update()
)
CHANGE = sa.update(STEPS).where(STEPS.c.id == sa.bindparam("step_id"))
BEGIN = sa.insert(STEPS)
KNOWN = sa.select(STEPS.c.position, STEPS.c.id).where(
    STEPS.c.seq == sa.bindparam("operation_seq"), STEPS.c.position.between(sa.bindparam("first"), sa.bindparam("last"))
)
CANCEL_SECONDS = 0.2
DATABASE_TRIES = 20
"""How often a step in whose middle the database went away is tried again, with growing pauses: some ten minutes."""


class Backoff(Later):
    """The operation should be tried again in ``seconds``."""

    def __init__(self, seconds: float, cause: Exception) -> None:
        super().__init__(str(cause))
        self.seconds = seconds
        self.cause = cause


class JournalMismatchError(Exception):
    """The recipe no longer walks the steps that were recorded: a bug that an operator must see."""


def pause(attempt: int) -> float:
    """Seconds before try number ``attempt`` + 1: 0.25 s doubling up to 30 s."""
    return float(min(0.25 * 2.0**attempt, 30.0))


def _tries(step: Step, error: DriverError | DatabaseAway) -> int:
    """How often a step that ended so is tried again."""
    if isinstance(error, DatabaseAway):
        return DATABASE_TRIES
    return max(step.retries, error.tries) if error.retryable else 0


def persistent(call: Any, *, seconds: float = 60.0) -> Any:
    """Run a database write again until the database answers: a write that is not known to have happened is never a
    failure of the step. The fence ends it where another process took over meanwhile."""
    end, wait = time.monotonic() + seconds, 0.05
    while True:
        try:
            return call()
        except DatabaseAway:
            if time.monotonic() > end:
                raise Fenced("the database stayed away") from None
            time.sleep(wait)
            wait = min(wait * 2, 2.0)


class _Again:
    """A write that is told whether it was tried before, so that only then it looks for what it may have written."""

    def __init__(self, write: Callable[[bool], Any]) -> None:
        self._write, self._tried = write, False

    def __call__(self) -> Any:
        tried, self._tried = self._tried, True
        return self._write(tried)


class Journal:
    """Rows of one operation, for the process that holds fence number ``fence``."""

    def __init__(self, database: Database, operation: Operation) -> None:
        self.database = database
        self.operation = operation
        self.seq = operation.seq
        self.fence = operation.fence
        self.cancel_known = operation.cancel_requested
        self._asked = time.monotonic()  # the claim has just told whether somebody asked
        self._shown = 0.0
        self.late = False
        """Whether its deadline was missed when it was last written to."""
        self.rows: dict[int, OperationStep] = {}
        self._unwritten: list[tuple[int, dict[str, Any]]] = []
        self._announced: set[int] = set()

    def load(self) -> None:
        """Read what earlier claims recorded."""
        query = sa.select(OperationStep).where(OperationStep.seq == self.seq)
        with self.database.read() as session:
            self.rows = {row.position: row for row in session.scalars(query)}

    @contextmanager
    def fenced(self) -> Iterator[Session]:
        """A writing transaction that holds the operation's row and proves the fence. Raises `Fenced`."""
        with self.database.write() as session:
            self._prove(session)
            yield session
        self._kept()

    @contextmanager
    def quick(self) -> Iterator[sa.Connection]:
        """`fenced` without the object mapper, for the journal's own rows: a step costs two of these."""
        with translated(), self.database.writer.begin() as connection:
            self._prove(connection)
            yield connection
        self._kept()

    def _prove(self, place: Session | sa.Connection) -> None:
        """Hold the operation's row and prove the fence, and write with it what was done since the last write."""
        found = place.execute(FENCE, {"operation_seq": self.seq}).one_or_none()
        if found is None or found[0] != self.fence:
            raise Fenced(self.operation.id)
        self.late = bool(found[1])
        for step_id, values in self._unwritten:
            place.execute(CHANGE.values(**values), {"step_id": step_id})

    def _kept(self) -> None:
        """What was done is written."""
        self._unwritten = []

    def flush(self) -> None:
        """What was done is in the journal, as far as the database answers now."""
        if self._unwritten:
            with suppress(DatabaseAway):
                self._write()

    def _write(self) -> None:
        with self.quick():
            pass

    @property
    def final(self) -> bool:
        """Whether the point of no return is behind it."""
        rows = tuple(self.rows.values())  # at once: other threads may walk steps of the same operation
        return any(row.name == FINAL and row.state == "done" for row in rows)

    def walk(self, op: Op, position: int, step: Step, args: list[Any], *, alone: bool = True) -> Any:
        """The step's output: recorded, or made now.

        That it is done is written with what the operation writes next, before another step acts: of a step that is
        the last one, with the operation's end. Where it is not ``alone``, at once.
        """
        row = self.rows.get(position)
        if row is not None and row.name != step.name:
            raise JournalMismatchError(f"{self.operation.kind} step {position} was {row.name}, is {step.name}")
        if row is not None and row.state == "done":
            return unwrap(row.output)
        if step.transactional:
            return persistent(_Again(lambda again: self._transact(op, position, step, args, again or row is not None)))
        if row is None and not step.brief:
            row = persistent(_Again(lambda again: self._begin([(position, step, args)], again)))[0]
        elif self._unwritten:
            persistent(self._write)
        times = {"begun_at": datetime.now(UTC)} if position in self._announced or row is None else {}
        self._announced.discard(position)
        try:
            output = step.call(op, *(row.arguments if row is not None else args))
        except (DriverError, DatabaseAway) as error:
            if row is None:
                row = persistent(_Again(lambda again: self._begin([(position, step, args)], again)))[0]
            self._tried(row, error)
            if row.attempts <= _tries(step, error):
                raise Backoff(pause(row.attempts), error) from error
            raise
        if row is None:
            done = {"output": wrap(output), "state": "done", "ended_at": datetime.now(UTC), **times}
            call = [(position, step, args)]
            return unwrap(persistent(_Again(lambda again: self._begin(call, again, **done)))[0].output)
        self._done(row, output, alone=alone, **times)
        return unwrap(row.output)

    def begin_all(self, first: int, calls: Sequence[tuple[Step, list[Any]]]) -> None:
        """Record in one commit that the steps at ``first`` and the next places may have begun, as far as that is not
        known: each by itself would wait for the others at the disk."""
        places = [(first + n, made, args) for n, (made, args) in enumerate(calls)]
        if self._unwritten:
            persistent(self._write)
        if fresh := [each for each in places if each[0] not in self.rows and not each[1].transactional]:
            persistent(_Again(lambda again: self._begin(fresh, again)))
            self._announced |= {position for position, _step, _args in fresh}  # done, each says when it really began

    def _begin(self, calls: Sequence[tuple[int, Step, list[Any]]], again: bool, **more: Any) -> list[OperationStep]:
        """Rows of the steps, as begun; ``more`` are other values of theirs. One that is there already, by an earlier
        try whose end nobody knows (``again``), stays."""
        rows = []
        with self.quick() as connection:
            places = {"operation_seq": self.seq, "first": calls[0][0], "last": calls[-1][0]}
            known = {row.position: row.id for row in connection.execute(KNOWN, places)} if again else {}
            for position, step, args in calls:
                values = {"seq": self.seq, "position": position, "name": step.name, "arguments": args, "state": "begun"}
                values |= more
                row = OperationStep(**values, attempts=0, undo_attempts=0)
                if position in known:
                    row.id = known[position]
                else:
                    made = connection.execute(BEGIN, values)
                    row.id = (made.inserted_primary_key or (0,))[0]
                rows.append(row)
        self.rows |= {row.position: row for row in rows}
        return rows

    def _at(self, position: int) -> sa.Select[OperationStep]:
        return sa.select(OperationStep).where(OperationStep.seq == self.seq, OperationStep.position == position)

    def _done(self, row: OperationStep, output: Any, *, alone: bool, **times: datetime) -> None:
        values = {"output": wrap(output), "state": "done", "ended_at": datetime.now(UTC), "error": None, **times}
        if not alone:
            persistent(lambda: self._change(row, **values))
            return
        for name, value in values.items():
            setattr(row, name, value)
        self._unwritten.append((row.id, values))

    def _change(self, row: OperationStep, **values: Any) -> None:
        for name, value in values.items():
            setattr(row, name, value)
        with self.quick() as connection:
            connection.execute(CHANGE.values(**values), {"step_id": row.id})

    def _transact(self, op: Op, position: int, step: Step, args: list[Any], again: bool) -> Any:
        with self.fenced() as session:
            row = session.scalars(self._at(position)).one_or_none() if again else None
            if row is None:
                values = {
                    "seq": self.seq, "position": position, "name": step.name, "arguments": args, "state": "done",
                    "output": wrap(step.call(op, session, *args)), "ended_at": datetime.now(UTC),
                }  # fmt: skip
                session.flush()
                made = session.connection().execute(BEGIN, values)
                row = OperationStep(**values, attempts=0, undo_attempts=0)
                row.id = (made.inserted_primary_key or (0,))[0]
        self.rows[position] = row
        return unwrap(row.output)

    def _tried(self, row: OperationStep, error: YunError) -> None:
        row.attempts += 1
        log.info("step %s of %s, try %s: %s", row.name, self.operation.id, row.attempts, error)

        persistent(lambda: self._change(row, attempts=row.attempts, error=error.to_json()))

    def mark(self, row: OperationStep, **values: Any) -> None:
        """Change a step's row."""
        persistent(lambda: self._change(row, **values))

    def progress(self, fraction: float, text: Message | None) -> None:
        """Write the progress, at most twice a second; a database that is away just misses one."""
        now = time.monotonic()
        if now - self._shown < PROGRESS_SECONDS and fraction < 1:
            return
        self._shown = now
        values = {"progress": fraction, "progress_text": text.to_json() if text else None}
        data = {"id": self.operation.id, **values}
        try:
            with self.fenced() as session:
                session.execute(sa.update(Operation).where(Operation.seq == self.seq).values(**values))
                subject = Subject("operation", self.operation.id, self.operation.subject_name)
                emit(session, "operation.progress", subject=subject, project_id=self.operation.project_id, data=data)
        except DatabaseAway as error:
            log.warning("progress of %s not written: %s", self.operation.id, error)

    def cancel_requested(self) -> bool:
        """Whether somebody asked to stop; asks the database at most five times a second."""
        now = time.monotonic()
        if not self.cancel_known and now - self._asked >= CANCEL_SECONDS:
            self._asked = now
            try:
                with self.database.read() as session:
                    query = sa.select(Operation.cancel_requested, Operation.fence).where(Operation.seq == self.seq)
                    found = session.execute(query).one_or_none()
            except DatabaseAway:
                return False
            if found is None or found[1] != self.fence:
                raise Fenced(self.operation.id)
            self.cancel_known = found[0]
        return self.cancel_known


def wrap(value: Any) -> dict[str, Any]:
    """An output as a JSON object (outputs may be any JSON value)."""
    return {"value": plain(value)}


def unwrap(value: dict[str, Any] | None) -> Any:
    """The output that `wrap` stored, None for none."""
    return (value or {}).get("value")


__all__ = ["Backoff", "Journal", "JournalMismatchError", "pause", "persistent", "unwrap"]
