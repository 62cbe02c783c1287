"""The step that promises a volume its larger size before anything grows."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import Conflict
from yun.base.messages import _
from yun.base.units import format_size
from yun.operations.flow import Op, tx_step
from yun.storage import capacity
from yun.storage.model import Pool, Volume


def _as_before(op: Op, session: Session, output: Any, volume_id: str, size_bytes: int) -> None:
    volume = session.get(Volume, volume_id)
    if volume is not None and output is not None and volume.size_bytes == size_bytes:
        volume.size_bytes = output


@tx_step(undo=_as_before)
def promise_growth(op: Op, session: Session, volume_id: str, size_bytes: int) -> int:
    """The row says the larger size, so that nobody is promised the same space; the size before is the output.

    Raises `NoCapacity` where others have been promised the pool's space since it was asked for, `Conflict` for a
    volume that is as large or larger by now.
    """
    volume = session.get_one(Volume, volume_id)
    was = volume.size_bytes
    if was >= size_bytes:
        raise Conflict(
            _("The volume {name} has {size} by now, and never shrinks.", name=volume.name, size=format_size(was))
        )
    pool = session.scalars(sa.select(Pool).where(Pool.id == volume.pool_id).with_for_update()).one()
    capacity.check(session, pool, size_bytes - was)
    volume.size_bytes = size_bytes
    session.flush()
    return was
