"""The verb clone: copies of an instance that stand on its frozen disks, or are independent of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.errors import Conflict
from yun.base.messages import Message, _
from yun.base.units import MIB, format_size
from yun.compute.model import LIVE, SETTLED, Instance, State
from yun.compute.service.copies import Copy, names_for, plan_copy
from yun.compute.service.flavors import MIN_DISK, check_size, get_flavor
from yun.compute.service.given import stay_behind
from yun.compute.service.look import get, must_be
from yun.compute.service.power import HOST_SLOTS, subject
from yun.compute.service.remove import delete
from yun.hosts import placement
from yun.hosts import service as hosts
from yun.identity.service import get_project
from yun.operations.intent import Intent, Key, Subject
from yun.operations.model import Operation
from yun.operations.opposites import opposite
from yun.storage import capacity
from yun.storage import service as storage
from yun.storage.model import Pool
from yun.storage.service import Disk


@dataclass(frozen=True)
class CloneWish:
    """What a person asks for. ``name`` may hold ``{n}`` where ``count`` copies are made; ``full`` copies are
    independent of the source's files. Sizes and network are the source's unless said otherwise."""

    name: str
    count: int = 1
    full: bool = False
    flavor: str | None = None
    vcpus: int | None = None
    memory_mib: int | None = None
    network: str | None = None
    project: str | None = None
    start: bool = True


def clone(ctx: Context, source: Instance, wish: CloneWish) -> Intent:
    """Make copies of an instance, running or stopped; the source goes on.

    Its disks are frozen as they are, and it goes on writing to new files on top of them. Linked copies stand on the
    frozen files and are there at once; full ones copy them, and so does every copy of a disk that a running source has
    read-only: the hypervisor changes no file that it has open so. Each copy is an individual of its own: other UUID,
    MAC, addresses, host name, and a seed that tells cloud-init to renew the rest. It gets what the source's UEFI and
    TPM keep and the CDs that lie in its drives, but not its pins. Raises `Invalid` for names and sizes, `Conflict` for
    a taken name or unsound disks, `NoCapacity`. Undo moves the copies to the trash.
    """
    ctx.may("instance.clone", source.project_id)
    must_be(source, SETTLED)
    target = _target(ctx, source, wish)
    target.may("instance.create")
    same = target.project_id == source.project_id
    disks = storage.attachments_of(ctx.session, source.id)
    refuse_unusable(source, disks)
    still = read_only(source, disks)
    names = names_for(wish.name, wish.count)
    values = _size(ctx, source, wish)
    copies = [
        plan_copy(target, source, name, values=values, network_name=wish.network, disks=disks, same_project=same)
        for name in names
    ]
    room = room_for(ctx.session, source, copies)
    pools = _promised(ctx.session, disks, len(copies))
    freezes = [storage.plan_freeze(ctx.session, disk.volume) for disk in disks if disk not in still]
    first = copies[0].row
    return Intent(
        kind="instance.clone",
        title=_title(source, names),
        subject=Subject("instance", first.id, first.name),
        project_id=target.project_id,
        arguments={
            "source_id": source.id, "freezes": freezes, "copies": [c.parts for c in copies], "full": wish.full,
            "start": wish.start, "still": [disk.volume_id for disk in still],
        },
        keys=(
            *(Key(f"instance:{c.row.id}") for c in copies), Key(f"instance:{source.id}"),
            Key(f"host:{source.host_id}", HOST_SLOTS),
            *((Key(f"pool-work:{p.id}", storage.POOL_SLOTS) for p in pools) if wish.full or still else ()),
        ),
        subjects=(subject(source), *(s for c in copies for s in subjects_of_copy(c))),
        effects=(
            *_what(source, wish, names, disks, copies[0]), *_slow(wish, still), *consistency(source),
            *individuality(source), *_hardware(source, copies[0]), *stay_behind(ctx.session, source),
        ),
        depends=(_("instance {name}", name=source.name),),
        capacity=(room,),
        back=(_("The copies go to the trash."),),
        write=lambda session: _write(session, copies),
        transparent=True,  # what was done to the source before can be taken back whatever was copied from it since
        deadline=6 * 3600.0 if wish.full or still else 600.0 + 30.0 * len(copies),
    )  # fmt: skip


@opposite("instance.clone")
def unclone(ctx: Context, operation: Operation) -> Intent:
    """Undo of a clone: the copies that are still there go to the trash, in one operation."""
    return remove_copies(ctx, operation, _("The copies have been deleted already."))


def remove_copies(ctx: Context, operation: Operation, gone: Message, *, force: bool = False) -> Intent:
    """The instances that an operation made, as its argument ``copies`` names them, go to the trash in one operation,
    as far as they are still there; with ``force`` their power is cut. Raises `Conflict` saying ``gone`` for none."""
    ids = [copy["instance_id"] for copy in operation.arguments["copies"]]
    found = [ctx.session.get(Instance, i) for i in ids]
    there = [row for row in found if row is not None and row.state != State.TRASHED]
    if not there:
        raise Conflict(gone)
    intents = [delete(ctx, get(ctx, row.id), force=force) for row in there]
    first = intents[0]
    return replace(
        first,
        arguments={**first.arguments, "also": [i.arguments for i in intents[1:]]},
        keys=tuple(dict.fromkeys(k for i in intents for k in i.keys)),
        subjects=tuple(s for i in intents for s in i.all_subjects),
        effects=tuple(m for i in intents for m in ((i.title, *i.effects) if len(there) > 1 else i.effects)),
        destroys=next((i.destroys for i in intents if i.destroys), ()),
        deadline=sum(i.deadline for i in intents),
    )  # fmt: skip


# ── parts, of making images too ──


def refuse_unusable(source: Instance, disks: Sequence[Disk]) -> None:
    """Raise `Conflict` where an instance has no disks, or unsound ones."""
    if not disks:
        raise Conflict(_("The instance {name} has no disks.", name=source.name))
    for disk in disks:
        storage.must_allow(disk.volume, "attach")


def refuse_unfreezable(source: Instance, disks: Sequence[Disk]) -> None:
    """Raise `Conflict` where the disks of an instance cannot be frozen as it is now."""
    refuse_unusable(source, disks)
    for disk in disks:
        if disk.attachment.readonly and source.state in LIVE:
            raise Conflict(
                _("{slot} of the running instance {name} is read-only and cannot be frozen.",
                  slot=disk.attachment.slot, name=source.name),
                hint=_("Stop the instance first, or detach the volume."),
            )  # fmt: skip


def consistency(source: Instance) -> tuple[Message, ...]:
    """In what condition the disks are frozen, and what the source feels of it."""
    if source.state not in LIVE:
        return (_("The source is off: its disks are copied as its guest left them."),)
    if source.agent and source.state == State.RUNNING:
        how = _("The source goes on running; its guest agent brings the file systems to rest for a moment.")
    else:
        how = _("The source goes on running; no guest agent answers, so the copy is like after a power failure.")
    return (how, _("What the guest holds only in memory is not copied."))


def individuality(source: Instance) -> tuple[Message, ...]:
    """What makes a copy's guest an individual, and what does not."""
    if source.cloud_init:
        return (
            _("It gets its own addresses, MAC and host name; cloud-init in its guest renews SSH host keys and "
              "machine ID at the first start."),
        )  # fmt: skip
    return (
        _("It gets its own addresses and MAC. Its guest has no cloud-init: host name, SSH host keys and machine ID "
          "stay the source's until they are changed inside."),
    )  # fmt: skip


