"""Comparing the graph with the disk: what is gone, spoilt or writable is told and, where possible, mended.

Nothing unknown is ever deleted. A look is taken without a transaction, so each finding is looked at again in the
moment it is written: what was purged meanwhile is no finding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import DriverError, Invalid
from yun.base.messages import Message, _
from yun.drivers.volume.port import FileFacts, VolumeStore
from yun.operations.events import emit, raise_notice, resolve_notice
from yun.operations.flow import Op, step
from yun.operations.model import OPEN, Notice, Operation, OperationSubject
from yun.storage.model import Head, Layer, LayerState, Pool, PoolState, Volume, VolumeState
from yun.storage.service.pools import subject_of as pool_subject
from yun.storage.service.volumes import subject_of as volume_subject
from yun.storage.steps.layers import subject_of as layer_subject
from yun.storage.steps.shared import store_of
from yun.storage.steps.volumes import erase

FORGOTTEN = timedelta(minutes=10)
SAMPLE = 5


@dataclass
class Findings:
    """What differed, for the operation's result; empty means that nothing did."""

    mended: list[str] = field(default_factory=list)
    spoilt: list[str] = field(default_factory=list)
    healed: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any] | None:
        """What there is to tell."""
        return {k: v for k, v in vars(self).items() if v} or None


@step(retries=0)
def compare(op: Op) -> dict[str, Any] | None:
    """Every file of every reachable pool is as its row says, or the row and a notice say what is wrong."""
    found = Findings()
    _give_up_forgotten(op, found)
    with op.read() as session:
        pools = list(session.scalars(sa.select(Pool).where(Pool.state == PoolState.ACTIVE)))
    for pool in pools:
        op.check_cancel()
        try:
            _compare_pool(op, pool, found)
        except DriverError as error:
            if not error.retryable:
                raise
    return found.to_json()


def _give_up_forgotten(op: Op, found: Findings) -> None:
    """Volumes whose making was cancelled before it began leave rows behind: they go."""
    before = op.clock.now() - FORGOTTEN
    with op.read() as session:
        busy = (
            sa.select(OperationSubject.id)
            .join(Operation, Operation.seq == OperationSubject.seq)
            .where(OperationSubject.kind == "volume", Operation.state.in_(OPEN))
        )
        query = sa.select(Volume.id).where(
            Volume.state == VolumeState.BUILDING, Volume.created_at < before, Volume.id.not_in(busy)
        )
        rows = list(session.scalars(query))
    for volume_id in rows:
        erase(op, volume_id, "volume.given_up")
        found.forgotten.append(volume_id)


def _compare_pool(op: Op, pool: Pool, found: Findings) -> None:
    store = store_of(op, pool)
    listed = store.list_files(pool.path)
    with op.read() as session:
        layers = list(session.scalars(sa.select(Layer).where(Layer.pool_id == pool.id)))
        query = sa.select(Head, Volume).join(Volume, Volume.id == Head.volume_id).where(Volume.pool_id == pool.id)
        heads = [(h, v) for h, v in session.execute(query)]
        told = set(session.scalars(sa.select(Notice.key).where(Notice.subject_kind == "volume")))
    paths = {layer.id: layer.path for layer in layers}
    for layer in layers:
        op.check_cancel()
        if layer.state in (LayerState.ACTIVE, LayerState.MISSING, LayerState.DAMAGED):
            _compare_layer(op, store, layer, found)
    for head, volume in heads:
        op.check_cancel()
        if volume.state != VolumeState.BUILDING:
            base = paths.get(head.layer_id, "?") if head.layer_id else ""
            _compare_head(op, store, head, volume, base, found, told=f"volume:{volume.id}" in told)
    _tell_unknown(op, store, pool, listed, found)


# ── layers ──


def _compare_layer(op: Op, store: VolumeStore, layer: Layer, found: Findings) -> None:
    state, why = _judge_layer(op, store, layer, found)
    if state == layer.state:
        return
    with op.write() as session:
        row = session.get(Layer, layer.id)
        if row is None or row.state != layer.state:
            return
        row.state = state
        emit(session, f"layer.{state}", subject=layer_subject(row), operation_id=op.id, data={"digest": row.digest})
        if state == LayerState.ACTIVE:
            resolve_notice(session, f"layer:{row.id}")
            found.healed.append(row.id)
            return
        found.spoilt.append(row.id)
        raise_notice(
            session, f"layer:{row.id}", subject=layer_subject(row), level="error",
            message=_("The base file {digest} is unusable: {reason}", digest=row.digest[:12], reason=why),
            hint=_("Put {path} back from a copy, or import the same image again: that mends it.", path=row.path),
        )  # fmt: skip


