"""Steps of frozen files: take one in under the name of its content, remove it once nothing needs it.

A layer's row is written before its file appears and removed after its file has gone, so a file without a row is never
ours, and two that bring the same content at once meet in the row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from yun.base.errors import Conflict, DriverError, Invalid
from yun.base.messages import Message, _
from yun.drivers.volume.port import FileFacts, VolumeStore
from yun.operations.events import emit, raise_notice, resolve_notice
from yun.operations.flow import Op, step
from yun.operations.intent import Subject
from yun.storage.model import Head, Layer, LayerHold, LayerState, Pool
from yun.storage.service import hold, layer_is_needed, let_go
from yun.storage.steps.shared import store_of


@dataclass(frozen=True)
class Arrival:
    """A file that is to become a layer: the id to use if it is new, its pool, where it lies, who needs it."""

    layer_id: str
    pool_id: str
    path: str
    holder: str


def subject_of(layer: Layer) -> Subject:
    """The layer as the subject of an event."""
    return Subject("layer", layer.id, layer.digest[:12])


def _unadopt(op: Op, output: Any, layer_id: str, pool_id: str, path: str, holder: str) -> None:
    """The holder lets go; the incoming file is gone; the layer too where nothing else needs it. One that others need
    and whose file was to be mended is missing as before."""
    with op.write() as session:
        pool = session.get(Pool, pool_id)
        held = list(session.scalars(sa.select(LayerHold.layer_id).where(LayerHold.holder == holder)))
        for each in held:
            let_go(session, each, holder)
    # The layer's own id too: a death right after the hold was let go must not leave its row behind.
    for each in {layer_id, *held}:
        collect(op, each)
        _not_mended(op, each)
    if pool is not None:
        store_of(op, pool).delete(path)


def _not_mended(op: Op, layer_id: str) -> None:
    with op.write() as session:
        row = session.get(Layer, layer_id, with_for_update=True)
        if row is None or row.state != LayerState.ADOPTING:
            return
        row.state = LayerState.MISSING
        emit(session, "layer.missing", subject=subject_of(row), operation_id=op.id, data={"digest": row.digest})
        tell_unusable(session, row, _("the attempt to mend it failed"))


def tell_unusable(session: Session, layer: Layer, why: Message) -> None:
    """Raise the notice about a base file that cannot be used."""
    raise_notice(
        session, f"layer:{layer.id}", subject=subject_of(layer), level="error",
        message=_("The base file {digest} is unusable: {reason}", digest=layer.digest[:12], reason=why),
        hint=_("Put {path} back from a copy, or import the same image again: that mends it.", path=layer.path)
        if layer.has_digest
        else _("Put {path} back from a copy that kept its time of modification (cp -p).", path=layer.path),
    )  # fmt: skip


@step(undo=_unadopt)
def adopt_layer(op: Op, layer_id: str, pool_id: str, path: str, holder: str) -> dict[str, Any]:
    """Freeze a finished file of the pool's ``incoming`` into ``layers/<sha256>.qcow2``, held by ``holder``.

    ``layer_id`` is chosen at submit and used where the pool has no file with this content yet; else the newcomer is
    dropped and the known layer held. A known layer's file is read again each time, whatever its row says: one that is
    gone, has another length or whose content has another digest gives way to the newcomer. ``holder`` names who needs
    it, such as ``image:img_…``, and names one adoption only. Returns layer_id, digest, path, format, virtual_bytes,
    file_bytes, fresh. Undo lets go, and the file goes with the last that needs it.
    """
    arrival = Arrival(layer_id, pool_id, path, holder)
    with op.read() as session:
        pool = session.get_one(Pool, pool_id)
        if session.scalar(sa.select(Head.id).where(Head.path == path)) is not None:
            raise Conflict(_("A volume's own file cannot be taken in as a base file."))
        row = session.scalar(
            sa.select(Layer).join(LayerHold, LayerHold.layer_id == Layer.id).where(LayerHold.holder == holder)
        )
    store = store_of(op, pool)
    if row is None:
        row = _claim(op, store, pool, arrival)
    if row.state != LayerState.ACTIVE:
        _bring_in(op, store, row, path)
        row = _settle(op, store, row.id)
    store.delete(path)
    return {
        "layer_id": row.id, "digest": row.digest, "path": row.path, "format": row.format,
        "virtual_bytes": row.virtual_bytes, "file_bytes": row.file_bytes, "fresh": row.id == layer_id,
    }  # fmt: skip


def _claim(op: Op, store: VolumeStore, pool: Pool, arrival: Arrival) -> Layer:
    """The row of the content, held from now on: a new one, or the one that is there."""
    facts = store.inspect(arrival.path)
    if not facts.exists or facts.format != "qcow2":
        raise Invalid(_("Only a finished qcow2 file can become a base file."))
    digest = store.digest(arrival.path, lambda f: op.progress(f, _("Reading the content")))
    into = f"{pool.path}/layers/{digest}.qcow2"
    busy = DriverError(_("The same content is being taken in or removed by another operation."), retryable=True)
    sound = _holds(op, store, into, facts.length, digest)
    try:
        with op.write() as session:
            query = sa.select(Layer).where(Layer.pool_id == pool.id, Layer.digest == digest).with_for_update()
            row = session.scalar(query)
            if row is None:
                row = Layer(
                    id=arrival.layer_id, pool_id=pool.id, digest=digest, path=into, format=facts.format,
                    virtual_bytes=facts.virtual_bytes, file_bytes=facts.file_bytes, length=facts.length,
                    state=LayerState.ADOPTING,
                )  # fmt: skip
                session.add(row)
                session.flush()
            elif row.state in (LayerState.ADOPTING, LayerState.REMOVING):
                raise busy
            elif row.state != LayerState.ACTIVE or not sound:
                row.state = LayerState.ADOPTING
            hold(session, row.id, arrival.holder)
    except IntegrityError as error:
        raise busy from error
    return row


def _bring_in(op: Op, store: VolumeStore, row: Layer, path: str) -> None:
    """The layer's file is at its place and frozen; a spoilt one there gives way to the newcomer."""
    if store.glance(path).exists and not _holds(op, store, row.path, row.length, row.digest):
        store.delete(row.path)
    store.freeze(path, row.path)


