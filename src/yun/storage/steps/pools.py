"""Steps of pools: make, remove, and look at their space."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from yun.base.errors import Conflict, DriverError
from yun.base.messages import _
from yun.base.units import GIB, format_size
from yun.drivers.volume.port import PoolFacts
from yun.operations.events import emit, raise_notice, resolve_notice
from yun.operations.flow import Op, step, tx_step
from yun.storage.model import Pool, PoolState
from yun.storage.service.pools import refuse_full, refuse_taken, subject_of

FIELDS = ("id", "host_id", "name", "path", "state", "is_default", "overcommit", "reserve_bytes")


@step()
def make_pool(op: Op, pool_id: str, host_id: str, name: str, path: str) -> str:
    """The pool's directories are there and its row, with its space as found. Raises `Invalid` for a directory that
    the hypervisor cannot reach or that holds something else."""
    store = op.drivers.on(host_id).volume
    store.prepare_pool(path)
    facts = store.pool_facts(path)
    with op.write() as session:
        write_pool(op, session, {"id": pool_id, "host_id": host_id, "name": name, "path": path}, facts)
    return pool_id


def write_pool(op: Op, session: Session, values: dict[str, Any], facts: PoolFacts) -> None:
    """The pool's row is there; the first pool is the default. Raises `Conflict` for a name or place that is taken."""
    if session.get(Pool, values["id"]) is not None:
        return
    refuse_taken(session, values["host_id"], values["name"], values["path"])
    first = session.scalar(sa.select(sa.func.count()).select_from(Pool)) == 0
    pool = Pool(
        **{"is_default": first, "reserve_bytes": min(GIB, facts.capacity_bytes // 50), **values},
        capacity_bytes=facts.capacity_bytes, free_bytes=facts.free_bytes, used_bytes=facts.used_bytes,
    )  # fmt: skip
    session.add(pool)
    session.flush()
    emit(session, "pool.created", subject=subject_of(pool), operation_id=op.id, data={"path": pool.path})


def _remember_pool(op: Op, session: Session, output: Any, pool_id: str) -> None:
    if output and session.get(Pool, pool_id) is None:
        refuse_taken(session, output["host_id"], output["name"], output["path"])
        pool = Pool(**output)
        session.add(pool)
        session.flush()
        emit(session, "pool.created", subject=subject_of(pool), operation_id=op.id, data={"path": pool.path})


@tx_step(undo=_remember_pool)
def forget_pool(op: Op, session: Session, pool_id: str) -> dict[str, Any]:
    """The pool's row is gone; what it was. Raises `Conflict` for one that is not empty, also of what belongs to rooms
    above (images on their way, uploads, copies): the database itself is asked."""
    pool = session.get_one(Pool, pool_id, with_for_update=True)
    refuse_full(session, pool)
    was = {name: getattr(pool, name) for name in FIELDS}
    subject = subject_of(pool)
    try:
        with session.begin_nested():
            session.delete(pool)
            session.flush()
    except IntegrityError as error:
        raise Conflict(
            _("The pool {pool} still holds images, uploads or copies for a download.", pool=was["name"]),
            hint=_("Purge the images that lie in it; drop its uploads or wait until they and the copies have expired."),
        ) from error
    emit(session, "pool.deleted", subject=subject, operation_id=op.id, data={"path": was["path"]})
    return was


def _make_directories(op: Op, output: Any, host_id: str, path: str, name: str = "") -> None:
    with op.read() as session:
        refuse_taken(session, host_id, name, path)
    op.drivers.on(host_id).volume.prepare_pool(path)


@step(undo=_make_directories)
def remove_directories(op: Op, host_id: str, path: str, name: str = "") -> None:
    """The pool's empty directories are gone; a directory with anybody's file in it stays. Undo makes them again, and
    raises `Conflict` where another pool has the name or the directory by now."""
    op.drivers.on(host_id).volume.remove_pool(path)


def _change_back(op: Op, session: Session, output: Any, pool_id: str, changes: dict[str, Any]) -> None:
    pool = session.get(Pool, pool_id)
    if pool is not None and output:
        _set(session, pool, output["was"])
        if (before := session.get(Pool, output["default"])) is not None:
            _set(session, before, {"is_default": True})


@tx_step(undo=_change_back)
def change_pool(op: Op, session: Session, pool_id: str, changes: dict[str, Any]) -> dict[str, Any]:
    """Limits are as in ``changes``; exactly one pool is the default. What they were."""
    pool = session.get_one(Pool, pool_id)
    default = session.scalar(sa.select(Pool.id).where(Pool.is_default)) or pool_id
    was = {name: getattr(pool, name) for name in changes}
    _set(session, pool, changes)
    emit(session, "pool.changed", subject=subject_of(pool), operation_id=op.id, data={"fields": sorted(changes)})
    return {"was": was, "default": default}


def _set(session: Session, pool: Pool, values: dict[str, Any]) -> None:
    if values.get("is_default"):
        for other in session.scalars(sa.select(Pool).where(Pool.is_default, Pool.id != pool.id)):
            other.is_default = False
    for name, value in values.items():
        setattr(pool, name, value)
    session.flush()


# ── looking ──


@step(retries=0)
def tend_pools(op: Op) -> list[str] | None:
    """Every pool's space and state are as found; names of pools whose state changed."""
    with op.read() as session:
        pools = list(session.scalars(sa.select(Pool)))
    return [pool.name for pool in pools if _look(op, pool)] or None


def _look(op: Op, pool: Pool) -> bool:
    try:
        facts = op.drivers.on(pool.host_id).volume.pool_facts(pool.path)
    except DriverError as error:
        return _write_state(op, pool.id, PoolState.UNREACHABLE, error)
    with op.write() as session:
        # A statement, so that the revision (the ETag) does not move every few seconds.
        session.execute(
            sa.update(Pool)
            .where(Pool.id == pool.id)
            .values(
                capacity_bytes=facts.capacity_bytes, free_bytes=facts.free_bytes, used_bytes=facts.used_bytes,
                updated_at=Pool.updated_at,
            ),
            execution_options={"synchronize_session": False},
        )  # fmt: skip
        _note_space(session, pool, facts)
    return _write_state(op, pool.id, PoolState.ACTIVE, None)


def _note_space(session: Session, pool: Pool, facts: PoolFacts) -> None:
    key = f"pool-full:{pool.id}"
    if facts.free_bytes >= max(pool.reserve_bytes, facts.capacity_bytes // 50):
        resolve_notice(session, key)
        return
    raise_notice(
        session, key, subject=subject_of(pool),
        message=_("The disk of the pool {pool} is nearly full: {free} are free.", pool=pool.name,
                  free=format_size(facts.free_bytes)),
        hint=_("Empty the trash, delete what is not needed, or enlarge the file system of the pool."),
    )  # fmt: skip


def _write_state(op: Op, pool_id: str, state: PoolState, error: DriverError | None) -> bool:
    with op.write() as session:
        pool = session.get(Pool, pool_id)
        if pool is None:
            return False
        if error is None:
            resolve_notice(session, f"pool:{pool_id}")
        else:
            raise_notice(
                session, f"pool:{pool_id}", subject=subject_of(pool), level="error",
                message=_("The pool {pool} does not answer: {reason}", pool=pool.name, reason=error.message),
                hint=_("Check that its file system is mounted."),
            )  # fmt: skip
        if pool.state == state:
            return False
        pool.state = state
        emit(session, "pool.changed", subject=subject_of(pool), operation_id=op.id, data={"state": state})
    return True
