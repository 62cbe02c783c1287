"""Freezing a head: the file that a volume writes to becomes a layer where it lies, and a new head stands on it.

No byte is copied or read, so it takes no longer for a large disk. In this order, so that a death in between leaves
either the old state or one that `finish` completes: the new file is laid, the machine (if it runs) writes to it, the
old file is protected, the rows follow in one transaction. The parts are functions: who freezes makes a step of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from yun.drivers.volume.port import FileFacts, VolumeStore
from yun.operations.events import emit
from yun.operations.flow import Op
from yun.operations.intent import Subject
from yun.storage.model import Layer, Pool, Volume
from yun.storage.service.volumes import head_of
from yun.storage.steps.shared import refuse_frozen, store_of


@dataclass(frozen=True)
class Freeze:
    """What was chosen at submit: the volume, where its new head will lie, the id of the layer its old one becomes."""

    volume_id: str
    path: str
    layer_id: str


@dataclass(frozen=True)
class _Found:
    pool: Pool
    now: str
    format: str
    size: int
    done: bool


def lay(op: Op, freeze: Freeze) -> str:
    """The new head's file is there, on the file that the volume has now; nothing is written to it yet. The path of the
    file that it stands on. Raises `NoCapacity` where the disk is full, and nothing is changed then."""
    found = _look(op, freeze)
    if found.done:
        return _base(op, freeze.layer_id)
    store = store_of(op, found.pool)
    facts = _facts(store, found)
    store.create_head(
        freeze.path, size=max(found.size, facts.virtual_bytes), backing=found.now, backing_format=found.format,
        live=True,
    )  # fmt: skip
    return found.now


def laid(op: Op, freeze: Freeze) -> bool:
    """Whether the new head's file is there."""
    found = _look(op, freeze)
    return found.done or store_of(op, found.pool).glance(freeze.path).exists


def needless(op: Op, freezes: Sequence[Freeze]) -> dict[str, str]:
    """The layers that have all of a volume already, by volume: nothing was written to its head since it was made, and
    it is as large, so whoever wants the volume as it is now can stand on what the head stands on. Precondition: nothing
    writes to them. One that an earlier try has begun to freeze is not among them."""
    found: dict[str, str] = {}
    for freeze in freezes:
        with op.read() as session:
            head, pool = head_of(session, freeze.volume_id), session.get_one(Volume, freeze.volume_id).pool_id
            below = session.get(Layer, head.layer_id) if head.layer_id else None
            store = store_of(op, session.get_one(Pool, pool))
        if below is None or head.adopted or head.path == freeze.path or store.glance(freeze.path).exists:
            continue
        if store.glance(head.path).virtual_bytes == below.virtual_bytes and store.unwritten(head.path):
            found[freeze.volume_id] = below.id
    return found


def finish(op: Op, freezes: Sequence[Freeze]) -> None:
    """The old files are read-only layers, and the rows say that the volumes stand on them. Precondition: nothing
    writes to them any more, and the new files are laid. Needs no room; repeating it changes nothing."""
    facts: dict[str, FileFacts] = {}
    for freeze in freezes:
        found = _look(op, freeze)
        if not found.done:
            store = store_of(op, found.pool)
            store.protect(found.now)
            facts[freeze.volume_id] = _facts(store, found)
    with op.write() as session:
        for freeze in freezes:
            if freeze.volume_id in facts:
                _write(op, session, freeze, facts[freeze.volume_id])


def take_away(op: Op, freeze: Freeze) -> None:
    """A new head's file that nothing uses is gone. Precondition: no machine has it open."""
    found = _look(op, freeze)
    if not found.done:
        store_of(op, found.pool).delete(freeze.path)


def _look(op: Op, freeze: Freeze) -> _Found:
    with op.read() as session:
        volume = session.get_one(Volume, freeze.volume_id)
        head = head_of(session, freeze.volume_id)
        done = head.path == freeze.path
        if not done:
            refuse_frozen(session, head.path)
        return _Found(session.get_one(Pool, volume.pool_id), head.path, head.format, volume.size_bytes, done)


def _facts(store: VolumeStore, found: _Found) -> FileFacts:
    """What the head is. Its header tells, which costs nothing, unless it is of a kind that only the tool can read; a
    raw one has none, whatever its guest wrote there."""
    seen = store.glance(found.now, found.format)
    return seen if seen.virtual_bytes or not seen.exists else store.inspect(found.now, found.format)


def _base(op: Op, layer_id: str) -> str:
    with op.read() as session:
        return session.get_one(Layer, layer_id).path


def _write(op: Op, session: Session, freeze: Freeze, facts: FileFacts) -> None:
    volume, head = session.get_one(Volume, freeze.volume_id), head_of(session, freeze.volume_id)
    if head.path == freeze.path:
        return
    old, under = head.path, head.layer_id
    session.add(
        Layer(
            id=freeze.layer_id, pool_id=volume.pool_id, parent_id=under, digest=freeze.layer_id, path=old,
            format=head.format, virtual_bytes=facts.virtual_bytes, file_bytes=facts.file_bytes, length=facts.length,
            mtime_ns=facts.mtime_ns,
        )
    )  # fmt: skip
    session.flush()
    head.path, head.layer_id, head.format = freeze.path, freeze.layer_id, "qcow2"
    session.flush()
    emit(
        session, "layer.added", subject=Subject("layer", freeze.layer_id, freeze.layer_id), operation_id=op.id,
        data={"volume_id": volume.id},
    )  # fmt: skip


def as_freezes(given: Sequence[dict[str, Any]]) -> list[Freeze]:
    """Freezes from an operation's arguments."""
    return [Freeze(**each) for each in given]
