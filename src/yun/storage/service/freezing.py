"""What rooms above ask before they freeze a volume's head: the ids for it, and how long its chain is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import Conflict
from yun.base.ids import new_id
from yun.base.messages import _
from yun.storage.model import Head, Layer, Pool, Volume, VolumeState
from yun.storage.service.volumes import head_of


def refuse_adopted(session: Session, volume: Volume) -> None:
    """Pass for a volume whose file lies in a pool. Raises `Conflict` for one that was taken over where it lies."""
    if head_of(session, volume.id).adopted:
        raise Conflict(
            _("The disk {name} was taken over and lies outside of the cloud's pools: it cannot be frozen or moved.",
              name=volume.name),
            hint=_("Its content can be copied inside of the machine to a new volume."),
        )  # fmt: skip


def plan_freeze(session: Session, volume: Volume) -> dict[str, Any]:
    """Where a volume's new head will lie and what layer its file becomes, as an operation's argument. Raises `Conflict`
    for one that was taken over: its file stays outside of the pools."""
    pool = session.get_one(Pool, volume.pool_id)
    refuse_adopted(session, volume)
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



def floor_of(chain: Sequence[Layer], *, whole: bool = False) -> Layer | None:
    """The layer that a flattened head stands on: the lowest of its chain where that came in from outside (an image's
    file, which many share), else none. ``whole``: none at all."""
    return chain[-1] if chain and chain[-1].has_digest and not whole else None


def deep_volumes(session: Session, most: int) -> list[str]:
    """The available volumes whose heads stand on more than ``most`` layers."""
    parents = {row.id: row.parent_id for row in session.execute(sa.select(Layer.id, Layer.parent_id))}
    depths: dict[str | None, int] = {None: 0}

    def depth(layer_id: str | None) -> int:
        below: list[str] = []
        while layer_id not in depths:
            below.append(str(layer_id))
            layer_id = parents.get(str(layer_id))
        number = depths[layer_id]
        for each in reversed(below):
            number += 1
            depths[each] = number
        return number

    query = sa.select(Head.volume_id, Head.layer_id).join(Volume, Volume.id == Head.volume_id)
    heads = session.execute(query.where(Volume.state == VolumeState.AVAILABLE, Head.adopted.is_(False)))
    return [volume_id for volume_id, layer_id in heads if depth(layer_id) > most]
