"""Comparing the graph with the disk: what is gone, spoilt or writable is told and, where possible, mended.

Nothing unknown is ever deleted. A look is taken without a transaction, so each finding is looked at again in the
moment it is written: what was purged meanwhile is no finding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import DriverError, Invalid
from yun.base.log import logger
from yun.base.messages import Message, _
from yun.drivers.volume.port import FINISHED, FileFacts, VolumeStore
from yun.operations.events import emit, raise_notice, resolve_notice
from yun.operations.flow import Op, step
from yun.operations.model import OPEN, Notice, Operation, OperationStep, OperationSubject
from yun.storage.model import Head, Layer, LayerHold, LayerState, Pool, PoolState, Volume, VolumeState
from yun.storage.service.pools import subject_of as pool_subject
from yun.storage.service.volumes import subject_of as volume_subject
from yun.storage.steps.layers import adopt_layer, tell_unusable
from yun.storage.steps.layers import subject_of as layer_subject
from yun.storage.steps.shared import store_of, told_format
from yun.storage.steps.strangers import tell_unknown
from yun.storage.steps.volumes import erase

FORGOTTEN = timedelta(minutes=10)
NAMED, MOST = 190, 50
FLATTEN = "volume.flatten"
log = logger(__name__)


@dataclass
class Findings:
    """What differed, for the operation's result; empty means that nothing did."""

    mended: list[str] = field(default_factory=list)
    spoilt: list[str] = field(default_factory=list)
    healed: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any] | None:
        """What there is to tell."""
        return {k: v for k, v in vars(self).items() if v} or None


@step(retries=0)
def compare(op: Op) -> dict[str, Any] | None:
    """Every file of every reachable pool is as its row says, or the row and a notice say what is wrong. One file that
    cannot be looked at is told, and the others are looked at all the same."""
    found = Findings()
    _give_up_forgotten(op, found)
    with op.read() as session:
        pools = list(session.scalars(sa.select(Pool).where(Pool.state == PoolState.ACTIVE)))
    for pool in pools:
        op.check_cancel()
        failed: dict[str, Message] = {}
        try:
            _compare_pool(op, pool, found, failed)
        except DriverError as error:
            if error.retryable:
                continue
            failed[pool.path] = error.message
        _tell_failed(op, pool, failed, found)
    return found.to_json()


def _tell_failed(op: Op, pool: Pool, failed: dict[str, Message], found: Findings) -> None:
    """A notice for each file that could not be looked at, none for those that can be again."""
    keys = {f"file:{path[-NAMED:]}": path for path in failed}
    mine = sa.select(Notice.key).where(
        Notice.key.startswith("file:"), Notice.subject_kind == "pool", Notice.subject_id == pool.id
    )
    with op.read() as session:
        told = set(session.scalars(mine))
    if not keys and not told:
        return
    with op.write() as session:
        for key in told - keys.keys():
            resolve_notice(session, key)
        for key, path in list(keys.items())[:MOST]:
            if key not in told:
                found.unseen.append(path)
            raise_notice(
                session, key, subject=pool_subject(pool), level="error",
                message=_("{path} cannot be looked at or mended: {reason}", path=path, reason=failed[path]),
                hint=_("Mend what the host says of it; it is looked at again within minutes."),
            )  # fmt: skip


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
        try:
            erase(op, volume_id, "volume.given_up")
        except DriverError as error:
            log.warning("%s is not given up yet: %s", volume_id, error)
            continue
        found.forgotten.append(volume_id)


def _compare_pool(op: Op, pool: Pool, found: Findings, failed: dict[str, Message]) -> None:
    """``failed`` gets what could not be looked at. Raises `DriverError` where the pool itself does not answer."""
    store = store_of(op, pool)
    listed = store.list_files(pool.path, (*FINISHED, "seeds"))
    with op.read() as session:
        layers = list(session.scalars(sa.select(Layer).where(Layer.pool_id == pool.id)))
        query = sa.select(Head, Volume).join(Volume, Volume.id == Head.volume_id).where(Volume.pool_id == pool.id)
        heads = [(h, v) for h, v in session.execute(query)]
        told = set(session.scalars(sa.select(Notice.key).where(Notice.subject_kind == "volume")))
        adopting = _being_adopted(session)
        flattened = _being_flattened(session)
    paths = {layer.id: layer.path for layer in layers}
    merging = {layer.id for layer in layers if layer.state == LayerState.MERGING}
    for layer in layers:
        op.check_cancel()
        if layer.state not in (LayerState.REMOVING, LayerState.MERGING) and layer.id not in adopting:
            with _going_on(store, pool, layer.path, failed):
                _compare_layer(op, store, layer, found)
    for head, volume in heads:
        op.check_cancel()
        if volume.state != VolumeState.BUILDING and volume.id not in flattened and head.layer_id not in merging:
            base = paths.get(head.layer_id, "?") if head.layer_id else ""
            with _going_on(store, pool, head.path, failed):
                _compare_head(op, store, head, volume, base, found, told=f"volume:{volume.id}" in told)
    found.unknown += tell_unknown(op, store, pool, listed)


@contextmanager
def _going_on(store: VolumeStore, pool: Pool, path: str, failed: dict[str, Message]) -> Iterator[None]:
    """What a driver says against one file is noted; where the whole pool is away, that is raised instead."""
    try:
        yield
    except DriverError as error:
        store.pool_facts(pool.path)
        failed[path] = error.message


def _being_adopted(session: Session) -> set[str]:
    """The layers that an open operation is taking in: its journal names under whose name."""
    steps = (
        sa.select(OperationStep.arguments)
        .join(Operation, Operation.seq == OperationStep.seq)
        .where(OperationStep.name == adopt_layer.name, Operation.state.in_(OPEN))
    )
    holders = [arguments[3] for arguments in session.scalars(steps)]
    return set(session.scalars(sa.select(LayerHold.layer_id).where(LayerHold.holder.in_(holders))))


def _being_flattened(session: Session) -> set[str]:
    """The volumes whose heads an open operation brings to stand on another file: header and row change one after the
    other."""
    query = (
        sa.select(OperationSubject.id)
        .join(Operation, Operation.seq == OperationSubject.seq)
        .where(OperationSubject.kind == "volume", Operation.kind == FLATTEN, Operation.state.in_(OPEN))
    )
    return set(session.scalars(query))


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
        tell_unusable(session, row, why)


def _facts(store: VolumeStore, file: Layer | Head) -> FileFacts:
    """What lies there now. Where a guest could have written a header, the row says what it must be taken for."""
    if file.adopted:
        return store.trace(file.path, file.format)[0]
    return store.glance(file.path, told_format(file))


def _judge_layer(op: Op, store: VolumeStore, layer: Layer, found: Findings) -> tuple[str, Message]:
    try:
        facts = _facts(store, layer)
    except Invalid as error:
        return LayerState.DAMAGED, error.message
    if not facts.exists:
        return LayerState.MISSING, _("the file is gone")
    if facts.length != layer.length:
        return LayerState.DAMAGED, _("the file is {now} bytes long, not {then}", now=facts.length, then=layer.length)
    if not layer.has_digest and facts.mtime_ns != layer.mtime_ns:
        return LayerState.DAMAGED, _("it was written to after it was frozen")
    if layer.has_digest and (facts.mtime_ns != layer.mtime_ns or layer.state != LayerState.ACTIVE):
        if store.digest(layer.path, lambda _f: op.check_cancel()) != layer.digest:
            return LayerState.DAMAGED, _("its content has changed")
        _remember_time(op, layer, facts)
    if facts.writable and not layer.adopted:
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
        facts = _facts(store, head)
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
