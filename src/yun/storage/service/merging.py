"""Which frozen files nobody needs any more but for one other that stands on them: those can be merged into it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.db import Base
from yun.storage.model import Attachment, Head, HeadState, Layer, LayerHold, LayerState, Volume, VolumeState

USABLE = (LayerState.ACTIVE, LayerState.MERGING)
"""What can be merged: sound files, and those whose merging was broken off."""


@dataclass(frozen=True)
class Superfluous:
    """Layers that only ``child`` needs, the nearest to it first; each but the last stands on the next."""

    layers: tuple[Layer, ...]
    child: Layer | Head

    @property
    def bytes(self) -> int:
        """What their files take."""
        return sum(layer.file_bytes for layer in self.layers)


@dataclass(frozen=True)
class Upon:
    """A volume whose head stands on a layer, directly or not, and the instance that it is attached to, if any."""

    volume: Volume
    head: Head
    place: Attachment | None


def superfluous(session: Session) -> list[Superfluous]:
    """What can be merged away now, what lies highest in its chain first.

    Never a layer that was taken over, that has a digest (an image's, which the same import would meet again), that is
    not qcow2, that anybody holds or names, or that has not exactly one child; and never into a child that is trashed,
    was taken over or is not sound.
    """
    layers = {row.id: row for row in session.scalars(sa.select(Layer))}
    children: dict[str, list[Layer | Head]] = defaultdict(list)
    for layer in layers.values():
        if layer.parent_id is not None:
            children[layer.parent_id].append(layer)
    for head in session.scalars(sa.select(Head).where(Head.layer_id.is_not(None))):
        children[str(head.layer_id)].append(head)
    named = _named(session)
    spare = {
        layer.id
        for layer in layers.values()
        if _mergeable(layer) and layer.id not in named and len(children[layer.id]) == 1
    }
    found = []
    for identifier in spare:
        child = children[identifier][0]
        if isinstance(child, Layer) and child.id in spare:
            continue  # not the nearest of its run
        if _takes(session, child, layers[identifier]):
            run = tuple(_run(layers, spare, identifier))
            found.append(Superfluous(run, child))
    return sorted(found, key=lambda each: (-_depth(layers, each.layers[0].id), each.layers[0].id))


def _mergeable(layer: Layer) -> bool:
    return layer.state in USABLE and not layer.adopted and not layer.has_digest and layer.format == "qcow2"


def _takes(session: Session, child: Layer | Head, layer: Layer) -> bool:
    """Whether a child can take in what it stands on."""
    if isinstance(child, Layer):
        return _mergeable(child) and child.pool_id == layer.pool_id
    volume = session.get_one(Volume, child.volume_id)
    sound = child.state == HeadState.CURRENT and volume.state == VolumeState.AVAILABLE
    return sound and not child.adopted and child.format == "qcow2" and volume.pool_id == layer.pool_id


def _run(layers: dict[str, Layer], spare: set[str], identifier: str | None) -> Iterable[Layer]:
    while identifier is not None and identifier in spare:
        layer = layers[identifier]
        yield layer
        identifier = layer.parent_id


def _depth(layers: dict[str, Layer], identifier: str | None) -> int:
    number = 0
    while identifier is not None:
        number, identifier = number + 1, layers[identifier].parent_id
    return number


def _named(session: Session) -> set[str]:
    """The layers that a row of any room names, holds among them, besides those that stand on them."""
    found: set[str] = set()
    for table in Base.metadata.sorted_tables:
        if table.name in (Layer.__tablename__, Head.__tablename__):
            continue
        for key in table.foreign_keys:
            if key.column is Layer.__table__.c.id:
                found |= set(session.scalars(sa.select(key.parent).where(key.parent.is_not(None)).distinct()))
    return found


def standing_on(session: Session, layer_id: str) -> list[Layer | Head]:
    """What stands directly on a layer, frozen files and heads."""
    layers = session.scalars(sa.select(Layer).where(Layer.parent_id == layer_id).order_by(Layer.id))
    heads = session.scalars(sa.select(Head).where(Head.layer_id == layer_id).order_by(Head.id))
    return [*layers, *heads]


def _tree(layer_id: str) -> sa.CTE:
    """A layer and every one that has it in its chain."""
    tree = sa.select(Layer.id).where(Layer.id == layer_id).cte("upon", recursive=True)
    upper = sa.orm.aliased(Layer)
    return tree.union_all(sa.select(upper.id).where(upper.parent_id == tree.c.id))


def holders_upon(session: Session, layer_id: str) -> list[str]:
    """Everybody who holds a layer or one that stands on it, directly or not: ``snapshot:snp_…`` and the like, which are
    the keys of their operations too."""
    tree = _tree(layer_id)
    query = sa.select(LayerHold.holder).where(LayerHold.layer_id.in_(sa.select(tree.c.id))).distinct()
    return sorted(session.scalars(query))


def volumes_upon(session: Session, layer_id: str) -> list[Upon]:
    """Every volume that has a layer in its chain, trashed ones too."""
    tree = _tree(layer_id)
    query = (
        sa.select(Volume, Head, Attachment)
        .join(Head, Head.volume_id == Volume.id)
        .outerjoin(Attachment, Attachment.volume_id == Volume.id)
        .where(Head.layer_id.in_(sa.select(tree.c.id)))
        .order_by(Volume.id)
    )
    return [Upon(volume, head, place) for volume, head, place in session.execute(query)]
