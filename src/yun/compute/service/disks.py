"""The verbs attach, detach and grow: a volume in its place in an instance."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.errors import Conflict, Invalid
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.base.units import format_size
from yun.compute.guest.model import InstanceGuest
from yun.compute.model import DISKS_CHANGE_IN, HOT_BUSES, LIVE, Instance
from yun.compute.service.bus_fit import refuse_unfit
from yun.compute.service.disk_ways import DiskWish, Ways, checked_ways, refuse_bad_ways, said_ways
from yun.compute.service.look import must_be
from yun.compute.service.power import keys, subject
from yun.compute.service.room import need_of_disk, said_when, takes_now
from yun.compute.service.slots import LETTERS, free_slot, refuse_taken, slots_of
from yun.operations.intent import Intent, Key, Subject
from yun.operations.model import Operation
from yun.operations.opposites import opposite
from yun.storage import capacity, names
from yun.storage import service as storage
from yun.storage.model import Attachment, Pool, TrashItem, Volume, VolumeState

DETACH_SECONDS = 30


@dataclass(frozen=True)
class Place(DiskWish):
    """How a volume is to be put into an instance. ``slot`` empty: the first free one of the bus."""

    bus: str = "virtio"
    slot: str = ""
    readonly: bool = False


def attach(ctx: Context, volume: Volume, instance: Instance, place: Place | None = None) -> Intent:
    """Put a volume into an instance: at once where it runs and the bus allows it, else at its next start.

    Raises `Invalid` for a bus, slot, cache or I/O mode there is not and for limits that contradict each other,
    `Conflict` for a volume that is attached or not available, a slot that is taken, another project's or another host's
    instance. Undo takes it out again. The volume outlives the instance: it is let go of when that is deleted.
    """
    ctx.may("volume.attach", volume.project_id)
    ctx.may("volume.attach", instance.project_id)
    must_be(instance, DISKS_CHANGE_IN)
    storage.must_allow(volume, "attach")
    storage.refuse_attached(ctx.session, volume)
    _same_home(ctx.session, volume, instance)
    place = _checked(place or Place())
    refuse_unfit(ctx.session, instance, place.bus, readonly=place.readonly)
    slot = free_slot(ctx.session, instance, place.bus, place.slot)
    ways = checked_ways(ctx.session, instance, place)
    need = need_of_disk(place.bus)
    now = takes_now(ctx.session, instance, need)

    def write(session: Session) -> None:
        storage.refuse_attached(session, volume)
        refuse_taken(session, instance, slot)

    return Intent(
        kind="volume.attach",
        title=_("Attach volume {name} to instance {instance}", name=volume.name, instance=instance.name),
        subject=storage.subject_of(volume),
        project_id=volume.project_id,
        arguments={
            "volume_id": volume.id, "instance_id": instance.id,
            "place": _placed(place, slot, ways),
        },
        keys=(*keys(instance), Key(f"volume:{volume.id}")),
        subjects=(subject(instance),),
        effects=(
            _("The instance {name} has it as {slot} ({bus}).", name=instance.name, slot=slot, bus=place.bus),
            said_when(instance, need, now=now),
            *((_("The guest can only read it."),) if place.readonly else ()),
            *said_ways(ctx.session, instance, ways),
        ),
        back=(_("It is taken out of the instance again."),),
        write=write,
    )  # fmt: skip


def add_disk(
    ctx: Context, instance: Instance, *, size_bytes: int, name: str | None = None, pool: str | None = None,
    place: Place | None = None, format: str = "qcow2",
) -> Intent:  # fmt: skip
    """Make an empty volume and put it into the instance, in one operation.

    Without a ``name`` it is called like the instance and its slot. Its file is of this ``format``. Raises as `attach`,
    and as creating a volume does.
    Undo takes it out; the volume stays with what was written to it.
    """
    ctx.may("instance.add_disk", instance.project_id)
    must_be(instance, DISKS_CHANGE_IN)
    place = _checked(place or Place())
    refuse_unfit(ctx.session, instance, place.bus, readonly=place.readonly)
    slot = free_slot(ctx.session, instance, place.bus, place.slot)
    ways = checked_ways(ctx.session, instance, place)
    with capacity.asked_in("size_bytes"):
        plan = storage.plan_volume(
            ctx, name=name or f"{instance.name}-{slot}", size_bytes=size_bytes, project_id=instance.project_id,
            pool=pool, exact=name is not None,
        )  # fmt: skip
    plan = storage.in_format(plan, format)
    if plan.pool.host_id != instance.host_id:
        raise Conflict(_("The volume lies in the pool {pool}, which another host has.", pool=plan.pool.name))
    need = need_of_disk(place.bus)
    now = takes_now(ctx.session, instance, need)

    def write(session: Session) -> None:
        plan.write(session)
        refuse_taken(session, instance, slot)

    return Intent(
        kind="instance.add_disk",
        title=_(
            "Add a disk of {size} to instance {instance}", size=format_size(plan.size_bytes), instance=instance.name
        ),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={"instance_id": instance.id, "volume_id": plan.volume_id, "place": _placed(place, slot, ways)},
        keys=(*keys(instance), Key(f"volume:{plan.volume_id}"), Key(f"pool-work:{plan.pool.id}", storage.POOL_SLOTS)),
        subjects=(Subject("volume", plan.volume_id, plan.name),),
        effects=(
            _("An empty disk of {size} in the pool {pool}.", size=format_size(plan.size_bytes), pool=plan.pool.name),
            *storage.said_format(plan),
            _("The instance {name} has it as {slot} ({bus}).", name=instance.name, slot=slot, bus=place.bus),
            said_when(instance, need, now=now),
            *said_ways(ctx.session, instance, ways),
        ),
        capacity=storage.capacity_left(plan),
        write=write,
    )  # fmt: skip


@opposite("instance.add_disk")
def unadd(ctx: Context, operation: Operation) -> Intent:
    """Undo of an added disk: it is taken out, and the volume stays with what was written to it. Raises `Conflict` where
    another instance has it by now: it is taken from nobody else."""
    volume = storage.get_volume(ctx, operation.arguments["volume_id"])
    place = storage.attachment_of(ctx.session, volume.id)
    if place is not None and place.instance_id != operation.arguments["instance_id"]:
        raise Conflict(
            _("The instance {instance} has the volume {name} by now.", instance=place.instance_name, name=volume.name),
            hint=_("Detach it there first, if that is meant."),
            details={"instance_id": place.instance_id},
        )
    return detach(ctx, volume)


def detach(
    ctx: Context, volume: Volume, *, timeout: int = DETACH_SECONDS, boot_disk: bool = False,
    even_if_mounted: bool = False, trash: bool = False,
) -> Intent:  # fmt: skip
    """Take a volume out of its instance; it stays with all its data. A running guest is asked for it and given
    ``timeout`` seconds (1 to 600) to let go; one that does not keeps it, and the operation fails. So it does where
    the guest's agent says that the disk is mounted, unless ``even_if_mounted``. With ``trash`` the volume goes there.

    The disk it boots from needs ``boot_disk``, and a machine that is off. Raises `Conflict` for a volume that is not
    attached. Undo puts it back where it was.
    """
    ctx.may("volume.detach", volume.project_id)
    place, instance = _attached(ctx.session, volume)
    must_be(instance, DISKS_CHANGE_IN)
    if not 1 <= timeout <= 600:
        raise Invalid(_("A guest cannot be given that long."), fields={"timeout": _("1 to 600 seconds")})
    _refuse_boot_disk(instance, place, boot_disk)
    if trash:
        ctx.may("volume.delete", volume.project_id)
    now = instance.state in LIVE and place.bus in HOT_BUSES and not place.waits
    return Intent(
        kind="volume.detach",
        title=_("Detach volume {name} from instance {instance}", name=volume.name, instance=instance.name),
        subject=storage.subject_of(volume),
        project_id=volume.project_id,
        arguments={"volume_id": volume.id, "instance_id": instance.id, "seconds": timeout,
                   "even_if_mounted": even_if_mounted, "trash": _trash(ctx) if trash else None},
        keys=(*keys(instance), Key(f"volume:{volume.id}")),
        subjects=(subject(instance),),
        effects=(
            _gone(ctx, volume, instance, place, trash),
            when_gone(instance, place, now=now),
            *(_mounted(ctx, instance, place, even_if_mounted) if now else ()),
        ),
        back=(_("It is put back as {slot}.", slot=place.slot),),
        deadline=600.0 + timeout,
    )  # fmt: skip


def grow(ctx: Context, volume: Volume, size_bytes: int) -> Intent:
    """Enlarge a volume; a running guest sees it at once. Raises `Invalid` for a size that is not larger, `NoCapacity`,
    and `Conflict` for a volume that is not available. Cannot be undone: what a guest wrote at the end would be lost."""
    ctx.may("volume.grow", volume.project_id)
    storage.must_allow(volume, "grow")
    size = names.check_size(size_bytes)
    if size <= volume.size_bytes:
        raise Invalid(
            _("A volume can only grow; it has {size}.", size=format_size(volume.size_bytes)),
            fields={"size_bytes": _("more than {size}", size=format_size(volume.size_bytes))},
        )
    session = ctx.session
    pool = session.get_one(Pool, volume.pool_id)
    more = size - volume.size_bytes
    with capacity.asked_in("size_bytes", had=volume.size_bytes):
        room = capacity.check(session, pool, more)
    found = storage.attachment_of(session, volume.id)
    instance = session.get(Instance, found.instance_id) if found is not None else None
    if instance is not None:
        must_be(instance, DISKS_CHANGE_IN)
    return Intent(
        kind="volume.grow",
        title=_("Grow volume {name} to {size}", name=volume.name, size=format_size(size)),
        subject=storage.subject_of(volume),
        project_id=volume.project_id,
        arguments={"volume_id": volume.id, "size_bytes": size},
        keys=(*(keys(instance) if instance is not None else ()), Key(f"volume:{volume.id}")),
        subjects=(subject(instance),) if instance is not None else (),
        effects=(
            _("It grows from {old} to {new}.", old=format_size(volume.size_bytes), new=format_size(size)),
            *((_("The running guest sees it at once."),) if _sees(instance, found) else ()),
            _("The file system on it is enlarged by the guest."),
        ),
        capacity=(
            _("The pool {pool} may promise {left} more after this.", pool=pool.name,
              left=format_size(max(room.left - more, 0))),
        ),
        undoable=False,
        no_undo=_("A disk that grew cannot be made smaller: what was written at its end would be lost."),
        transparent=True,  # older changes can be taken back whatever the size
    )  # fmt: skip


def free_volumes(ctx: Context, instance: Instance) -> list[Volume]:
    """Volumes that the instance could take: of its project, on its host, in no instance; by name, at most 200."""
    ctx.may("volume.list", instance.project_id)
    query = (
        sa.select(Volume)
        .join(Pool, Pool.id == Volume.pool_id)
        .outerjoin(Attachment, Attachment.volume_id == Volume.id)
        .where(
            Volume.project_id == instance.project_id, Volume.state == VolumeState.AVAILABLE,
            Pool.host_id == instance.host_id, Attachment.id.is_(None),
        )
        .order_by(Volume.name)
        .limit(200)
    )  # fmt: skip
    return list(ctx.session.scalars(query))


# ── parts ──


def _sees(instance: Instance | None, place: Attachment | None) -> bool:
    return instance is not None and place is not None and instance.state in LIVE and not place.waits


def when_gone(instance: Instance, place: Attachment, *, now: bool) -> Message:
    """When a disk is out of its instance."""
    if instance.state in LIVE and place.waits:
        return _("The running instance never got it: its guest is not asked.")
    return said_when(instance, "", now=now)


def _checked(place: Place) -> Place:
    wrong: dict[str, Message] = {}
    if place.bus not in LETTERS:
        wrong["bus"] = _("one of {names}", names=", ".join(LETTERS))
    elif place.slot and place.slot not in slots_of(place.bus):
        wrong["slot"] = _("one of {names}", names=", ".join(slots_of(place.bus)))
    wrong |= refuse_bad_ways(place.cache, place.io, place.serial)
    if wrong:
        raise Invalid(_("A disk cannot be attached like that."), fields=wrong)
    return place


def _placed(place: Place, slot: str, ways: Ways) -> dict[str, object]:
    """The place as an argument of the operation; the id of its row is chosen now."""
    return {
        "id": new_id(Attachment.PREFIX), "slot": slot, "bus": place.bus, "readonly": place.readonly, **ways.values(),
    }  # fmt: skip


def _same_home(session: Session, volume: Volume, instance: Instance) -> None:
    if volume.project_id != instance.project_id:
        raise Conflict(_("The volume and the instance belong to different projects."))
    pool = session.get_one(Pool, volume.pool_id)
    if pool.host_id != instance.host_id:
        raise Conflict(_("The volume lies in the pool {pool}, which another host has.", pool=pool.name))


def _trash(ctx: Context) -> dict[str, str]:
    """What lies in the trash needs an id and a day, chosen now."""
    until = storage.kept_until(ctx.clock.now(), ctx.settings)
    return {"trash_id": new_id(TrashItem.PREFIX), "purge_at": until.isoformat()}


def _gone(ctx: Context, volume: Volume, instance: Instance, place: Attachment, trash: bool) -> Message:
    if not trash:
        return _("The instance {name} no longer has {slot}; the volume stays.", name=instance.name, slot=place.slot)
    return _(
        "The instance {name} no longer has {slot}; the volume goes to the trash with its {size} and is removed for "
        "good on {day}.",
        name=instance.name, slot=place.slot, size=format_size(volume.size_bytes),
        day=storage.kept_until(ctx.clock.now(), ctx.settings).date().isoformat(),
    )  # fmt: skip


def _mounted(ctx: Context, instance: Instance, place: Attachment, agreed: bool) -> tuple[Message, ...]:
    """What the guest said of the disk when it was last asked; it is asked again before the disk is taken."""
    if agreed:
        return (_("It is taken even if the guest has it mounted, which may lose what was not written yet."),)
    told = ctx.session.get(InstanceGuest, instance.id)
    mounts = sorted(f["mount"] for f in (told.file_systems if told else []) if place.slot in f["slots"])
    if mounts:
        return (
            _("The guest has it mounted at {mounts}: it is refused until that is unmounted.", mounts=", ".join(mounts)),
        )
    if instance.agent:
        return (_("It is refused where the guest has it mounted."),)
    return (_("Unmount it in the guest first: a guest may lose what it has not written yet."),)


def _attached(session: Session, volume: Volume) -> tuple[Attachment, Instance]:
    place = storage.attachment_of(session, volume.id)
    instance = session.get(Instance, place.instance_id) if place is not None else None
    if place is None or instance is None:
        raise Conflict(_("The volume {name} is not attached to an instance.", name=volume.name))
    return place, instance


def _refuse_boot_disk(instance: Instance, place: Attachment, agreed: bool) -> None:
    if place.boot_order != 1:
        return
    if not agreed:
        raise Conflict(
            _("The instance {name} boots from {slot}.", name=instance.name, slot=place.slot),
            hint=_("Say so if you mean it: --boot-disk."),
        )
    if instance.state in LIVE:
        raise Conflict(
            _("The instance {name} runs from {slot}.", name=instance.name, slot=place.slot), hint=_("Stop it first.")
        )
