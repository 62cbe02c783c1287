"""The verb restore_as: what a snapshot kept becomes a new instance with name, size and storage location of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.errors import Conflict
from yun.base.messages import Message, _
from yun.base.units import MIB, format_size
from yun.compute import service as compute
from yun.compute.model import Instance
from yun.compute.names import check_name
from yun.compute.service.clone import individuality
from yun.compute.service.copies import Copy, plan_around
from yun.compute.service.flavors import MIN_DISK, check_size, get_flavor
from yun.compute.service.power import HOST_SLOTS
from yun.compute.service.remove import delete
from yun.hosts import placement
from yun.hosts import service as hosts
from yun.identity.service import get_project
from yun.operations.intent import Intent, Key, Subject
from yun.operations.model import Operation
from yun.operations.opposites import opposite
from yun.snapshots.model import Snapshot
from yun.snapshots.service.create import subject_of
from yun.snapshots.service.look import disks_of, must_allow
from yun.snapshots.service.restore import whose
from yun.storage import service as storage
from yun.storage.service import VolumePlan


@dataclass(frozen=True)
class NewFromSnapshot:
    """What a person asks for. Size and network are what the snapshot kept unless said otherwise; ``pool`` is another
    storage location, ``full`` one that stands on nothing of the snapshot's."""

    name: str
    flavor: str | None = None
    vcpus: int | None = None
    memory_mib: int | None = None
    network: str | None = None
    project: str | None = None
    pool: str | None = None
    full: bool = False
    start: bool = True


def restore_as(ctx: Context, row: Snapshot, wish: NewFromSnapshot) -> Intent:
    """Make a new instance of what a snapshot kept; the instance it is of stays as it is.

    Its disks stand on the snapshot's frozen files and are there at once; ``full``, and in another ``pool``, they are
    copied. It is an individual of its own, as a clone is. Raises `Invalid` for names and sizes, `Conflict` for a taken
    name, an unsound file, or an instance that is gone for good; `NoCapacity`. Undo moves it to the trash.
    """
    ctx.may("snapshot.restore_as", row.project_id)
    must_allow(row, "restore_as")
    source = whose(ctx, row)
    project_id = get_project(ctx, wish.project).id if wish.project else row.project_id
    target = replace(ctx, project_id=project_id)
    target.may("instance.create")
    name = check_name(wish.name)
    values = _values(ctx, row, wish)
    planned, layers = _disks(target, row, name, wish)
    copy = plan_around(
        target, source, name, values=values, network_name=wish.network, planned=planned,
        same_project=project_id == row.project_id,
    )  # fmt: skip
    room = _room(ctx.session, copy.row)
    copied = any(plan.layer is None for _of, plan, _place in planned)
    pools = {plan.pool.id for _of, plan, _place in planned}
    return Intent(
        kind="snapshot.restore_as",
        title=_("Restore snapshot {name} as instance {instance}", name=row.name, instance=name),
        subject=Subject("instance", copy.row.id, name),
        project_id=project_id,
        arguments={
            "snapshot_id": row.id, "copy": copy.parts, "layers": layers, "start": wish.start,
            "copied": [plan.volume_id for _of, plan, _place in planned if plan.layer is None],
        },
        keys=(
            Key(f"instance:{copy.row.id}"), Key(f"snapshot:{row.id}"), Key(f"host:{copy.row.host_id}", HOST_SLOTS),
            *((Key(f"pool-work:{p}", storage.POOL_SLOTS) for p in sorted(pools)) if copied else ()),
        ),
        subjects=(
            subject_of(row), *(Subject("volume", plan.volume_id, plan.name) for _of, plan, _place in planned),
            *(s for port in copy.ports for s in port.subjects),
        ),
        effects=(*_said(row, copy, wish, copied=copied), *individuality(source)),
        depends=(_("snapshot {name}", name=row.name),),
        capacity=(room,),
        back=(_("The new instance goes to the trash."),),
        write=lambda session: _write(session, copy),
        transparent=True,
        deadline=6 * 3600.0 if copied else 600.0,
    )  # fmt: skip


