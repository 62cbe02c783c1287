"""What rooms above ask before they freeze a volume's head: the ids for it, and how long its chain is."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from yun.base.ids import new_id
from yun.storage.model import Head, Layer, Pool, Volume
from yun.storage.service.volumes import head_of


def plan_freeze(session: Session, volume: Volume) -> dict[str, Any]:
    """Where a volume's new head will lie and what layer its file becomes, as an operation's argument."""
    pool = session.get_one(Pool, volume.pool_id)
    return {
        "volume_id": volume.id, "path": f"{pool.path}/heads/{new_id(Head.PREFIX)}.qcow2",
        "layer_id": new_id(Layer.PREFIX),
    }  # fmt: skip


def depth_of(session: Session, volume_id: str) -> int:
    """How many layers lie below a volume's head."""
    return len(chain_of(session, volume_id))


def chain_of(session: Session, volume_id: str) -> list[Layer]:
    """The layers below a volume's head, the nearest first."""
    chain: list[Layer] = []
    below = head_of(session, volume_id).layer_id
    while below is not None:
        layer = session.get_one(Layer, below)
        chain.append(layer)
        below = layer.parent_id
    return chain

