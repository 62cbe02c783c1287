"""The verb flatten: a volume whose chain of frozen files has grown long stands on its base file alone again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.clock import Clock
from yun.base.context import Context
from yun.base.errors import Conflict
from yun.base.messages import _
from yun.base.units import format_size
from yun.compute.model import LIVE, Instance
from yun.compute.service.power import keys, subject
from yun.operations.intent import Intent, Key
from yun.operations.model import OPEN, Operation
from yun.storage import capacity
from yun.storage import service as storage
from yun.storage.model import Layer, Pool, Volume

FLATTEN = "volume.flatten"
DEEP = 16
"""Chains of more layers than this that nobody holds are flattened in the background."""
DEEP_HELD = 64
"""So are chains of more layers than this, snapshots' among them: these stay for who holds them."""
AGAIN_AFTER = timedelta(hours=1)
"""A flattening that failed is not tried again sooner by itself."""


def flatten(ctx: Context, volume: Volume, *, whole: bool = False) -> Intent:
    """Copy into a volume's file what it has from the frozen files below it, down to its image's, or with ``whole`` all
    of it, while its instance goes on. Raises `Conflict` where nothing lies between, `NoCapacity`.

    It cannot be undone, and need not be: the guest sees no difference.
    """
    ctx.may("volume.flatten", volume.project_id)
    storage.must_allow(volume, "attach")
    return flatten_intent(ctx.session, volume, whole=whole)


def flatten_intent(
    session: Session, volume: Volume, *, whole: bool = False, gives_way: bool = False,
    between: Sequence[Layer] | None = None,
) -> Intent:  # fmt: skip
    """The operation that flattens one volume; one that ``gives_way`` stops as soon as somebody else waits for the
    instance. ``between`` are the layers right below its head that it is to take in, where it is not to be all down to
    its base. Raises as `flatten`."""
    storage.refuse_adopted(session, volume)
    if between is None:
        chain = storage.chain_of(session, volume.id)
        floor = storage.floor_of(chain, whole=whole)
        between = [layer for layer in chain if floor is None or layer.id != floor.id]
    else:
        floor = session.get(Layer, between[-1].parent_id) if between[-1].parent_id else None
    if not between:
        raise Conflict(_("The volume {name} stands on no more than its base file.", name=volume.name))
    need = needed(between)
    pool = session.get_one(Pool, volume.pool_id)
    capacity.check(session, pool, 0, now=need)
    place = storage.attachment_of(session, volume.id)
    instance = session.get(Instance, place.instance_id) if place is not None else None
    return Intent(
        kind=FLATTEN,
        title=_("Flatten volume {name}", name=volume.name),
        subject=storage.subject_of(volume),
        project_id=volume.project_id,
        arguments={"volume_id": volume.id, "floor_id": floor.id if floor else None, "gives_way": gives_way},
        keys=(
            *(keys(instance) if instance is not None else ()), Key(f"volume:{volume.id}"),
            Key(f"pool-work:{pool.id}", storage.POOL_SLOTS),
        ),
        subjects=(subject(instance),) if instance is not None else (),
        effects=(
            _("What it has from {count} frozen files is copied into its own: up to {size}.", count=len(between),
              size=format_size(need)),
            *((_("The instance {name} goes on running; it cannot be changed meanwhile.", name=instance.name),)
              if instance is not None and instance.state in LIVE else ()),
            _("Files that nothing else stands on are removed."),
        ),
        undoable=False,
        no_undo=_("There is nothing to take back: its content stays the same."),
        transparent=True,
        quiet=gives_way,
        deadline=6 * 3600.0,
    )  # fmt: skip


def needed(between: Sequence[Layer]) -> int:
    """How many bytes the copy takes at most."""
    return sum(layer.file_bytes for layer in between)


def due(session: Session, clock: Clock) -> list[Volume]:
    """The volumes to flatten now: too deep, not worked on, and not tried in vain a moment ago."""
    deep = storage.deep_volumes(session, DEEP, DEEP_HELD)
    if not deep:
        return []
    tried = sa.select(Operation.subject_id).where(
        Operation.kind == FLATTEN, Operation.subject_id.in_(deep),
        sa.or_(Operation.state.in_(OPEN), Operation.finished_at > clock.now() - AGAIN_AFTER),
        Operation.state != "succeeded",
    )  # fmt: skip
    busy = set(session.scalars(tried))
    return [session.get_one(Volume, volume_id) for volume_id in deep if volume_id not in busy]
