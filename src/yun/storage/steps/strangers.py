"""Files of a pool that no row names: told, never deleted. What is on its way in is looked at by the room it is for."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import DriverError, Invalid
from yun.base.messages import _
from yun.drivers.volume.port import VolumeStore
from yun.operations.events import raise_notice, resolve_notice
from yun.operations.flow import Op
from yun.operations.model import OPEN, Notice, Operation, OperationSubject
from yun.storage.model import Attachment, Head, Layer, LayerHold, Pool, TrashItem, Volume
from yun.storage.service.pools import subject_of

SAMPLE = 5
REPORTED = 100


def tell_unknown(op: Op, store: VolumeStore, pool: Pool, listed: list[str]) -> list[str]:
    """Tell of the files among ``listed`` that belong to nothing; those to report, where their number has changed.

    Rows are read after the files were listed, then asked again.
    """
    with op.read() as session:
        strangers = _strangers(session, pool, listed)
    strangers = [path for path in strangers if _still_there(store, path)]
    key = f"pool-unknown:{pool.id}"
    with op.write() as session:
        strangers = _strangers(session, pool, strangers)
        if not strangers:
            resolve_notice(session, key)
            return []
        names = ", ".join(path.removeprefix(pool.path + "/") for path in strangers[:SAMPLE])
        before = session.get(Notice, key)
        news = before is None or before.message["params"]["count"] != len(strangers)
        raise_notice(
            session, key, subject=subject_of(pool),
            message=_("In the pool {pool} lie {count} files that belong to nothing: {names}", pool=pool.name,
                      count=len(strangers), names=names),
            hint=_("They are left alone. Remove them by hand once you know what they are."),
        )  # fmt: skip
    return strangers[:REPORTED] if news else []


def _strangers(session: Session, pool: Pool, paths: list[str]) -> list[str]:
    seeds = f"{pool.path}/seeds/"
    heads = sa.select(Head.path).join(Volume, Volume.id == Head.volume_id).where(Volume.pool_id == pool.id)
    layers = sa.select(Layer.path).where(Layer.pool_id == pool.id)
    known = {*session.scalars(heads), *session.scalars(layers), *_moving(session)} if paths else set()
    owners = _owners(session) if any(path.startswith(seeds) for path in paths) else set()
    return [
        path for path in paths
        if (path.removeprefix(seeds).partition(".")[0] not in owners if path.startswith(seeds) else path not in known)
    ]  # fmt: skip


def _moving(session: Session) -> set[str]:
    """Files of volumes that are being moved: the new one before its row names it, the old one after."""
    moves = session.scalars(sa.select(Operation).where(Operation.kind == "volume.move", Operation.state.in_(OPEN)))
    return {move.arguments["way"][end] for move in moves for end in ("source", "target")}


def _owners(session: Session) -> set[str]:
    """Whose files may lie beside the disks (a seed, NVRAM, an image of memory): what has disks or needs frozen ones,
    lies in the trash, or is being worked on."""
    trashed = sa.select(TrashItem.subject_id).where(TrashItem.kind != "volume")
    busy = (
        sa.select(OperationSubject.id)
        .join(Operation, Operation.seq == OperationSubject.seq)
        .where(OperationSubject.kind != "volume", Operation.state.in_(OPEN))
    )
    holders = session.scalars(sa.select(LayerHold.holder).distinct())
    return {
        *session.scalars(sa.select(Attachment.instance_id).distinct()), *session.scalars(trashed),
        *session.scalars(busy), *(holder.partition(":")[2] for holder in holders),
    }  # fmt: skip


def _still_there(store: VolumeStore, path: str) -> bool:
    try:
        return store.glance(path).exists
    except (DriverError, Invalid):
        return True
