"""The verb restore: an instance is again what a snapshot kept, and what it was until then is kept as one more."""

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
from yun.compute.media.model import CdDrive
from yun.compute.model import LIVE, SETTLED, Instance
from yun.compute.service.look import must_be
from yun.compute.service.power import HOST_SLOTS
from yun.compute.service.power import subject as instance_subject
from yun.hosts import placement
from yun.hosts import service as hosts
from yun.operations.intent import Intent, Key, Subject
from yun.operations.model import Operation
from yun.operations.opposites import opposite
from yun.snapshots.model import Kind, Snapshot, SnapshotDisk
from yun.snapshots.service.create import NodePlan, SnapshotWish, plan_node, refuse_memory, subject_of
from yun.snapshots.service.look import disks_of, get, instance_of, must_allow, taken
from yun.storage import capacity
from yun.storage import service as storage
from yun.storage.model import Attachment, Head, Layer, Pool, TrashItem
from yun.storage.service import Disk, VolumePlan, kept_until

DETACH, REMOVE = "detach", "remove"
ADDED: dict[str, Message] = {
    DETACH: _("They are detached and stay as volumes."),
    REMOVE: _("They go to the trash."),
}
"""What may become of disks that were added since."""


@dataclass(frozen=True)
class RestoreWish:
    """How to go back. ``memory``: None for with memory where the snapshot has it. ``keep``: what the instance is now
    becomes a snapshot first. ``added`` (of `ADDED`): what becomes of disks that it has got since. ``start``: of one
    without memory, None for running afterwards if it runs now."""

    memory: bool | None = None
    keep: bool = True
    added: str = DETACH
    start: bool | None = None


@dataclass(frozen=True)
class Way:
    """What a restore does to the disks: ``heads`` get a new file on what the snapshot kept, ``again`` are in the
    snapshot and no longer in the instance, ``extra`` are in the instance and were not then."""

    heads: tuple[tuple[SnapshotDisk, Disk], ...]
    again: tuple[tuple[SnapshotDisk, VolumePlan], ...]
    extra: tuple[Disk, ...]


def restore(ctx: Context, row: Snapshot, wish: RestoreWish) -> Intent:
    """Bring an instance back to what the snapshot kept: disks, definition, and with memory the running guest.

    What it is now is kept as a snapshot first, with memory if it runs, unless ``keep`` is off; newer snapshots stay.
    A disk that it no longer has comes back as a new volume beside the old one. Raises `Conflict` for a purged or
    trashed instance, an unsound file, memory that cannot be used, and `NoCapacity`. Undo is a restore of what was kept.
    """
    ctx.may("snapshot.restore", row.project_id)
    must_allow(row, "restore")
    instance = whose(ctx, row)
    must_be(instance, SETTLED)
    if wish.added not in ADDED:
        raise Invalid(
            _("Disks cannot be treated so."), fields={"added": _("one of {names}", names=", ".join(ADDED))}
        )
    memory = _with_memory(row, wish)
    way = _way(ctx, row, instance)
    _fits(ctx.session, row, instance)
    kept = _present(ctx, row, instance) if wish.keep else None
    start = instance.state in LIVE if wish.start is None else wish.start
    told = {"memory": memory, "start": start, "keep": kept.arguments if kept else None}
    return Intent(
        kind="snapshot.restore",
        title=_("Restore instance {instance} to snapshot {name}", instance=instance.name, name=row.name),
        subject=instance_subject(instance),
        project_id=instance.project_id,
        arguments={
            "snapshot_id": row.id, "instance_id": instance.id, **told, "disks": _parts(ctx, row, wish, way),
        },
        keys=(
            Key(f"instance:{instance.id}"), Key(f"snapshot:{row.id}"), Key(f"host:{instance.host_id}", HOST_SLOTS),
            *(Key(f"volume:{d.volume_id}") for d in way.extra),
        ),
        subjects=(
            subject_of(row), *((subject_of(kept.row),) if kept else ()),
            *(Subject("volume", plan.volume_id, plan.name) for _node, plan in way.again),
            *(Subject("volume", d.volume_id, d.volume.name) for d in way.extra),
        ),
        effects=(*_said(ctx, row, instance, wish, way, memory=memory, start=start),),
        restarts=(_("It does not run for a moment."),) if instance.state in LIVE else (),
        destroys=() if wish.keep else (_("What has been written since, and what its guest has in memory."),),
        depends=(_("instance {name}", name=instance.name), _("snapshot {name}", name=row.name)),
        back=(_("It is again what it was before the restore."),),
        write=lambda session: _write(session, kept, way),
        undoable=wish.keep,
        no_undo=None if wish.keep else _("What it was before is not kept."),
        deadline=900.0 + (instance.memory_mib + row.definition.get("memory_mib", 0)) / 50,
    )  # fmt: skip