def read_only(source: Instance, disks: Sequence[Disk]) -> list[Disk]:
    """Disks that a machine which is up has read-only: nothing writes to them, and they cannot be frozen under it."""
    return [disk for disk in disks if source.state in LIVE and disk.attachment.readonly]


def _slow(wish: CloneWish, still: Sequence[Disk]) -> list[Message]:
    if wish.full:
        return []
    return [
        _("{slot} is read-only in the running source: the copy gets all of its data, which takes a while.",
          slot=disk.attachment.slot)
        for disk in still
    ]  # fmt: skip


def _hardware(source: Instance, copy: Copy) -> list[Message]:
    """What becomes of parts that are more than a setting."""
    said = []
    if source.hardware.get("tpm"):
        said.append(
            _("It gets a copy of the source's TPM with the same keys: what was sealed to that, such as BitLocker's "
              "keys, opens in the copy too, and whoever knows machines by their TPM takes both for one.")
        )  # fmt: skip
    if source.hardware.get("pins"):
        said.append(_("It is not pinned to processors of the host, as the source is."))
    said += [_("{image} lies in its CD drive {slot}.", image=drive.image_name, slot=drive.slot)
             for drive in copy.drives if drive.image_id]  # fmt: skip
    said += [_("The CD {image} belongs to another project; the copy's drive is empty.", image=name)
             for name in copy.lost]  # fmt: skip
    return said


