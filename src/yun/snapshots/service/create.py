"""The verbs create, update and take_disk: a node of an instance's present, its name, one of its disks as a volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.errors import Conflict, Invalid
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.base.units import MIB, format_size
from yun.compute.model import LIVE, SETTLED, Instance
from yun.compute.model import State as InstanceState
from yun.compute.names import check_name
from yun.compute.service.clone import read_only, refuse_unusable
from yun.compute.service.given import devices_of
from yun.compute.service.look import must_be
from yun.compute.service.power import HOST_SLOTS
from yun.compute.service.power import subject as instance_subject
from yun.operations.intent import Intent, Key, Subject, unchanged
from yun.snapshots import places
from yun.snapshots.model import Kind, Snapshot
from yun.snapshots.service.look import disks_of, must_allow, taken
from yun.storage import capacity
from yun.storage import service as storage
from yun.storage.model import Pool
from yun.storage.service import Disk

NOTE_LENGTH = 1000
MOST = 1000
"""How many snapshots an instance may have."""


@dataclass(frozen=True)
class SnapshotWish:
    """What a person asks for. ``memory`` keeps what a running guest has in memory, too; ``quiesce`` asks its agent to
    bring the file systems to rest; ``without`` are disks (by slot, name or id) that are left out."""

    name: str
    note: str = ""
    memory: bool = False
    quiesce: bool = True
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class NodePlan:
    """A node before it is: its row, and what its operation is told."""

    row: Snapshot
    arguments: dict[str, Any]
    frozen: tuple[Disk, ...]
    left: tuple[Disk, ...]

    def write(self, session: Session) -> None:
        """Add the row, state ``building``. Raises `Conflict` for a name that is taken by now."""
        if taken(session, self.row.instance_id, self.row.name):
            raise name_taken(self.row.name)
        session.add(self.row)
        session.flush()


def subject_of(row: Snapshot) -> Subject:
    """The snapshot as the subject of an operation."""
    return Subject("snapshot", row.id, row.name)


def name_taken(name: str) -> Conflict:
    """The sentence for a name that is not free."""
    return Conflict(
        _("The instance has a snapshot {name} already, perhaps in the trash.", name=name),
        fields={"name": _("another name")},
    )


def check_note(note: str) -> str:
    """The note, trimmed. Raises `Invalid` for a long one."""
    note = note.strip()
    if len(note) > NOTE_LENGTH:
        right = _("at most {most} characters", most=NOTE_LENGTH)
        raise Invalid(_("The note is too long."), fields={"note": right})
    return note


def create(ctx: Context, instance: Instance, wish: SnapshotWish) -> Intent:
    """Keep an instance as it is now, running, paused or off; it goes on.

    The files of its disks are frozen at one moment and it writes to new ones on top of them: nothing is copied. With
    ``memory`` its memory is written to a file, too. Raises `Invalid` for name, note, disks, and memory of one that is
    off; `Conflict` for a taken name, unsound disks, and devices of the host whose state cannot be kept; `NoCapacity`.
    Undo moves the snapshot to the trash.
    """
    ctx.may("snapshot.create", instance.project_id)
    must_be(instance, SETTLED)
    plan = plan_node(ctx, instance, wish)
    return Intent(
        kind="snapshot.create",
        title=_("Take snapshot {name} of instance {instance}", name=plan.row.name, instance=instance.name),
        subject=subject_of(plan.row),
        project_id=instance.project_id,
        arguments=plan.arguments,
        keys=(Key(f"instance:{instance.id}"), Key(f"host:{instance.host_id}", HOST_SLOTS)),
        subjects=(instance_subject(instance),),
        effects=(*_said(instance, wish, plan),),
        depends=(_("instance {name}", name=instance.name),),
        capacity=_needed(ctx.session, instance, wish),
        back=(_("The snapshot goes to the trash."),),
        write=plan.write,
        transparent=True,  # what was done to the instance before can be taken back whatever was kept of it since
        deadline=600.0 + (instance.memory_mib / 50 if wish.memory else 0),
    )


def plan_node(ctx: Context, instance: Instance, wish: SnapshotWish, *, kind: Kind = Kind.MANUAL) -> NodePlan:
    """Choose everything for a node of the instance as it is now. Raises as `create`."""
    session = ctx.session
    name, note = check_name(wish.name), check_note(wish.note)
    if taken(session, instance.id, name):
        raise name_taken(name)
    disks = storage.attachments_of(session, instance.id)
    refuse_unusable(instance, disks)
    out = _left_out(disks, wish.without)
    if wish.memory:
        refuse_memory(session, instance)
        if out:
            raise Invalid(
                _("With memory all disks are kept: a guest that goes on would find another content than it knows."),
                fields={"without": _("none with memory")},
            )
    left = [d for d in disks if d in out or d in read_only(instance, disks)]
    frozen = [d for d in disks if d not in left]
    if not frozen:
        raise Invalid(_("No disk would be kept."), fields={"without": _("not all disks")})
    freezes = [storage.plan_freeze(session, disk.volume) for disk in frozen]
    _needed(session, instance, wish)
    snapshot_id = new_id(Snapshot.PREFIX)
    pool = session.get_one(Pool, disks[0].volume.pool_id)
    row = Snapshot(
        id=snapshot_id, project_id=instance.project_id, instance_id=instance.id, instance_name=instance.name,
        name=name, note=note, kind=kind, created_by=ctx.actor.name[:120], pool_path=pool.path,
        memory_path=places.memory(pool.path, snapshot_id) if wish.memory else "",
        left=[disk.volume_id for disk in left],
    )  # fmt: skip
    arguments = {
        "snapshot_id": snapshot_id, "instance_id": instance.id, "freezes": freezes,
        "apart": [disk.volume_id for disk in left], "memory": wish.memory, "quiesce": wish.quiesce,
    }  # fmt: skip
    return NodePlan(row, arguments, tuple(frozen), tuple(left))


def _left_out(disks: Sequence[Disk], without: Sequence[str]) -> list[Disk]:
    found = []
    for reference in without:
        named = [d for d in disks if reference in (d.attachment.slot, d.volume.name, d.volume_id)]
        if not named:
            raise Invalid(
                _("The instance has no disk {name}.", name=reference[:60]),
                fields={"without": _("one of {names}", names=", ".join(d.attachment.slot for d in disks))},
            )
        found += named
    return found


def refuse_memory(session: Session, instance: Instance) -> None:
    """Pass where the memory of an instance can be kept now. Raises `Invalid` for one that is off, `Conflict` for one
    that has devices of its host: what those know cannot be kept."""
    if instance.state not in LIVE:
        raise Invalid(
            _("The instance {name} is off: there is nothing in its memory.", name=instance.name),
            fields={"memory": _("only of a running or paused instance")},
        )
    if given := devices_of(session, instance.id):
        raise Conflict(
            _("The instance {name} has {count} devices of its host; what those know cannot be kept.",
              name=instance.name, count=len(given)),
            hint=_("Take the snapshot without memory, or take the devices out first."),
            fields={"memory": _("without memory")},
        )  # fmt: skip


def _needed(session: Session, instance: Instance, wish: SnapshotWish) -> tuple[Message, ...]:
    """What it takes at most, for a preview. Raises `NoCapacity`."""
    disks = storage.attachments_of(session, instance.id)
    pool = session.get_one(Pool, disks[0].volume.pool_id)
    memory = (instance.running_memory_mib or instance.memory_mib) * MIB if wish.memory else 0
    capacity.check(session, pool, 0, now=memory + MIB * len(disks))
    if not wish.memory:
        return (_("It takes no space now; what is written from now on lies in new files."),)
    return (
        _("At most {size} are written to the pool {pool}.", size=format_size(memory), pool=pool.name),
    )  # fmt: skip


def _said(instance: Instance, wish: SnapshotWish, plan: NodePlan) -> list[Message]:
    said = [_("Kept are {disks}.", disks=", ".join(f"{d.attachment.slot} ({d.volume.name})" for d in plan.frozen))]
    if wish.memory:
        said.append(_("What the guest has in memory is kept too; it stands still for a moment, the shorter the less it "
                      "writes meanwhile."))  # fmt: skip
    elif instance.state in LIVE:
        said.append(_("What the guest holds only in memory is not kept."))
        rests = wish.quiesce and instance.agent and instance.state == InstanceState.RUNNING
        said.append(
            _("The guest agent brings the file systems to rest for a moment.") if rests
            else _("The disks are kept as after a power failure.")
        )  # fmt: skip
    said += [
        _("{slot} is left out: it stays as it is whatever is restored.", slot=d.attachment.slot) for d in plan.left
    ]
    said.append(_("The instance goes on as it is."))
    return said


def update(ctx: Context, row: Snapshot, *, name: str | None = None, note: str | None = None) -> Intent:
    """Give a snapshot another name or note. Raises `Conflict` for a taken name and where nothing would change."""
    ctx.may("snapshot.update", row.project_id)
    must_allow(row, "update")
    values: dict[str, Any] = {}
    if name is not None and name != row.name:
        values["name"] = check_name(name)
        if taken(ctx.session, row.instance_id, values["name"], besides=row.id):
            raise name_taken(values["name"])
    if note is not None and note.strip() != row.note:
        values["note"] = check_note(note)
    if not values:
        raise Conflict(_("Nothing would change: the snapshot is already so."))
    return Intent(
        kind="snapshot.update",
        title=_("Change snapshot {name}", name=row.name),
        subject=subject_of(row),
        project_id=row.project_id,
        arguments={"snapshot_id": row.id, "values": values},
        effects=(
            *((_("It is called {name}.", name=values["name"]),) if "name" in values else ()),
            *((_("Its note changes."),) if "note" in values else ()),
        ),
        still=unchanged(row),
        instant=True,
    )


def take_disk(ctx: Context, row: Snapshot, disk: str, *, name: str | None = None) -> Intent:
    """Make a volume of one disk of a snapshot: a new file on the frozen one. Raises `Invalid` for a disk that is not in
    it, and as `storage.plan_volume`. Undo moves the volume to the trash."""
    ctx.may("snapshot.take_disk", row.project_id)
    ctx.may("volume.create", row.project_id)
    must_allow(row, "take_disk")
    disks = disks_of(ctx.session, row.id)
    found = [d for d in disks if disk in (d.slot, d.volume_name, d.volume_id)]
    if len(found) != 1:
        raise Invalid(
            _("The snapshot has no disk {name}.", name=disk[:60]),
            fields={"disk": _("one of {names}", names=", ".join(d.slot for d in disks))},
        )
    one = found[0]
    plan = storage.plan_volume(
        ctx, name=name or f"{one.volume_name}-{row.name}"[:100], size_bytes=one.size_bytes, project_id=row.project_id,
        layer_id=one.layer_id, exact=name is not None,
    )  # fmt: skip
    return Intent(
        kind="volume.create",
        title=_("Take disk {slot} of snapshot {name} as volume {volume}", slot=one.slot, name=row.name,
                volume=plan.name),
        subject=Subject("volume", plan.volume_id, plan.name),
        project_id=row.project_id,
        arguments={"volume_id": plan.volume_id},
        keys=(
            Key(f"volume:{plan.volume_id}"), Key(f"snapshot:{row.id}"),
            Key(f"pool-work:{plan.pool.id}", storage.POOL_SLOTS),
        ),
        effects=(
            _("A disk of {size} with what {slot} had then; it is there at once and can be attached.",
              size=format_size(plan.size_bytes), slot=one.slot),
        ),
        capacity=storage.capacity_left(plan),
        write=plan.write,
        deadline=120.0,
    )  # fmt: skip
