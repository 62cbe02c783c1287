"""The verb move: a volume's file goes to another pool of its host, also under a machine that runs."""

from __future__ import annotations

import os

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context, not_found
from yun.base.errors import Conflict
from yun.base.messages import Message, _
from yun.base.units import format_size
from yun.compute.model import DISKS_CHANGE_IN, HOT_BUSES, LIVE, Instance
from yun.compute.service.look import must_be
from yun.compute.service.power import keys, subject
from yun.operations.intent import Intent, Key
from yun.operations.model import Operation
from yun.operations.opposites import opposite
from yun.storage import capacity
from yun.storage import service as storage
from yun.storage.model import Attachment, Head, Layer, Pool, Volume

HEAD_BYTES = 1024 * 1024
DEADLINE = 24 * 3600.0


def move(ctx: Context, volume: Volume, pool: str) -> Intent:
    """Move a volume to another pool of its host; a machine that runs goes on while its disk is copied.

    The copy stands on its own: base files that only the old one needed go with it. Raises `Conflict` for the pool it
    lies in, another host's pool, and a disk that a running machine cannot change the file of; `NoCapacity`. Undo moves
    it back with all that was written since.
    """
    ctx.may("volume.move", volume.project_id)
    storage.must_allow(volume, "move")
    session = ctx.session
    source, target = session.get_one(Pool, volume.pool_id), storage.get_pool(ctx, pool)
    _refuse_pool(session, volume, source, target)
    head = session.scalars(sa.select(Head).where(Head.volume_id == volume.id)).one()
    path = f"{target.path}/heads/{os.path.basename(head.path)}"
    _refuse_path(session, path, target)
    room = capacity.check(session, target, volume.size_bytes, now=HEAD_BYTES)
    place = storage.attachment_of(session, volume.id)
    instance = session.get(Instance, place.instance_id) if place else None
    first = place is not None and instance is not None and _is_first(session, place)
    if place is not None and instance is not None:
        must_be(instance, DISKS_CHANGE_IN)
        _refuse_live(instance, place, first)

    way = {
        "from_pool": source.id, "to_pool": target.id, "source": head.path, "target": path,
        "instance_id": instance.id if instance is not None else None, "first": first,
    }  # fmt: skip

    def write(session: Session) -> None:
        found = session.get(Pool, target.id, with_for_update=True)  # it may be about to be deleted
        if found is None:
            raise not_found("pool", target.name)
        capacity.check(session, found, volume.size_bytes, now=HEAD_BYTES)
        _refuse_path(session, path, found)

    return Intent(
        kind="volume.move",
        title=_("Move volume {name} to the pool {pool}", name=volume.name, pool=target.name),
        subject=storage.subject_of(volume),
        project_id=volume.project_id,
        arguments={"volume_id": volume.id, "way": way},
        keys=(
            *(keys(instance) if instance is not None else ()), Key(f"volume:{volume.id}"),
            Key(f"pool-work:{target.id}", storage.POOL_SLOTS),
        ),
        subjects=(subject(instance),) if instance is not None else (),
        effects=(
            _("Its {size} are copied from the pool {old} to the pool {new}; the old file is removed once the copy is "
              "in use.", size=format_size(volume.size_bytes), old=source.name, new=target.name),
            *_how(instance, place, head),
        ),
        capacity=(
            _("The pool {pool} may promise {left} more after this.", pool=target.name,
              left=format_size(max(room.left - volume.size_bytes, 0))),
        ),
        back=(_("It is copied back to the pool {pool}, with all that was written since.", pool=source.name),),
        write=write,
        deadline=DEADLINE,
        transparent=True,  # wherever a disk lies, older changes can be taken back
    )  # fmt: skip


@opposite("volume.move")
def move_back(ctx: Context, operation: Operation) -> Intent:
    """Undo of a move: it is moved back to where it came from, with what was written since."""
    volume = storage.get_volume(ctx, operation.arguments["volume_id"])
    return move(ctx, volume, operation.arguments["way"]["from_pool"])


def other_pools(ctx: Context, volume: Volume) -> list[Pool]:
    """Where the volume could go: the other pools of its host, by name."""
    ctx.may("volume.move", volume.project_id)
    here = ctx.session.get_one(Pool, volume.pool_id)
    query = sa.select(Pool).where(Pool.host_id == here.host_id, Pool.id != here.id).order_by(Pool.name)
    return list(ctx.session.scalars(query))


def _how(instance: Instance | None, place: Attachment | None, head: Head) -> tuple[Message, ...]:
    alone = _("The copy stands on its own and shares no base file with others.")
    return (*_meanwhile(instance, place), *((alone,) if head.layer_id else ()))


def _meanwhile(instance: Instance | None, place: Attachment | None) -> tuple[Message, ...]:
    if instance is None or place is None:
        return ()
    if instance.state not in LIVE:
        return (_("The instance {name} cannot be started meanwhile.", name=instance.name),)
    if place.bus not in HOT_BUSES:
        return (_("The instance {name} goes on while it is copied.", name=instance.name),)
    return (_("The instance {name} goes on while it is copied, and then with the copy.", name=instance.name),)


def _refuse_pool(session: Session, volume: Volume, source: Pool, target: Pool) -> None:
    storage.refuse_adopted(session, volume)
    if target.id == source.id:
        raise Conflict(
            _("The volume {name} lies in the pool {pool} already.", name=volume.name, pool=target.name),
            fields={"pool": _("another pool")},
        )
    if target.host_id != source.host_id:
        raise Conflict(
            _("The pool {pool} belongs to another host.", pool=target.name),
            fields={"pool": _("a pool of the same host")},
        )


def _refuse_path(session: Session, path: str, pool: Pool) -> None:
    """A name that is taken there: only a file that this volume left behind and that is a base of others now."""
    for table in (Head, Layer):
        if session.scalar(sa.select(table.id).where(table.path == path)) is not None:
            raise Conflict(_("In the pool {pool} lies a file of this name that others need.", pool=pool.name))


def _is_first(session: Session, place: Attachment) -> bool:
    return storage.attachments_of(session, place.instance_id)[0].attachment.id == place.id


def _refuse_live(instance: Instance, place: Attachment, first: bool) -> None:
    if instance.state not in LIVE:
        return
    if place.readonly:
        raise Conflict(
            _("The running instance {name} has it read-only, and such a disk cannot change its file.",
              name=instance.name),
            hint=_("Detach it or stop the instance first."),
        )  # fmt: skip
    if first and instance.firmware != "bios":
        raise Conflict(
            _("The firmware of the running instance {name} keeps its variables beside this disk.", name=instance.name),
            hint=_("Stop it first."),
        )