@opposite("snapshot.restore_as")
def unrestore_as(ctx: Context, operation: Operation) -> Intent:
    """Undo: the new instance goes to the trash with what it has come to hold."""
    return delete(ctx, compute.get(ctx, operation.subject_id))


def _values(ctx: Context, row: Snapshot, wish: NewFromSnapshot) -> dict[str, Any]:
    """The columns that are the snapshot's or the person's choice, not the instance's as it is now."""
    values = {name: value for name, value in row.definition.items() if name != "boot_order"}
    if wish.flavor is not None:
        flavor = get_flavor(ctx, wish.flavor)
        values |= {
            "vcpus": flavor.vcpus, "memory_mib": flavor.memory_mib, "flavor_id": flavor.id, "flavor_name": flavor.name,
        }  # fmt: skip
    values |= {n: v for n, v in (("vcpus", wish.vcpus), ("memory_mib", wish.memory_mib)) if v is not None}
    check_size(vcpus=values["vcpus"], memory_mib=values["memory_mib"], disk_bytes=MIN_DISK)
    return values


def _disks(
    ctx: Context, row: Snapshot, name: str, wish: NewFromSnapshot
) -> tuple[tuple[tuple[str, VolumePlan, dict[str, Any]], ...], dict[str, str]]:
    """A volume for each disk of the snapshot, and which frozen file each is made of, by the volume it was."""
    planned, layers = [], {}
    pool_id = storage.get_pool(ctx, wish.pool).id if wish.pool else None
    for number, node in enumerate(disks_of(ctx.session, row.id)):
        layer = storage.get_layer(ctx.session, node.layer_id)
        linked = not wish.full and pool_id in (None, layer.pool_id)
        plan = storage.plan_volume(
            ctx, name=(name if number == 0 else f"{name}-{node.slot}")[:100], size_bytes=node.size_bytes,
            project_id=str(ctx.project_id), layer_id=layer.id if linked else None, pool=pool_id or layer.pool_id,
        )  # fmt: skip
        planned.append((node.volume_id, plan, dict(node.place)))
        layers[node.volume_id] = layer.id
    if not planned:
        raise Conflict(_("The snapshot {name} has no disks.", name=row.name))
    return tuple(planned), layers


def _room(session: Session, row: Instance) -> Message:
    room = next(r for r in hosts.rooms(session) if r.host.id == row.host_id)
    if (why := placement.refusal(room, vcpus=row.vcpus, memory_mib=row.memory_mib)) is not None:
        raise hosts.no_room([why], placement.nearest([room], vcpus=row.vcpus, memory_mib=row.memory_mib))
    return _(
        "Afterwards host {host} has {memory} of memory and {vcpus} vCPU left.",
        memory=format_size(max(room.memory_mib - row.memory_mib, 0) * MIB), vcpus=max(room.vcpus - row.vcpus, 0),
        host=room.host.name,
    )  # fmt: skip


def _write(session: Session, copy: Copy) -> None:
    copy.write(session)
    row = copy.row
    hosts.allocate(session, host_id=row.host_id, owner=row.id, vcpus=row.vcpus, memory_mib=row.memory_mib)


def _said(row: Snapshot, copy: Copy, wish: NewFromSnapshot, *, copied: bool) -> list[Message]:
    size = sum(plan.size_bytes for _of, plan, _place in copy.disks)
    said = [
        _("It has {vcpus} vCPU, {memory} of memory and disks of {size}.", vcpus=copy.row.vcpus,
          memory=format_size(copy.row.memory_mib * MIB), size=format_size(size)),
        _("All data of its disks are copied to the pool {pool}, which takes a while.", pool=copy.disks[0][1].pool.name)
        if copied else _("It is there at once: it stands on the snapshot's frozen files and shares them."),
    ]  # fmt: skip
    if row.memory_path:
        said.append(_("It boots; what the guest had in memory then is left out."))
    said += [_("It gets an address in {network}.", network=port.network.name) for port in copy.ports]
    said.append(_("It is started.") if wish.start else _("It is not started."))
    said += [_("The CD {image} belongs to another project; its drive is empty.", image=name) for name in copy.lost]
    return said
