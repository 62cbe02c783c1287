"""Who may run: locks by position, claims, take-over of a dead process's work.

An operation may run when, for each of its keys, fewer than ``slots`` older open operations name that key. Claims,
submissions and releases are serialized (`serialize`): an advisory lock on PostgreSQL, ``BEGIN IMMEDIATE`` on SQLite.
An operation that was found blocked is not looked at again until one of its keys moves, so a scan is bounded.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from yun.base.db import POSTGRESQL_NOW, SQLITE_NOW, Database, epoch, on_commit, translated
from yun.operations import wakeup
from yun.operations.model import CLAIMABLE, Node, Operation, OperationKey, Periodic, State

ENGINE_LOCK = 0x59554E01
SCAN = 64
ROUNDS = 8
MAX_PAUSE = 60.0


def serialize(session: Session) -> None:
    """Hold the engine's lock until this transaction ends."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(sa.text(f"SELECT pg_advisory_xact_lock({ENGINE_LOCK})"))


def rouse(session: Session) -> None:
    """After the commit, wake the dispatchers of this process and, on PostgreSQL, of all others."""
    on_commit(session, wakeup.wake)
    if session.get_bind().dialect.name == "postgresql":
        session.execute(sa.text(f"NOTIFY {wakeup.CHANNEL}"))


@dataclass(frozen=True)
class Claimant:
    """A process that claims: its node id, what its threads work on now, whether it is alone (SQLite)."""

    node_id: str
    active: Collection[int]
    alone: bool
    timeout: float


def claim(
    session: Session, me: Claimant, limit: int, *, quiet: bool | None = None, ignore_pauses: bool = False
) -> list[Operation]:
    """Take up to ``limit`` runnable operations, oldest first; each gets a new fence number. ``quiet`` takes only quiet
    ones, or only others.

    Effect: their ``node_id`` is ours. Operations of processes that gave no sign of life for ``me.timeout`` seconds
    are taken over. An operation waiting for a retry is due when the database's clock says so (a clock that jumped
    back delays it by no more than the longest pause). One that was cancelled while it waited for its keys is taken
    without them: it does nothing but take back what came with it.
    """
    serialize(session)
    now = epoch(session)
    query, asked = _claimable(me.alone, quiet, ignore_pauses), dict[str, Any](active=list(me.active))
    if not ignore_pauses:
        asked["now"], asked["horizon"] = now, now + MAX_PAUSE
    if not me.alone:
        asked["silent"], asked["node"] = now - me.timeout, me.node_id
    taken: list[Operation] = []
    for _round in range(ROUNDS):
        candidates = list(session.scalars(query, asked))
        blocked = _blocked(session, [o.seq for o in candidates if o.state == State.QUEUED])
        _take(session, candidates, blocked, me, limit, now, taken)
        if taken or len(candidates) < SCAN:
            break
    return taken


def _take(
    session: Session, candidates: list[Operation], blocked: set[int], me: Claimant, limit: int, now: float,
    taken: list[Operation],
) -> None:  # fmt: skip
    for operation in candidates:
        if operation.seq in blocked and not operation.cancel_requested:
            operation.ready = False
        elif len(taken) < limit:
            operation.fence += 1
            operation.node_id = me.node_id
            operation.not_before = 0.0
            if operation.state == State.QUEUED:
                operation.state = State.RUNNING
                operation.started_at = datetime.now(UTC)
                operation.deadline_at = now + operation.deadline_seconds
            taken.append(operation)
    session.flush()


@cache
def _claimable(alone: bool, quiet: bool | None, ignore_pauses: bool) -> sa.Select[Operation]:
    """The oldest operations that may be taken: nobody's, those of silent processes, and our own where no thread of ours
    works on it. Each built once. One that is ``alone`` takes all."""
    query = (
        sa.select(Operation)
        .where(
            Operation.state.in_(CLAIMABLE), Operation.ready.is_(True),
            Operation.seq.not_in(sa.bindparam("active", expanding=True)),
        )
        .order_by(Operation.seq)
        .limit(SCAN)
    )  # fmt: skip
    if not alone:
        living = sa.select(Node.id).where(Node.beat > sa.bindparam("silent"), Node.id != sa.bindparam("node"))
        query = query.where(sa.or_(Operation.node_id.is_(None), Operation.node_id.not_in(living)))
    if not ignore_pauses:
        due = sa.or_(Operation.not_before <= sa.bindparam("now"), Operation.not_before > sa.bindparam("horizon"))
        query = query.where(due)
    return query if quiet is None else query.where(Operation.quiet.is_(quiet))


def _blocked(session: Session, seqs: list[int]) -> set[int]:
    if not seqs:
        return set()
    return set(session.scalars(_BLOCKED, {"seqs": seqs}))