def _settle(op: Op, store: VolumeStore, layer_id: str) -> Layer:
    """The row says what is on the disk, and that it is sound."""
    with op.read() as session:
        path = session.get_one(Layer, layer_id).path
    facts = store.inspect(path)
    with op.write() as session:
        row = session.get_one(Layer, layer_id)
        row.state, row.length, row.file_bytes, row.mtime_ns = (
            LayerState.ACTIVE, facts.length, facts.file_bytes, facts.mtime_ns,
        )  # fmt: skip
        resolve_notice(session, f"layer:{row.id}")
        emit(session, "layer.added", subject=subject_of(row), operation_id=op.id, data={"digest": row.digest})
    return row


def _holds(op: Op, store: VolumeStore, path: str, length: int, digest: str) -> bool:
    """Whether a file has exactly this content, found by reading it."""
    there = _seen(store, path)
    if there is None or not there.exists or there.length != length:
        return False
    return store.digest(path, lambda _f: op.check_cancel()) == digest


def _seen(store: VolumeStore, path: str) -> FileFacts | None:
    """What lies at a path, None for what cannot be trusted."""
    try:
        return store.glance(path)
    except Invalid:
        return None


@step()
def drop_layer(op: Op, layer_id: str, holder: str) -> bool:
    """``holder`` no longer needs the layer; its file goes where nothing else does. Whether it went. No way back:
    a step of purges."""
    with op.write() as session:
        let_go(session, layer_id, holder)
    return collect(op, layer_id)


@step(retries=0)
def collect_layers(op: Op) -> int:
    """Remove every layer that nothing needs: what an interrupted purge left; how many. One that cannot be removed is
    told, and the others go all the same."""
    with op.read() as session:
        rows = session.scalars(sa.select(Layer.id).where(Layer.state != LayerState.ADOPTING))
        unneeded = [i for i in rows if not layer_is_needed(session, i)]
    return sum(_collected(op, layer_id) for layer_id in unneeded)


def _collected(op: Op, layer_id: str) -> bool:
    try:
        return collect(op, layer_id)
    except DriverError as error:
        with op.write() as session:
            row = session.get(Layer, layer_id)
            if row is not None:
                raise_notice(
                    session, f"layer:{row.id}", subject=subject_of(row),
                    message=_("The base file {digest} cannot be removed: {reason}", digest=row.digest[:12],
                              reason=error.message),
                    hint=_("Mend what the host says of it; it is looked at again within minutes."),
                )  # fmt: skip
        return False


def collect(op: Op, layer_id: str) -> bool:
    """Remove a layer that nothing needs, then its parents for which that is now true; whether the first one went."""
    first, current = False, layer_id
    while True:
        with op.write() as session:
            row = session.get(Layer, current, with_for_update=True)
            if row is None or layer_is_needed(session, current) or _referred(session, current):
                return first
            row.state = LayerState.REMOVING
            pool, path, parent = session.get_one(Pool, row.pool_id), row.path, row.parent_id
            ours = not row.adopted
        if ours:
            store_of(op, pool).delete(path)
        with op.write() as session:
            row = session.get(Layer, current)
            if row is not None and row.state == LayerState.REMOVING:
                resolve_notice(session, f"layer:{row.id}")
                emit(session, "layer.removed", subject=subject_of(row), operation_id=op.id, data={"digest": row.digest})
                session.delete(row)
        first = first or current == layer_id
        if parent is None:
            return first
        current = parent


def _referred(session: Session, layer_id: str) -> bool:
    """Whether a row of any room refers to the layer: the database itself is asked, by a deletion that is taken back."""
    attempt = session.begin_nested()
    try:
        session.execute(sa.delete(Layer).where(Layer.id == layer_id), execution_options={"synchronize_session": False})
    except IntegrityError:
        return True
    finally:
        attempt.rollback()
    return False