def _parts(ctx: Context, row: Snapshot, wish: RestoreWish, way: Way) -> dict[str, Any]:
    """What the operation is told of the disks and drives, every new id chosen."""
    return {
        "heads": [_new_head(ctx.session, node, disk) for node, disk in way.heads],
        "again": [
            {"volume_id": plan.volume_id, "of": node.volume_id, "attachment_id": new_id(Attachment.PREFIX)}
            for node, plan in way.again
        ],
        "drives": [new_id(CdDrive.PREFIX) for _drive in row.drives],
        "extra": [
            {"volume_id": d.volume_id, "trash_id": new_id(TrashItem.PREFIX) if wish.added == REMOVE else ""}
            for d in way.extra
        ],
        "purge_at": kept_until(ctx.clock.now(), ctx.settings).isoformat(),
    }


@opposite("snapshot.restore")
def unrestore(ctx: Context, operation: Operation) -> Intent:
    """Undo of a restore: the instance is again what was kept before it. What it has become since is kept, too."""
    row = get(ctx, operation.arguments["keep"]["snapshot_id"])
    return restore(ctx, row, RestoreWish(start=row.power in LIVE))


def whose(ctx: Context, row: Snapshot) -> Instance:
    """The instance of a snapshot. Raises `Conflict` where it has been purged."""
    found = instance_of(ctx.session, row)
    if found is None:
        raise Conflict(_("The instance {name} is gone for good.", name=row.instance_name))
    return found


def _with_memory(row: Snapshot, wish: RestoreWish) -> bool:
    if wish.memory is None:
        return bool(row.memory_path)
    if wish.memory and not row.memory_path:
        raise Invalid(
            _("The snapshot {name} has no memory.", name=row.name), fields={"memory": _("without memory")}
        )
    return wish.memory


def _way(ctx: Context, row: Snapshot, instance: Instance) -> Way:
    session = ctx.session
    nodes = {disk.volume_id: disk for disk in disks_of(session, row.id)}
    now = {disk.volume_id: disk for disk in storage.attachments_of(session, instance.id)}
    for node in nodes.values():
        storage.get_layer(session, node.layer_id)
    for disk in now.values():
        storage.must_allow(disk.volume, "delete")  # a disk that is spoilt is a reason to go back
        if disk.volume_id in nodes:
            storage.refuse_adopted(session, disk.volume)
    again = []
    for volume_id, node in nodes.items():
        if volume_id in now:
            continue
        layer = session.get_one(Layer, node.layer_id)
        again.append((node, storage.plan_volume(
            ctx, name=node.volume_name[:100], size_bytes=node.size_bytes, project_id=instance.project_id,
            layer_id=layer.id,
        )))  # fmt: skip
    extra = [d for i, d in now.items() if i not in nodes and i not in row.left]
    return Way(tuple((nodes[i], now[i]) for i in nodes if i in now), tuple(again), tuple(extra))


def _new_head(session: Session, node: SnapshotDisk, disk: Disk) -> dict[str, Any]:
    layer = session.get_one(Layer, node.layer_id)
    pool = session.get_one(Pool, layer.pool_id)
    return {"volume_id": disk.volume_id, "path": f"{pool.path}/heads/{new_id(Head.PREFIX)}.qcow2"}


