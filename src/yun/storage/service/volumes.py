"""Volumes: look, plan, make, delete; and their places in instances."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context, not_found
from yun.base.errors import Conflict, Invalid
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.base.naming import no_option
from yun.base.paging import Page, paginate
from yun.base.units import format_size
from yun.operations.intent import Intent, Key, Subject
from yun.operations.model import Operation
from yun.operations.opposites import opposite
from yun.storage import capacity, names
from yun.storage.model import ALLOWED, Attachment, Head, Layer, Pool, TrashItem, Volume, VolumeState
from yun.storage.service import search
from yun.storage.service.layers import get_layer
from yun.storage.service.pools import default_pool, get_pool
from yun.storage.service.trash import kept_until

SORTS = {
    "name": Volume.name, "created_at": Volume.created_at, "size_bytes": Volume.size_bytes,
    "used_bytes": Volume.used_bytes, "state": Volume.state,
}  # fmt: skip
FORMATS = ("qcow2", "raw")
"""What the file of a new empty volume can be."""
HEAD_BYTES = 1024 * 1024
POOL_SLOTS = 16


@dataclass(frozen=True)
class Disk:
    """A volume in its place: what is attached, where, and the file that holds it."""

    attachment: Attachment
    volume: Volume
    head: Head

    @property
    def volume_id(self) -> str:
        """The volume's id."""
        return self.volume.id


@dataclass(frozen=True)
class VolumePlan:
    """A volume before it is: ids chosen, capacity checked. ``write`` adds its rows."""

    volume_id: str
    head_id: str
    name: str
    size_bytes: int
    pool: Pool
    layer: Layer | None
    project_id: str
    description: str = ""
    exact: bool = False
    room: capacity.Room | None = None
    format: str = "qcow2"

    def write(self, session: Session) -> None:
        """Add the rows, state ``building``; capacity, base and name are checked again, now that nobody else writes."""
        pool = session.get(Pool, self.pool.id)
        if pool is None:
            raise not_found("pool", self.pool.name)
        capacity.check(session, pool, self.size_bytes, now=HEAD_BYTES)
        if self.layer is not None:
            get_layer(session, self.layer.id, lock=True)
        name = self.name
        if taken(session, self.project_id, name):
            if self.exact:
                raise name_taken(name)
            name = free_name(session, self.project_id, name)
        session.add(
            Volume(
                id=self.volume_id, project_id=self.project_id, pool_id=pool.id, name=name, size_bytes=self.size_bytes,
                description=self.description,
            )
        )  # fmt: skip
        session.flush()
        path = f"{pool.path}/heads/{self.head_id}.{self.format}"
        layer_id = self.layer.id if self.layer else None
        session.add(Head(id=self.head_id, volume_id=self.volume_id, layer_id=layer_id, path=path, format=self.format))
        session.flush()


def subject_of(volume: Volume) -> Subject:
    """The volume as the subject of an operation."""
    return Subject("volume", volume.id, volume.name)


# ── looking ──


def get_volume(ctx: Context, reference: str) -> Volume:
    """A volume by id, or by name in the context's project; trashed ones too. Raises `NotFound`."""
    query = sa.select(Volume)
    if names.is_id(reference, "vol"):
        query = query.where(Volume.id == reference)
    else:
        query = query.where(Volume.name == reference, Volume.project_id == ctx.project_id)
    found = ctx.session.scalar(query)
    if found is None:
        raise not_found("volume", reference[:120])
    ctx.must_see(found.project_id, "volume", reference[:120])
    ctx.may("volume.show", found.project_id)
    return found


def list_volumes(
    ctx: Context, *, state: str | None = None, pool: str | None = None, q: str | None = None, sort: str = "name",
    cursor: str | None = None, limit: int = 100,
) -> Page[Volume]:  # fmt: skip
    """Volumes of the context's project (of all projects for the cloud's administrator without one).

    The trash is left out unless ``state`` or the query asks for it. ``q`` is in the query language (`search.FIELDS`,
    and free text). Raises `Invalid` for an unknown state or sort, and for a query that means nothing.
    """
    query = _listed(ctx, state, pool, q or "")
    return paginate(ctx.session, query, sorts=SORTS, key=Volume.id, sort=sort, cursor=cursor, limit=limit)


def ids_of(ctx: Context, q: str, most: int) -> list[str]:
    """The ids of all volumes that a query of the list finds, by name; at most ``most``."""
    query = _listed(ctx, None, None, q).with_only_columns(Volume.id).order_by(Volume.name, Volume.id)
    return list(ctx.session.scalars(query.limit(most)))


def count_volumes(ctx: Context, *, state: str | None = None, pool: str | None = None, q: str = "") -> int:
    """How many volumes the list has in all."""
    query = _listed(ctx, state, pool, q).with_only_columns(sa.func.count())
    return ctx.session.scalar(query) or 0


