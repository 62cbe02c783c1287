"""What rooms above ask of frozen files: look one up, hold it, let it go."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import not_found
from yun.base.errors import Conflict
from yun.base.messages import _
from yun.storage.model import Head, Layer, LayerHold, LayerState


def get_layer(session: Session, layer_id: str, *, lock: bool = False) -> Layer:
    """A sound layer by id. Raises `NotFound`, and `Conflict` for one whose file is gone or spoilt. One that is being
    merged may be chosen: who stands on it anew holds the key of an instance, a volume or a holder (``snapshot:snp_…``)
    above it, to which the merge gives way, and reads its path only then.

    With ``lock`` nobody removes it before the caller's transaction ends.
    """
    layer = session.get(Layer, layer_id, with_for_update=lock, populate_existing=lock)
    if layer is None or layer.state == LayerState.REMOVING:
        raise not_found("layer", layer_id[:60])
    if layer.state not in (LayerState.ACTIVE, LayerState.MERGING):
        raise Conflict(
            _("The base file {digest} cannot be used: it is {state}.", digest=layer.digest[:12], state=_(layer.state)),
            hint=_("Import the image again: the same content mends the file."),
        )
    return layer


def hold(session: Session, layer_id: str, holder: str) -> None:
    """``holder`` (``image:img_…``) needs the layer from now on; holding twice is holding once."""
    if session.get(LayerHold, (layer_id, holder)) is None:
        session.add(LayerHold(layer_id=layer_id, holder=holder))
        session.flush()


def let_go(session: Session, layer_id: str, holder: str) -> None:
    """``holder`` needs the layer no longer. Its file goes once nothing needs it (step `drop_layer`)."""
    session.execute(sa.delete(LayerHold).where(LayerHold.layer_id == layer_id, LayerHold.holder == holder))


def children_of(session: Session, layer_id: str) -> tuple[int, int]:
    """How many layers and how many heads (trashed ones too) stand on a layer."""
    layers = sa.select(sa.func.count()).select_from(Layer).where(Layer.parent_id == layer_id)
    heads = sa.select(sa.func.count()).select_from(Head).where(Head.layer_id == layer_id)
    return session.scalar(layers) or 0, session.scalar(heads) or 0


def layer_is_needed(session: Session, layer_id: str) -> bool:
    """Whether anybody holds the layer or anything stands on it."""
    held = session.scalar(sa.select(sa.func.count()).select_from(LayerHold).where(LayerHold.layer_id == layer_id))
    return bool(held) or any(children_of(session, layer_id))