def _write(session: Session, copies: Sequence[Copy]) -> None:
    for copy in copies:
        copy.write(session)
        row = copy.row
        hosts.allocate(
            session, host_id=row.host_id, owner=row.id, vcpus=row.vcpus, memory_mib=row.memory_mib
        )


def _target(ctx: Context, source: Instance, wish: CloneWish) -> Context:
    """The context in which the copies are made: the named project, else the source's."""
    project_id = get_project(ctx, wish.project).id if wish.project else source.project_id
    return replace(ctx, project_id=project_id)


def _size(ctx: Context, source: Instance, wish: CloneWish) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if wish.flavor is not None:
        row = get_flavor(ctx, wish.flavor)
        values = {"vcpus": row.vcpus, "memory_mib": row.memory_mib, "flavor_id": row.id, "flavor_name": row.name}
    own = {n: v for n, v in (("vcpus", wish.vcpus), ("memory_mib", wish.memory_mib)) if v is not None}
    values = {**values, **own}
    size = {"vcpus": source.vcpus, "memory_mib": source.memory_mib, **values}
    check_size(vcpus=size["vcpus"], memory_mib=size["memory_mib"], disk_bytes=MIN_DISK)
    return values


def room_for(session: Session, source: Instance, copies: Sequence[Copy]) -> Message:
    """What is left on the source's host once all copies have their place. Raises `NoCapacity`."""
    room = next(r for r in hosts.rooms(session) if r.host.id == source.host_id)
    vcpus = sum(c.row.vcpus for c in copies)
    memory_mib = sum(c.row.memory_mib for c in copies)
    if (why := placement.refusal(room, vcpus=vcpus, memory_mib=memory_mib)) is not None:
        raise hosts.no_room([why], placement.nearest([room], vcpus=vcpus, memory_mib=memory_mib))
    return _(
        "Afterwards host {host} has {memory} of memory and {vcpus} vCPU left.",
        memory=format_size(max(room.memory_mib - memory_mib, 0) * MIB), vcpus=max(room.vcpus - vcpus, 0),
        host=room.host.name,
    )  # fmt: skip


def _promised(session: Session, disks: Sequence[Disk], count: int) -> list[Pool]:
    """The pools that the copies go to, each able to promise all of them. Raises `NoCapacity`."""
    need: dict[str, int] = {}
    for disk in disks:
        need[disk.volume.pool_id] = need.get(disk.volume.pool_id, 0) + disk.volume.size_bytes * count
    pools = [session.get_one(Pool, pool_id) for pool_id in need]
    for pool in pools:
        capacity.check(session, pool, need[pool.id])
    return pools


def _title(source: Instance, names: Sequence[str]) -> Message:
    if len(names) == 1:
        return _("Clone instance {source} as {name}", source=source.name, name=names[0])
    return _(
        "Clone instance {source} {count} times, {first} to {last}", source=source.name, count=len(names),
        first=names[0], last=names[-1],
    )  # fmt: skip


def subjects_of_copy(copy: Copy) -> list[Subject]:
    """The copy, its volumes and its ports, as subjects of an operation."""
    return [
        Subject("instance", copy.row.id, copy.row.name),
        *(Subject("volume", plan.volume_id, plan.name) for _source, plan, _place in copy.disks),
        *(s for port in copy.ports for s in port.subjects),
    ]


def _what(
    source: Instance, wish: CloneWish, names: Sequence[str], disks: Sequence[Disk], copy: Copy
) -> list[Message]:
    sizes = {
        "vcpus": copy.row.vcpus, "memory": format_size(copy.row.memory_mib * MIB),
        "size": format_size(sum(d.volume.size_bytes for d in disks)),
    }  # fmt: skip
    said = [
        _("{count} copies are made: {names}.", count=len(names), names=_listed(names)) if len(names) > 1
        else _("A copy is made: {name}.", name=names[0]),
        _("Each has {vcpus} vCPU, {memory} of memory and disks of {size}.", **sizes) if len(names) > 1
        else _("It has {vcpus} vCPU, {memory} of memory and disks of {size}.", **sizes),
        _("Everything on the disks is copied: it takes a while, and the source cannot be changed meanwhile.")
        if wish.full else _("It is there at once: it stands on the source's frozen files and shares them."),
    ]  # fmt: skip
    said += [_("It gets an address in {network}.", network=port.network.name) for port in copy.ports]
    said.append(_("It is started.") if wish.start else _("It is not started."))
    return said


def _listed(names: Sequence[str], most: int = 6) -> str:
    if len(names) <= most:
        return ", ".join(names)
    return ", ".join([*names[: most - 2], "…", names[-1]])