def _listed(ctx: Context, state: str | None, pool: str | None, q: str) -> sa.Select[Any]:
    ctx.may("volume.list")
    query = sa.select(Volume)
    if ctx.project_id is not None:
        query = query.where(Volume.project_id == ctx.project_id)
    if state:
        if state not in list(VolumeState):
            known = ", ".join(VolumeState)
            right = _("one of {names}", names=known)
            raise Invalid(_("There is no state {state}.", state=state[:40]), fields={"state": right})
        query = query.where(Volume.state == state)
    elif not search.asks_for_trash(q):
        query = query.where(Volume.state != VolumeState.TRASHED)
    if pool:
        query = query.where(Volume.pool_id == get_pool(ctx, pool).id)
    if q:
        query = query.where(*search.conditions(ctx.session, q))
    return query


def attachments_of(session: Session, instance_id: str) -> list[Disk]:
    """The disks of an instance, by slot (``vda`` first)."""
    query = (
        sa.select(Attachment, Volume, Head)
        .join(Volume, Volume.id == Attachment.volume_id)
        .join(Head, Head.volume_id == Volume.id)
        .where(Attachment.instance_id == instance_id)
        .order_by(sa.func.length(Attachment.slot), Attachment.slot)
    )
    return [Disk(a, v, h) for a, v, h in session.execute(query)]


def attachment_of(session: Session, volume_id: str) -> Attachment | None:
    """Where a volume is attached, or None."""
    return session.scalar(sa.select(Attachment).where(Attachment.volume_id == volume_id))


def head_of(session: Session, volume_id: str) -> Head:
    """The file that holds a volume now."""
    return session.scalars(sa.select(Head).where(Head.volume_id == volume_id)).one()


def disk_path(session: Session, volume_id: str) -> str:
    """The absolute path of the file that holds a volume now."""
    return head_of(session, volume_id).path


# ── planning and changing ──


def plan_volume(
    ctx: Context, *, name: str, size_bytes: int, project_id: str, layer_id: str | None = None, pool: str | None = None,
    exact: bool = False, description: str = "",
) -> VolumePlan:  # fmt: skip
    """Choose ids and pool for a new volume on a layer or on nothing, and check that it fits.

    A name that is taken gets a number, unless ``exact``. Raises `Invalid` (size, name), `NoCapacity` naming how much
    is short, `Unavailable` for a pool that is away, `Conflict` for a base that is spoilt.
    """
    session = ctx.session
    layer = get_layer(session, layer_id) if layer_id else None
    size = names.check_size(size_bytes, least=layer.virtual_bytes if layer else names.LEAST)
    if pool:
        chosen = get_pool(ctx, pool)
        if layer is not None and layer.pool_id != chosen.id:
            raise Invalid(
                _("The base file does not lie in the pool {pool}.", pool=chosen.name),
                fields={"pool": _("the pool of the image")},
            )
    else:
        chosen = session.get_one(Pool, layer.pool_id) if layer else default_pool(session)
    room = capacity.check(session, chosen, size, now=HEAD_BYTES)
    clean = names.check_name(name)
    if exact and taken(session, project_id, no_option(clean)):
        raise name_taken(clean)
    return VolumePlan(
        new_id(Volume.PREFIX), new_id(Head.PREFIX), clean, size, chosen, layer, project_id, description, exact, room
    )  # fmt: skip


def in_format(plan: VolumePlan, format: str) -> VolumePlan:
    """The plan of an empty volume whose file is of this format. Raises `Invalid` for one that there is not."""
    if format not in FORMATS:
        raise Invalid(
            _("A disk cannot be of the format {format}.", format=format[:40]),
            fields={"format": _("one of {names}", names=", ".join(FORMATS))},
        )
    return replace(plan, format=format)


def said_format(plan: VolumePlan) -> tuple[Message, ...]:
    """What its format means, for a preview; nothing of the usual one."""
    if plan.format != "raw":
        return ()
    return (
        _("Its file is raw: it takes what its guest has written, shares nothing with others, and is a little faster "
          "than qcow2."),
        _("The first time that it is frozen, for a clone, an image, or a copy while it is in use, a qcow2 file comes "
          "to stand on it."),
    )  # fmt: skip


def taken(session: Session, project_id: str, name: str) -> bool:
    """Whether a volume of the project (the trash included) has the name."""
    query = sa.select(Volume.id).where(Volume.project_id == project_id, Volume.name == name)
    return session.scalar(query) is not None


def free_name(session: Session, project_id: str, name: str) -> str:
    """The name with the first number that is free behind it."""
    begin = name[: names.NAME_LENGTH - 8]
    query = sa.select(Volume.name).where(
        Volume.project_id == project_id, Volume.name.startswith(begin + "-", autoescape=True)
    )
    there = set(session.scalars(query))
    number = 2
    while f"{begin}-{number}" in there:
        number += 1
    return f"{begin}-{number}"


