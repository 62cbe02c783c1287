"""What several steps need: the store of a pool, the guard before anything is deleted."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import Conflict
from yun.base.messages import _
from yun.drivers.volume.port import VolumeStore
from yun.operations.flow import Op
from yun.storage.model import Head, Layer, Pool, Volume
from yun.storage.service import layer_is_needed


def store_of(op: Op, pool: Pool) -> VolumeStore:
    """The driver of the host that a pool lies on."""
    return op.drivers.on(pool.host_id).volume


def pool_of(session: Session, volume: Volume) -> Pool:
    """The pool a volume lies in."""
    return session.get_one(Pool, volume.pool_id)


def told_format(file: Layer | Head) -> str:
    """The format of a file where it must not be found by looking: its guest could have written a header into a raw
    one, and what was taken over lies outside of the pools. Empty for all others."""
    return file.format if file.adopted or file.format == "raw" else ""


def refuse_base(session: Session, path: str) -> None:
    """Pass for a file that nothing stands on and nobody holds: asked before each deletion and each write.

    Raises `Conflict`; a caller that gets here with a base has a bug, and the base is saved.
    """
    layer = session.scalar(sa.select(Layer).where(Layer.path == path))
    if layer is not None and layer_is_needed(session, layer.id):
        raise Conflict(_("The base file {digest} is still needed.", digest=layer.digest[:12]))


def refuse_frozen(session: Session, path: str) -> None:
    """Pass for a head; raises `Conflict` for a file that is frozen, whatever stands on it."""
    if session.scalar(sa.select(Layer.id).where(Layer.path == path)) is not None:
        raise Conflict(_("A frozen file is never written to."))
    if session.scalar(sa.select(Head.id).where(Head.path == path)) is None:
        raise Conflict(_("The file belongs to no volume."))
