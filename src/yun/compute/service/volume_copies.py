"""The verbs copy and download of a volume: an independent volume with the same content, or a file to take away."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.errors import Conflict, Invalid
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.base.units import format_size
from yun.compute.model import LIVE, SETTLED, Instance
from yun.compute.service.clone import consistency
from yun.compute.service.look import must_be
from yun.compute.service.power import subject
from yun.identity.service import get_project
from yun.images.model import Export
from yun.operations.intent import Intent, Key, Subject
from yun.operations.model import Operation
from yun.operations.opposites import opposite
from yun.storage import service as storage
from yun.storage.model import Attachment, Pool, Volume, VolumeState
from yun.storage.service.volumes import head_of

KEPT = timedelta(hours=24)
FORMATS = ("qcow2", "raw")
DEADLINE = 24 * 3600.0


@dataclass(frozen=True)
class Source:
    """A volume that is read as a whole: who has it, and what it is frozen to where a machine writes to it."""

    volume: Volume
    instance: Instance | None
    freeze: dict[str, Any] | None
    effects: tuple[Message, ...]

    @property
    def arguments(self) -> dict[str, Any]:
        """What the operation is told of it."""
        return {
            "source_id": self.volume.id, "instance_id": self.instance.id if self.instance else None,
            "freeze": self.freeze,
        }  # fmt: skip

    @property
    def keys(self) -> tuple[Key, ...]:
        """What stands still meanwhile."""
        own = Key(f"volume:{self.volume.id}")
        return (Key(f"instance:{self.instance.id}"), own) if self.instance else (own,)

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """Whom it concerns."""
        return (storage.subject_of(self.volume), *((subject(self.instance),) if self.instance else ()))


def copy(
    ctx: Context, volume: Volume, *, name: str | None = None, pool: str | None = None, project: str | None = None
) -> Intent:
    """Make an independent volume with all that a volume holds at this moment; whoever has it goes on.

    A disk that a running machine writes to is frozen first, in the condition that the preview names. Without a
    ``name`` it is called like the source with a number; ``pool`` is another one of its host, ``project`` one in which
    the actor may create volumes. Raises `Invalid`, `Conflict` (name, state, another host's pool), `NoCapacity`. Undo
    moves the copy to the trash.
    """
    ctx.may("volume.copy", volume.project_id)
    source = _source(ctx, volume)
    target = replace(ctx, project_id=get_project(ctx, project).id if project else volume.project_id)
    target.may("volume.create")
    here = ctx.session.get_one(Pool, volume.pool_id)
    plan = storage.plan_volume(
        target, name=name or f"{volume.name[:90]}-copy", size_bytes=volume.size_bytes,
        project_id=str(target.project_id), pool=pool or here.id, exact=bool(name), description=volume.description,
    )  # fmt: skip
    if plan.pool.host_id != here.host_id:
        raise Conflict(
            _("The pool {pool} belongs to another host.", pool=plan.pool.name),
            fields={"pool": _("a pool of the same host")},
        )
    return Intent(
        kind="volume.copy",
        title=_("Copy volume {name} to {copy}", name=volume.name, copy=plan.name),
        subject=Subject("volume", plan.volume_id, plan.name),
        project_id=target.project_id,
        arguments={"volume_id": plan.volume_id, **source.arguments},
        keys=(Key(f"volume:{plan.volume_id}"), *source.keys, Key(f"pool-work:{plan.pool.id}", storage.POOL_SLOTS)),
        subjects=source.subjects,
        effects=(
            _("A volume of {size} is made in the pool {pool}, with all that {name} holds; it shares no file with it.",
              size=format_size(volume.size_bytes), pool=plan.pool.name, name=volume.name),
            *source.effects,
        ),
        capacity=storage.capacity_left(plan),
        back=(_("The copy goes to the trash."),),
        write=plan.write,
        transparent=True,  # what was done to the source before can be taken back whatever was copied from it since
        deadline=DEADLINE,
    )  # fmt: skip


@opposite("volume.copy")
def uncopy(ctx: Context, operation: Operation) -> Intent:
    """Undo of a copy: it goes to the trash with what was written to it since."""
    return storage.delete_volume(ctx, storage.get_volume(ctx, operation.arguments["volume_id"]))


def download(ctx: Context, volume: Volume, *, format: str = "qcow2", compress: bool = True) -> Intent:
    """Make a file of all that a volume holds at this moment, in ``qcow2`` (compressed unless said otherwise) or
    ``raw``; it can be fetched for a day. A disk that a running machine writes to is frozen first.

    The export's id is the argument ``export_id`` and in the operation's result. Raises `Invalid` for another format,
    `Conflict` for a volume that cannot be read now.
    """
    ctx.may("volume.download", volume.project_id)
    if format not in FORMATS:
        names = _("one of {names}", names=", ".join(FORMATS))
        raise Invalid(_("{field} cannot be {value}.", field="format", value=format[:40]), fields={"format": names})
    source = _source(ctx, volume)
    pool = ctx.session.get_one(Pool, volume.pool_id)
    identifier = new_id(Export.PREFIX)

    def write(session: Session) -> None:
        session.add(
            Export(
                id=identifier, project_id=volume.project_id, image_id=volume.id, image_name=volume.name,
                pool_id=pool.id, path=f"{pool.path}/incoming/{identifier}.{format}", format=format,
                expires_at=ctx.clock.now() + KEPT,
            )
        )  # fmt: skip

    return Intent(
        kind="volume.download",
        title=_("Download volume {name}", name=volume.name),
        subject=storage.subject_of(volume),
        project_id=volume.project_id,
        arguments={"export_id": identifier, "compress": compress and format == "qcow2", **source.arguments},
        keys=(*source.keys, Key("image-work", slots=2)),
        subjects=source.subjects,
        effects=(
            _("A copy in the format {format} is made; it can be downloaded for 24 hours.", format=format),
            _("It takes what is on the disk, not its whole size of {size}.", size=format_size(volume.size_bytes)),
            *source.effects,
            _("Passwords and keys on the disk go along as they are."),
        ),
        capacity=(_("The pool {pool} has {free} left.", pool=pool.name, free=format_size(pool.free_bytes)),),
        write=write,
        undoable=False,
        no_undo=_("A download cannot be taken back; the copy goes by itself."),
        transparent=True,
        deadline=DEADLINE,
    )  # fmt: skip


def _source(ctx: Context, volume: Volume) -> Source:
    """The volume as it can be read now. Raises `Conflict` where nothing trustworthy can be read."""
    if volume.state != VolumeState.AVAILABLE:
        storage.must_allow(volume, "copy")
    place = storage.attachment_of(ctx.session, volume.id)
    instance = ctx.session.get(Instance, place.instance_id) if place is not None else None
    if place is None or instance is None:
        return Source(volume, None, None, (_("No instance has it: it is copied as it is."),))
    must_be(instance, SETTLED)
    adopted = head_of(ctx.session, volume.id).adopted
    if instance.state in LIVE and adopted and not place.readonly:
        raise Conflict(
            _("The disk {name} was taken over, and a running machine writes to it: a copy would be torn.",
              name=volume.name),
            hint=_("Stop the instance first, or detach the volume."),
        )  # fmt: skip
    freeze = None if adopted or place.readonly else storage.plan_freeze(ctx.session, volume)
    return Source(volume, instance, freeze, _meanwhile(instance, place))


def _meanwhile(instance: Instance, place: Attachment) -> tuple[Message, ...]:
    if instance.state in LIVE and place.readonly:
        how: tuple[Message, ...] = (
            _("The running instance {name} can only read it: it is copied as it is.", name=instance.name),
        )
    else:
        how = consistency(instance)
    return (*how, _("The instance {name} cannot be changed until the copy is done.", name=instance.name))