def name_taken(name: str) -> Conflict:
    """The sentence for a name that is not free."""
    return Conflict(
        _("There is a volume {name} already, perhaps in the trash.", name=name), fields={"name": _("another name")}
    )


def create_volume(
    ctx: Context, *, name: str, size_bytes: int, pool: str | None = None, description: str = "", format: str = "qcow2"
) -> Intent:
    """Make an empty volume in the context's project, its file of this ``format``. Raises as `plan_volume` and
    `in_format`, and `Conflict` for a taken name."""
    ctx.may("volume.create")
    project_id = ctx.project_id
    if project_id is None:
        raise Invalid(_("A volume needs a project."), fields={"project": _("the name of a project")})
    if len(description) > 500:
        right = _("at most {most} characters", most=500)
        raise Invalid(_("The description is too long."), fields={"description": right})
    with capacity.asked_in("size_bytes"):
        plan = plan_volume(
            ctx, name=name, size_bytes=size_bytes, project_id=project_id, pool=pool, exact=True, description=description
        )
    plan = in_format(plan, format)
    return Intent(
        kind="volume.create",
        title=_("Create volume {name}", name=plan.name),
        subject=Subject("volume", plan.volume_id, plan.name),
        project_id=project_id,
        arguments={"volume_id": plan.volume_id},
        keys=(Key(f"volume:{plan.volume_id}"), Key(f"pool-work:{plan.pool.id}", POOL_SLOTS)),
        effects=(
            _("An empty disk of {size} in the pool {pool}.", size=format_size(plan.size_bytes), pool=plan.pool.name),
            *said_format(plan),
        ),
        capacity=capacity_left(plan),
        write=plan.write,
        deadline=120.0,
    )


def capacity_left(plan: VolumePlan) -> tuple[Message, ...]:
    """What the pool may still promise afterwards, for a preview."""
    assert plan.room is not None
    left = format_size(max(plan.room.left - plan.size_bytes, 0))
    return (_("The pool {pool} may promise {left} more after this.", pool=plan.pool.name, left=left),)


def must_allow(volume: Volume, verb: str) -> None:
    """Raise `Conflict` where the verb makes no sense in the volume's state."""
    if volume.state not in ALLOWED[verb]:
        raise Conflict(
            _("The volume {name} is {state}; this is not possible now.", name=volume.name, state=_(volume.state))
        )


def delete_volume(ctx: Context, volume: Volume) -> Intent:
    """Move a volume to the trash, where it is kept for the undo window. Raises `Conflict` for an attached one."""
    ctx.may("volume.delete", volume.project_id)
    must_allow(volume, "delete")
    refuse_attached(ctx.session, volume)
    purge_at = kept_until(ctx.clock.now(), ctx.settings)
    return Intent(
        kind="volume.delete",
        title=_("Delete volume {name}", name=volume.name),
        subject=subject_of(volume),
        project_id=volume.project_id,
        arguments={"volume_id": volume.id, "trash_id": new_id(TrashItem.PREFIX), "purge_at": purge_at.isoformat()},
        effects=(
            _(
                "It goes to the trash with its {size} and is removed for good on {day}.",
                size=format_size(volume.size_bytes), day=purge_at.date().isoformat(),
            ),
        ),
        instant=True,
    )  # fmt: skip


@opposite("volume.create")
def uncreate(ctx: Context, operation: Operation) -> Intent:
    """Undo of a creation: the volume goes to the trash with its data."""
    return delete_volume(ctx, get_volume(ctx, operation.subject_id))


def refuse_attached(session: Session, volume: Volume) -> None:
    """Raise `Conflict` where an instance has the volume."""
    place = attachment_of(session, volume.id)
    if place is not None:
        raise Conflict(
            _("The volume {name} is attached to an instance as {slot}.", name=volume.name, slot=place.slot),
            hint=_("Detach it first, or delete the instance."),
            details={"instance_id": place.instance_id},
        )


def attach(
    session: Session, *, volume_id: str, instance_id: str, slot: str, bus: str = "virtio",
    boot_order: int | None = None, readonly: bool = False, instance_name: str = "",
) -> Attachment:  # fmt: skip
    """Write a volume's place in an instance, in the caller's transaction. Raises `Conflict` where it has one."""
    place = attachment_of(session, volume_id)
    if place is not None and (place.instance_id, place.slot) != (instance_id, slot):
        raise Conflict(_("The volume is attached already, as {slot}.", slot=place.slot))
    if place is None:
        place = Attachment(
            volume_id=volume_id, instance_id=instance_id, instance_name=instance_name, slot=slot, bus=bus,
            boot_order=boot_order, readonly=readonly,
        )  # fmt: skip
        session.add(place)
        session.flush()
    return place


def detach(session: Session, volume_id: str) -> None:
    """The volume has no place in any instance, in the caller's transaction."""
    session.execute(sa.delete(Attachment).where(Attachment.volume_id == volume_id))


