"""What rooms above ask before they freeze a volume's head: the ids for it, and how long its chain is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import Conflict
from yun.base.ids import new_id
from yun.base.messages import _
from yun.storage.model import Head, Layer, LayerHold, Pool, Volume, VolumeState
from yun.storage.service.volumes import head_of

DEEPEST = 190
"""A head on more layers is not frozen. libvirt opens no disk of more than 200 files, and clones and restored ones need
a file more."""


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
    for one that was taken over: its file stays outside of the pools; and for one whose chain is as long as can be."""
    pool = session.get_one(Pool, volume.pool_id)
    refuse_adopted(session, volume)
    if depth_of(session, volume.id) >= DEEPEST:
        raise Conflict(
            _("The disk {name} stands on {count} frozen files, and no machine can start on many more.",
              name=volume.name, count=DEEPEST),
            hint=_("Flatten it, or delete snapshots: then its chain becomes short again. Perhaps its pool is full."),
        )  # fmt: skip
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


def deep_volumes(session: Session, most: int, most_held: int) -> list[str]:
    """The available volumes whose heads stand on more than ``most`` layers, those not counted that were heads and are
    held, or on more than ``most_held`` layers at all."""
    held = set(session.scalars(sa.select(LayerHold.layer_id).join(Layer).where(Layer.digest == Layer.id)))
    parents = {row.id: row.parent_id for row in session.execute(sa.select(Layer.id, Layer.parent_id))}
    depths: dict[str | None, tuple[int, int]] = {None: (0, 0)}

    def depth(layer_id: str | None) -> tuple[int, int]:
        below: list[str] = []
        while layer_id not in depths:
            below.append(str(layer_id))
            layer_id = parents.get(str(layer_id))
        free, number = depths[layer_id]
        for each in reversed(below):
            free, number = free + (each not in held), number + 1
            depths[each] = free, number
        return free, number

    def is_deep(layer_id: str | None) -> bool:
        free, number = depth(layer_id)
        return free > most or number > most_held

    query = sa.select(Head.volume_id, Head.layer_id).join(Volume, Volume.id == Head.volume_id)
    heads = session.execute(query.where(Volume.state == VolumeState.AVAILABLE, Head.adopted.is_(False)))
    return [volume_id for volume_id, layer_id in heads if is_deep(layer_id)]