def _fits(session: Session, row: Snapshot, instance: Instance) -> None:
    """Raise `NoCapacity` where the host has no room for the size that it had then."""
    room = next(r for r in hosts.rooms(session) if r.host.id == instance.host_id)
    vcpus = max(row.definition.get("vcpus", 0) - instance.vcpus, 0)
    memory_mib = max(row.definition.get("memory_mib", 0) - instance.memory_mib, 0)
    if (vcpus or memory_mib) and (why := placement.refusal(room, vcpus=vcpus, memory_mib=memory_mib)) is not None:
        raise hosts.no_room([why], placement.nearest([room], vcpus=vcpus, memory_mib=memory_mib))


def _present(ctx: Context, row: Snapshot, instance: Instance) -> NodePlan:
    """What the instance is now, as a node of its own: with memory where it runs and that is possible."""
    memory = instance.state in LIVE
    if memory:
        try:
            refuse_memory(ctx.session, instance)
        except Conflict:
            memory = False
    number = 1
    while taken(ctx.session, instance.id, name := _kept_name(row, number)):
        number += 1
    return plan_node(ctx, instance, SnapshotWish(name, memory=memory, quiesce=True), kind=Kind.PRESENT)


def _kept_name(row: Snapshot, number: int) -> str:
    """In plain ASCII, as every language can read and type it."""
    return f"before-{row.name[:80]}" if number == 1 else f"before-{row.name[:80]}-{number}"


def _write(session: Session, kept: NodePlan | None, way: Way) -> None:
    if kept is not None:
        kept.write(session)
    for _node, plan in way.again:
        plan.write(session)
    for _node, disk in way.heads:
        pool = session.get_one(Pool, disk.volume.pool_id)
        capacity.check(session, pool, 0, now=MIB)


def _said(
    ctx: Context, row: Snapshot, instance: Instance, wish: RestoreWish, way: Way, *, memory: bool, start: bool
) -> list[Message]:
    said = [
        _("Its disks are again as of {moment} UTC: {disks}.", moment=_moment(row),
          disks=", ".join(node.slot for node in [*(n for n, _d in way.heads), *(n for n, _p in way.again)]))
    ]  # fmt: skip
    if memory:
        said.append(_("Its guest goes on from that moment, with what it had in memory."))
    elif row.memory_path:
        said.append(_("What its guest had in memory then is left out."))
    if not memory:
        said.append(_("It is started.") if start else _("It is off afterwards."))
    if wish.keep:
        said.append(
            _("What it is now is kept as a snapshot first, with memory.") if instance.state in LIVE
            else _("What it is now is kept as a snapshot first.")
        )  # fmt: skip
    said += _sizes(row, instance)
    for node, plan in way.again:
        said.append(_("{slot} is not there any more: it comes back as a new volume {name}.", slot=node.slot,
                      name=plan.name))  # fmt: skip
    for disk in way.extra:
        said.append(
            _("{slot} was added since: the volume {name} is detached and stays.", slot=disk.attachment.slot,
              name=disk.volume.name) if wish.added == DETACH
            else _("{slot} was added since: the volume {name} goes to the trash.", slot=disk.attachment.slot,
                   name=disk.volume.name)
        )  # fmt: skip
    said += _leftover(ctx.session, row, instance)
    said.append(_("Other snapshots stay, newer ones too."))
    return said


def _sizes(row: Snapshot, instance: Instance) -> list[Message]:
    told = row.definition
    if (told.get("vcpus"), told.get("memory_mib")) == (instance.vcpus, instance.memory_mib):
        return []
    return [
        _("It has {vcpus} vCPU and {memory} of memory again.", vcpus=told.get("vcpus", 0),
          memory=format_size(told.get("memory_mib", 0) * MIB))
    ]  # fmt: skip


def _leftover(session: Session, row: Snapshot, instance: Instance) -> list[Message]:
    there: Sequence[Disk] = storage.attachments_of(session, instance.id)
    return [
        _("{slot} is not in the snapshot and stays as it is.", slot=d.attachment.slot)
        for d in there if d.volume_id in row.left
    ]  # fmt: skip


def _moment(row: Snapshot) -> str:
    return (row.taken_at or row.created_at).strftime("%Y-%m-%d %H:%M:%S")
