"""Steps of snapshots that are pure database work, and the one that removes what a purged one kept."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import SYSTEM, Context
from yun.compute.model import Instance
from yun.operations.events import emit
from yun.operations.flow import Op, step, tx_step
from yun.operations.service import close_undo, submit
from yun.snapshots.model import Present, Snapshot, SnapshotDisk, State
from yun.snapshots.service.create import name_taken, subject_of
from yun.snapshots.service.look import sizes_of, taken
from yun.snapshots.service.remove import purge_intent
from yun.snapshots.steps.capture import discard_firmware, grow_from, let_go
from yun.storage.model import Pool, TrashItem
from yun.storage.service import kept_until
from yun.storage.steps.layers import collect


def _edit_back(op: Op, session: Session, output: Any, snapshot_id: str, values: dict[str, Any]) -> None:
    edit.call(op, session, snapshot_id, output)


@tx_step(undo=_edit_back)
def edit(op: Op, session: Session, snapshot_id: str, values: dict[str, Any]) -> dict[str, Any]:
    """Name or note are these; the old ones are the output."""
    row = session.get_one(Snapshot, snapshot_id)
    if "name" in values and taken(session, row.instance_id, values["name"], besides=row.id):
        raise name_taken(values["name"])
    old = {name: getattr(row, name) for name in values}
    for name, value in values.items():
        setattr(row, name, value)
    emit(
        session, "snapshot.updated", subject=subject_of(row), project_id=row.project_id, operation_id=op.id,
        data={"fields": sorted(values)},
    )  # fmt: skip
    return old


def _untrash(op: Op, session: Session, output: Any, snapshot_id: str, trash_id: str, purge_at: str) -> None:
    item, row = session.get(TrashItem, trash_id), session.get(Snapshot, snapshot_id)
    if item is not None:
        session.delete(item)
    if row is not None and row.state == State.TRASHED:
        row.state = State.AVAILABLE
        emit(session, "snapshot.returned", subject=subject_of(row), project_id=row.project_id, operation_id=op.id)


@tx_step(undo=_untrash)
def trash(op: Op, session: Session, snapshot_id: str, trash_id: str, purge_at: str) -> None:
    """The snapshot lies in the trash until ``purge_at``, with all that it keeps. Undo takes it out."""
    row = session.get_one(Snapshot, snapshot_id)
    own, _shared = sizes_of(session, [row])[row.id]
    row.state = State.TRASHED
    session.add(
        TrashItem(
            id=trash_id, kind="snapshot", subject_id=row.id, project_id=row.project_id, name=row.name, bytes=own,
            trashed_at=op.clock.now(), operation_id=op.id,
            purge_at=max(datetime.fromisoformat(purge_at), kept_until(op.clock.now(), op.settings)),
        )
    )  # fmt: skip
    emit(session, "snapshot.deleted", subject=subject_of(row), project_id=row.project_id, operation_id=op.id)


@tx_step()
def begin_purge(op: Op, session: Session, snapshot_id: str, anyhow: bool = False) -> dict[str, str] | None:
    """From now on nothing that touched the snapshot can be undone. Where what it keeps lies; None for one that is gone
    or, unless it goes ``anyhow``, was brought back meanwhile while its instance still is there."""
    row = session.get(Snapshot, snapshot_id)
    if row is None:
        return None
    if not anyhow and row.state != State.TRASHED and session.get(Instance, row.instance_id) is not None:
        return None
    close_undo(session, "snapshot", snapshot_id)
    host_id = session.scalar(sa.select(Pool.host_id).where(Pool.path == row.pool_path))
    return {"host_id": host_id or "", "pool": row.pool_path, "memory": row.memory_path}


@step(retries=20)
def remove_kept(op: Op, snapshot_id: str, where: dict[str, str]) -> None:
    """Memory and what firmware and TPM kept are gone."""
    if not where["host_id"]:
        return
    if where["memory"]:
        op.drivers.on(where["host_id"]).hypervisor.discard_memory(where["memory"])
    discard_firmware(op, snapshot_id, where["pool"], where["host_id"])


@step(retries=20)
def forget(op: Op, snapshot_id: str) -> int:
    """The rows are gone; nodes that grew from it grow from the one above; frozen files that nothing needs are gone."""
    with op.write() as session:
        row = session.get(Snapshot, snapshot_id)
        layers = let_go(session, snapshot_id)
        if row is not None:
            layers += list(session.scalars(
                sa.select(SnapshotDisk.layer_id).where(SnapshotDisk.snapshot_id == snapshot_id)
            ))  # fmt: skip
            mine = sa.update(Snapshot).where(Snapshot.parent_id == snapshot_id)
            session.execute(mine.values(parent_id=row.parent_id), execution_options={"synchronize_session": False})
            if session.scalar(sa.select(Present.instance_id).where(Present.snapshot_id == snapshot_id)):
                grow_from(session, row.instance_id, row.parent_id)
            session.execute(sa.delete(SnapshotDisk).where(SnapshotDisk.snapshot_id == snapshot_id))
            session.execute(
                sa.delete(TrashItem).where(TrashItem.kind == "snapshot", TrashItem.subject_id == snapshot_id)
            )
            emit(session, "snapshot.purged", subject=subject_of(row), project_id=row.project_id, operation_id=op.id)
            session.delete(row)
    return sum(collect(op, layer_id) for layer_id in dict.fromkeys(layers))


@step(retries=0)
def purge_orphans(op: Op) -> int:
    """Order the purge of snapshots whose instance has been purged; how many."""
    with op.write() as session:
        there = sa.select(Instance.id).where(Instance.id == Snapshot.instance_id).exists()
        rows = list(session.scalars(sa.select(Snapshot).where(~there, Snapshot.state != State.BUILDING).limit(100)))
        ctx = Context(SYSTEM, session, op.settings, clock=op.clock)
        for row in rows:
            submit(ctx, purge_intent(row))
        gone = sa.select(Instance.id).where(Instance.id == Present.instance_id).exists()
        session.execute(sa.delete(Present).where(~gone), execution_options={"synchronize_session": False})
    return len(rows)
