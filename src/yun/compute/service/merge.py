"""Merging frozen files that nobody needs any more with what stands on them: what is due, and the intent of each."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.clock import Clock
from yun.base.errors import Conflict
from yun.base.messages import Message, _
from yun.base.units import GIB, format_size
from yun.compute.model import LIVE, Instance
from yun.compute.service.flatten import FLATTEN, flatten_intent
from yun.compute.service.power import keys, subject
from yun.operations.events import raise_notice, resolve_notice
from yun.operations.intent import Intent, Key, Subject
from yun.operations.model import OPEN, Notice, Operation
from yun.storage import capacity
from yun.storage import service as storage
from yun.storage.model import Head, Layer, Pool, Volume

MERGE = "layer.merge"
AGAIN_AFTER = timedelta(hours=1)
"""A merge that failed is not tried again sooner."""
MOST_VOLUMES = 32
"""More volumes than these on one frozen file, and it stays as it is: none of their instances could be changed."""
WORTH_BYTES, WORTH_TIMES = 4 * GIB, 4
"""How much is copied into a volume's own file at most, or how many times what that takes: beyond it the copy would cost
more than it frees."""


def merges_due(session: Session, clock: Clock) -> list[storage.Superfluous]:
    """What is to be merged now: what nobody needs, is not worked on, and was not tried in vain a moment ago; of each
    pool in which no merge is open. What would cost more than it frees is left alone."""
    found = [each for each in storage.superfluous(session) if is_worth(session, each)]
    if not found:
        return []
    tried = sa.select(Operation.subject_id).where(
        Operation.kind.in_((MERGE, FLATTEN)),
        sa.or_(Operation.state.in_(OPEN), Operation.finished_at > clock.now() - AGAIN_AFTER),
        Operation.state != "succeeded",
    )  # fmt: skip
    busy = set(session.scalars(tried))
    late = sa.select(Notice.subject_id).where(
        Notice.key.like(notice_key("%")), Notice.level == "warning", Notice.created_at > clock.now() - AGAIN_AFTER
    )
    busy |= set(session.scalars(late))
    open_ones = sa.select(Operation.subject_id).where(Operation.kind == MERGE, Operation.state.in_(OPEN))
    pools = set(session.scalars(sa.select(Layer.pool_id).where(Layer.id.in_(open_ones))))
    return [e for e in found if _subject_id(e) not in busy and e.layers[0].pool_id not in pools]


def is_worth(session: Session, found: storage.Superfluous) -> bool:
    """Whether merging frees more than it costs. Frozen files are merged downwards, which copies what the upper one
    has; into a volume's own file, which goes on to be written to, it is copied upwards."""
    if isinstance(found.child, Layer):
        return True
    used = session.get_one(Volume, found.child.volume_id).used_bytes
    return found.bytes <= max(WORTH_BYTES, WORTH_TIMES * used)


def notice_key(layer_id: str) -> str:
    """What operators are told of frozen files that wait to be merged is kept under this key."""
    return f"merge:{layer_id}"


def tell_waiting(session: Session, child: Layer | Head, why: Message, *, again: bool = False) -> None:
    """Raise the notice that superfluous files wait to be merged into one, as a hint; with ``again`` as a warning that
    counts from now: it was tried in vain, and is tried again in an hour."""
    key, name = notice_key(child.id), child.digest[:12] if isinstance(child, Layer) else child.id
    if again:
        resolve_notice(session, key)
    raise_notice(
        session, key, subject=Subject("layer", child.id, name), level="warning" if again else "info",
        message=_("Frozen files below {name} that nobody needs any more are not merged yet: {reason}", name=name,
                  reason=why),
        hint=_("Nothing is lost; they take space until then. It is tried again by itself."),
    )  # fmt: skip


def forget_waiting(session: Session) -> None:
    """Nobody is told any more of what does not wait any more."""
    waiting = {notice_key(each.child.id) for each in storage.superfluous(session) if is_worth(session, each)}
    for key in session.scalars(sa.select(Notice.key).where(Notice.key.like(notice_key("%")))).all():
        if key not in waiting:
            resolve_notice(session, key)


def _subject_id(found: storage.Superfluous) -> str:
    return found.child.volume_id if isinstance(found.child, Head) else found.child.id


def merge_intent(session: Session, found: storage.Superfluous) -> Intent:
    """The operation that merges superfluous frozen files with the one on them, and gives way to whoever wants one of
    the instances above. Raises `NoCapacity`, and `Conflict` where several running machines have them open."""
    if isinstance(found.child, Head):
        volume = session.get_one(Volume, found.child.volume_id)
        return flatten_intent(session, volume, between=found.layers, gives_way=True)
    child = found.child
    pool = session.get_one(Pool, child.pool_id)
    upon = storage.volumes_upon(session, child.id)
    instances = _instances(session, upon)
    _refuse_crowd(child, upon, instances)
    capacity.check(session, pool, 0, now=child.file_bytes)
    held = (
        *(key for instance in instances for key in keys(instance)), *(Key(f"volume:{each.volume.id}") for each in upon),
        *map(Key, storage.holders_upon(session, child.id)),
    )  # fmt: skip
    return Intent(
        kind=MERGE,
        title=_("Merge {count} frozen files that nobody needs any more", count=len(found.layers)),
        subject=Subject("layer", child.id, child.digest[:12]),
        arguments={
            "child_id": child.id, "layer_ids": [layer.id for layer in found.layers],
            "keys": [key.key for key in held],
        },
        keys=(
            *held, Key(f"pool-merge:{pool.id}"), Key(f"pool-work:{pool.id}", storage.POOL_SLOTS),
        ),
        subjects=tuple(subject(instance) for instance in instances),
        effects=(
            _("What one frozen file has is written into the one below it: up to {size}.",
              size=format_size(child.file_bytes)),
            _("It frees up to {size}.", size=format_size(found.bytes)),
        ),
        undoable=False,
        no_undo=_("There is nothing to take back: what every disk shows stays the same."),
        transparent=True,
        quiet=True,
        deadline=6 * 3600.0,
    )  # fmt: skip


def _instances(session: Session, upon: list[storage.Upon]) -> list[Instance]:
    """The instances that have the volumes, each once."""
    names = sorted({each.place.instance_id for each in upon if each.place is not None})
    found = (session.get(Instance, name) for name in names)
    return [instance for instance in found if instance is not None]


def _refuse_crowd(child: Layer, upon: list[storage.Upon], instances: list[Instance]) -> None:
    live = [instance.name for instance in instances if instance.state in LIVE]
    if len(live) > 1:
        raise Conflict(
            _("The instances {names} run on the frozen file {digest}: it can be merged once only one of them runs.",
              names=", ".join(sorted(live)[:5]), digest=child.digest[:12])
        )  # fmt: skip
    if len(upon) > MOST_VOLUMES:
        raise Conflict(
            _("{count} volumes stand on the frozen file {digest}: too many to be held up.", count=len(upon),
              digest=child.digest[:12])
        )  # fmt: skip
