"""Steps of volumes: make, trash, purge."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import SYSTEM, Context
from yun.base.errors import Conflict
from yun.base.messages import _
from yun.operations.events import emit, resolve_notice
from yun.operations.flow import Op, step, tx_step
from yun.operations.service import close_undo, submit
from yun.storage.model import Attachment, Head, HeadState, Layer, TrashItem, Volume, VolumeState
from yun.storage.service import due, kept_until, purge_intent
from yun.storage.service.volumes import refuse_attached, subject_of
from yun.storage.steps.clock import watch_clock
from yun.storage.steps.layers import collect
from yun.storage.steps.shared import pool_of, refuse_base, refuse_frozen, store_of, told_format


def _forget_volume(op: Op, session: Session, output: Any, volume_id: str) -> None:
    """Its rows are gone, unless a file was made for them: then that step's own undo has taken them already."""
    session.execute(sa.delete(Head).where(Head.volume_id == volume_id))
    session.execute(sa.delete(Volume).where(Volume.id == volume_id))


@tx_step(undo=_forget_volume)
def begin_volume(op: Op, session: Session, volume_id: str) -> None:
    """The rows that came with the operation are there; taken back, also by a cancel while it waits, they are gone."""
    session.get_one(Volume, volume_id)


def unmake_volume(op: Op, output: Any, volume_id: str) -> None:
    """Neither file nor rows of the volume are left."""
    erase(op, volume_id, "volume.purged" if op.undoing == "success" else "volume.given_up")


@step(undo=unmake_volume)
def make_volume(op: Op, volume_id: str) -> str:
    """The volume's head is on the disk, empty or on its layer, and the volume is available; the head's path.

    Its rows were written with the operation (`VolumePlan.write`). Undo removes file and rows.
    """
    with op.read() as session:
        volume = session.get_one(Volume, volume_id)
        head = session.scalars(sa.select(Head).where(Head.volume_id == volume_id)).one()
        base = session.get_one(Layer, head.layer_id) if head.layer_id else None
        refuse_frozen(session, head.path)
        pool, path, size = pool_of(session, volume), head.path, volume.size_bytes
    store_of(op, pool).create_head(
        path, size=size, backing=base.path if base else None, backing_format=base.format if base else "qcow2",
        format="raw" if head.format == "raw" else "qcow2",
    )  # fmt: skip
    with op.write() as session:
        volume = session.get_one(Volume, volume_id)
        if volume.state == VolumeState.BUILDING:
            volume.state = VolumeState.AVAILABLE
            emit(
                session, "volume.created", subject=subject_of(volume), project_id=volume.project_id,
                operation_id=op.id, data={"size_bytes": volume.size_bytes, "pool_id": volume.pool_id},
            )  # fmt: skip
    return path


def _untrash(op: Op, session: Session, output: Any, volume_id: str, trash_id: str, purge_at: str) -> None:
    volume = session.get(Volume, volume_id)
    item = session.get(TrashItem, trash_id)
    if item is not None:
        session.delete(item)
    if volume is None or volume.state != VolumeState.TRASHED:
        return
    volume.state = str((output or {}).get("was", VolumeState.AVAILABLE))
    session.execute(sa.update(Head).where(Head.volume_id == volume_id).values(state=HeadState.CURRENT))
    emit(session, "volume.restored", subject=subject_of(volume), project_id=volume.project_id, operation_id=op.id)


@tx_step(undo=_untrash)
def trash_volume(op: Op, session: Session, volume_id: str, trash_id: str, purge_at: str) -> dict[str, str]:
    """The volume lies in the trash until ``purge_at`` (ISO 8601), longer where the deletion had to wait; its file
    stays where it is. Undo takes it out.

    ``trash_id`` is chosen at submit. Raises `Conflict` for an attached volume.
    """
    volume = session.get_one(Volume, volume_id)
    refuse_attached(session, volume)
    was = volume.state
    if was in (VolumeState.TRASHED, VolumeState.BUILDING):
        raise Conflict(
            _("The volume {name} is {state}; this is not possible now.", name=volume.name, state=_(volume.state))
        )
    volume.state = VolumeState.TRASHED
    session.execute(sa.update(Head).where(Head.volume_id == volume_id).values(state=HeadState.TRASHED))
    session.add(
        TrashItem(
            id=trash_id, kind="volume", subject_id=volume.id, project_id=volume.project_id, name=volume.name,
            bytes=volume.size_bytes, trashed_at=op.clock.now(), operation_id=op.id,
            purge_at=max(datetime.fromisoformat(purge_at), kept_until(op.clock.now(), op.settings)),
        )
    )  # fmt: skip
    emit(session, "volume.deleted", subject=subject_of(volume), project_id=volume.project_id, operation_id=op.id)
    return {"was": was}


def grow_file(op: Op, volume_id: str, size_bytes: int) -> None:
    """The file of a volume that no running machine has open has ``size_bytes``. Repeating it changes nothing."""
    with op.read() as session:
        volume = session.get_one(Volume, volume_id)
        head = session.scalars(sa.select(Head).where(Head.volume_id == volume_id)).one()
        refuse_frozen(session, head.path)
        pool = pool_of(session, volume)
    store_of(op, pool).grow(
        head.path, size_bytes, format=told_format(head), adopted=head.format if head.adopted else ""
    )


@tx_step()
def may_purge(op: Op, session: Session, volume_id: str) -> bool:
    """Whether the volume still lies in the trash: it may have been brought back while the purge waited."""
    volume = session.get(Volume, volume_id)
    return volume is not None and volume.state == VolumeState.TRASHED


@step()
def purge_volume(op: Op, volume_id: str) -> bool:
    """Nothing of the volume is left: not its file, not its rows, nor base files that nothing needs any more.

    Whether there was anything. From now on nothing that touched it can be undone. There is no way back.
    """
    with op.write() as session:
        if session.get(Volume, volume_id) is None:
            return False
        close_undo(session, "volume", volume_id)
    erase(op, volume_id, "volume.purged")
    return True


def erase(op: Op, volume_id: str, event: str) -> None:
    """Remove file, rows and the base files that only it needed. Repeating it changes nothing."""
    with op.read() as session:
        volume = session.get(Volume, volume_id)
        if volume is None:
            return
        pool = pool_of(session, volume)
        heads = list(session.scalars(sa.select(Head).where(Head.volume_id == volume_id)))
        for head in heads:
            refuse_base(session, head.path)
    for head in heads:
        store = store_of(op, pool)
        (store.discard if head.adopted else store.delete)(head.path)
    with op.write() as session:
        volume = session.get(Volume, volume_id)
        if volume is None:
            return
        emit(session, event, subject=subject_of(volume), project_id=volume.project_id, operation_id=op.id)
        session.execute(sa.delete(TrashItem).where(TrashItem.kind == "volume", TrashItem.subject_id == volume_id))
        session.execute(sa.delete(Attachment).where(Attachment.volume_id == volume_id))
        session.execute(sa.delete(Head).where(Head.volume_id == volume_id))
        resolve_notice(session, f"volume:{volume_id}")
        session.delete(volume)
    for layer_id in {h.layer_id for h in heads if h.layer_id}:
        collect(op, layer_id)


@step(retries=0)
def purge_due(op: Op) -> int:
    """Order the purge of everything whose time in the trash is over, whatever room it belongs to; how many. Nothing
    while the clock cannot be trusted."""
    with op.write() as session:
        if not watch_clock(session, op.clock):
            return 0
        ctx = Context(SYSTEM, session, op.settings, clock=op.clock)
        items = due(ctx)
        for item in items:
            submit(ctx, purge_intent(item))
    return len(items)