def _query_of_blocked() -> sa.Select[int]:
    older = aliased(OperationKey)
    ahead = (
        sa.select(sa.func.count())
        .where(older.key == OperationKey.key, older.seq < OperationKey.seq)
        .correlate(OperationKey)
        .scalar_subquery()
    )
    asked = OperationKey.seq.in_(sa.bindparam("seqs", expanding=True))
    return sa.select(OperationKey.seq).where(asked, ahead >= OperationKey.slots)


_BLOCKED = _query_of_blocked()


def blockers(session: Session, seq: int) -> set[int]:
    """The operations that hold what one in the queue waits for: those before it at each key whose slots are taken."""
    held: set[int] = set()
    for key, slots in session.execute(sa.select(OperationKey.key, OperationKey.slots).where(OperationKey.seq == seq)):
        ahead = set(session.scalars(sa.select(OperationKey.seq).where(OperationKey.key == key, OperationKey.seq < seq)))
        held |= ahead if len(ahead) >= slots else set()
    return held


def is_first(session: Session, keys: Collection[tuple[str, int]]) -> bool:
    """Whether a new operation with these keys (and slots) could run at once."""
    held = {key: number for key, number in session.execute(_HELD, {"keys": [key for key, _slots in keys]})}  # noqa: C416
    return all(held.get(key, 0) < slots for key, slots in keys)


_HELD = (
    sa.select(OperationKey.key, sa.func.count())
    .where(OperationKey.key.in_(sa.bindparam("keys", expanding=True)))
    .group_by(OperationKey.key)
)


_KEYS = cast(sa.Table, OperationKey.__table__)
_RELEASE = sa.delete(_KEYS).where(_KEYS.c.seq == sa.bindparam("operation_seq"))
_WIDTHS = (
    sa.select(_KEYS.c.key, sa.func.max(_KEYS.c.slots))
    .where(_KEYS.c.key.in_(sa.bindparam("keys", expanding=True)))
    .group_by(_KEYS.c.key)
    .order_by(_KEYS.c.key)
)


def release_keys(session: Session, operation: Operation) -> None:
    """Give the keys back and make whoever stands first behind them worth looking at."""
    serialize(session)
    names = [key for key, _slots in operation.keys]
    session.execute(_RELEASE, {"operation_seq": operation.seq})
    for key, width in session.execute(_WIDTHS, {"keys": names}).all():
        first = sa.select(OperationKey.seq).where(OperationKey.key == key).order_by(OperationKey.seq).limit(width)
        seqs = list(session.scalars(first))
        session.execute(
            sa.update(Operation)
            .where(Operation.seq.in_(seqs), Operation.state == State.QUEUED, Operation.ready.is_(False))
            .values(ready=True)
        )
    rouse(session)


def review(session: Session) -> int:
    """The safety net: make every queued operation worth looking at that is not blocked. Returns how many."""
    serialize(session)
    query = sa.select(Operation.seq).where(Operation.state == State.QUEUED, Operation.ready.is_(False))
    waiting = list(session.scalars(query.limit(1000)))
    free = set(waiting) - _blocked(session, waiting)
    if free:
        session.execute(sa.update(Operation).where(Operation.seq.in_(free)).values(ready=True))
        rouse(session)
    return len(free)


class Glance(NamedTuple):
    """What there is to do: periodic work is due, an operation may be claimed, a queued one is held to be blocked."""

    due: bool
    claimable: bool
    waiting: bool


def _glance(now: sa.ColumnElement[float]) -> sa.Select[bool, bool, bool]:
    rows, ops = Periodic.__table__.c, Operation.__table__.c
    late = sa.or_(rows.next <= now, rows.next > now + rows.every * 2)
    ready = sa.and_(ops.state.in_(CLAIMABLE), ops.ready.is_(True))
    rested = sa.or_(ops.not_before <= now, ops.not_before > now + MAX_PAUSE)
    others = ops.seq.not_in(sa.bindparam("active", expanding=True))
    return sa.select(
        sa.exists().where(rows.kind.in_(sa.bindparam("kinds", expanding=True)), late),
        sa.exists().where(ready, rested, others),
        sa.exists().where(ops.state == State.QUEUED, ops.ready.is_(False)),
    )


GLANCES = {True: _glance(SQLITE_NOW), False: _glance(POSTGRESQL_NOW)}
"""Built once: an engine at rest does little else than asking this."""


def glance(database: Database, active: Collection[int], kinds: Collection[str]) -> Glance:
    """One statement without the write lock: an idle engine asks twice a second and must cost next to nothing.

    ``active`` are the operations that this process runs now, ``kinds`` the periodic work it knows. Work without a
    row yet is not seen here: an engine submits it once when it begins.
    """
    asked = {"active": list(active), "kinds": list(kinds)}
    with translated(), database.engine.connect() as connection:
        return Glance(*map(bool, connection.execute(GLANCES[database.sqlite], asked).one()))