def _judge_layer(op: Op, store: VolumeStore, layer: Layer, found: Findings) -> tuple[str, Message]:
    try:
        facts = store.glance(layer.path)
    except Invalid as error:
        return LayerState.DAMAGED, error.message
    if not facts.exists:
        return LayerState.MISSING, _("the file is gone")
    if facts.length != layer.length:
        return LayerState.DAMAGED, _("the file is {now} bytes long, not {then}", now=facts.length, then=layer.length)
    if facts.mtime_ns != layer.mtime_ns or layer.state != LayerState.ACTIVE:
        if store.digest(layer.path, lambda _f: op.check_cancel()) != layer.digest:
            return LayerState.DAMAGED, _("its content has changed")
        _remember_time(op, layer, facts)
    if facts.writable:
        store.protect(layer.path)
        found.mended.append(layer.path)
        _tell_protected(op, layer)
    return LayerState.ACTIVE, _("sound")


def _remember_time(op: Op, layer: Layer, facts: FileFacts) -> None:
    with op.write() as session:
        session.execute(sa.update(Layer).where(Layer.id == layer.id).values(mtime_ns=facts.mtime_ns))


def _tell_protected(op: Op, layer: Layer) -> None:
    with op.write() as session:
        raise_notice(
            session, f"layer-writable:{layer.id}", subject=layer_subject(layer),
            message=_(
                "The base file {digest} had been made writable; it is read-only again and its content is unchanged.",
                digest=layer.digest[:12],
            ),
            hint=_("Find out who changed its mode: whatever writes to it destroys the disks that stand on it."),
        )  # fmt: skip
        emit(session, "layer.protected", subject=layer_subject(layer), operation_id=op.id)


# ── heads ──


def _compare_head(
    op: Op, store: VolumeStore, head: Head, volume: Volume, base: str, found: Findings, *, told: bool
) -> None:
    """``base`` is where it should stand, ``told`` whether a notice about it is out."""
    state, why = _judge_head(store, head, volume, base)
    was, bad = volume.state, why if state != VolumeState.AVAILABLE else None
    if was == VolumeState.TRASHED:
        if (bad is not None) != told:
            _note_volume(op, volume, bad, found)
    elif state != was:
        with op.write() as session:
            row = session.get(Volume, volume.id)
            if row is None or row.state != was:
                return
            row.state = state
            emit(
                session, f"volume.{state}", subject=volume_subject(row), project_id=row.project_id,
                operation_id=op.id,
            )  # fmt: skip
        _note_volume(op, volume, bad, found)
        if bad is None:
            found.healed.append(volume.id)


def _judge_head(store: VolumeStore, head: Head, volume: Volume, base: str) -> tuple[str, Message]:
    try:
        facts = store.glance(head.path)
    except Invalid as error:
        return VolumeState.DAMAGED, error.message
    if not facts.exists:
        return VolumeState.MISSING, _("the file is gone")
    if facts.backing != base:
        return VolumeState.DAMAGED, _("it stands on {now}, not on {then}", now=facts.backing or "–", then=base or "–")
    if facts.virtual_bytes < volume.size_bytes:
        now, then = facts.virtual_bytes, volume.size_bytes
        return VolumeState.DAMAGED, _("it is {now} bytes large, not {then}", now=now, then=then)
    return VolumeState.AVAILABLE, _("sound")


def _note_volume(op: Op, volume: Volume, why: Message | None, found: Findings) -> None:
    with op.write() as session:
        if why is None:
            resolve_notice(session, f"volume:{volume.id}")
            return
        if session.get(Volume, volume.id) is None:
            return
        found.spoilt.append(volume.id)
        raise_notice(
            session, f"volume:{volume.id}", subject=volume_subject(volume), level="error",
            message=_("The disk of the volume {name} is unusable: {reason}", name=volume.name, reason=why),
            hint=_("Put the file back from a copy; it is noticed within minutes."),
        )  # fmt: skip


# ── strangers ──


def _tell_unknown(op: Op, store: VolumeStore, pool: Pool, listed: list[str], found: Findings) -> None:
    """Files that no row names: told, never deleted. Rows are read after the files were listed, then asked again."""
    with op.read() as session:
        known = _known(session, pool)
    strangers = [p for p in listed if p not in known]
    strangers = [p for p in strangers if _still_there(store, p)]
    key = f"pool-unknown:{pool.id}"
    with op.write() as session:
        known = _known(session, pool) if strangers else set()
        strangers = [p for p in strangers if p not in known]
        if not strangers:
            resolve_notice(session, key)
            return
        names = ", ".join(p.removeprefix(pool.path + "/") for p in strangers[:SAMPLE])
        before = session.get(Notice, key)
        if before is None or before.message["params"]["count"] != len(strangers):
            found.unknown += strangers[:100]
        raise_notice(
            session, key, subject=pool_subject(pool),
            message=_("In the pool {pool} lie {count} files that belong to nothing: {names}", pool=pool.name,
                      count=len(strangers), names=names),
            hint=_("They are left alone. Remove them by hand once you know what they are."),
        )  # fmt: skip


def _known(session: Session, pool: Pool) -> set[str]:
    heads = sa.select(Head.path).join(Volume, Volume.id == Head.volume_id).where(Volume.pool_id == pool.id)
    layers = sa.select(Layer.path).where(Layer.pool_id == pool.id)
    return {*session.scalars(heads), *session.scalars(layers)}


def _still_there(store: VolumeStore, path: str) -> bool:
    try:
        return store.glance(path).exists
    except Invalid:
        return True
