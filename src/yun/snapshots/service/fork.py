"""The verb fork: copies of a running instance that go on from the same moment, with what is in its memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.errors import Conflict
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.compute.model import LIVE, Instance
from yun.compute.service.clone import read_only, remove_copies, room_for, subjects_of_copy
from yun.compute.service.copies import Copy, names_for, plan_copy
from yun.compute.service.look import must_be
from yun.compute.service.power import HOST_SLOTS
from yun.compute.service.power import subject as instance_subject
from yun.hosts import service as hosts
from yun.operations.intent import Intent, Key, Subject
from yun.operations.model import Operation
from yun.operations.opposites import opposite
from yun.snapshots.model import Kind, Snapshot
from yun.snapshots.service.create import NodePlan, SnapshotWish, plan_node
from yun.snapshots.service.look import taken
from yun.storage import capacity
from yun.storage import service as storage
from yun.storage.model import Pool


@dataclass(frozen=True)
class ForkWish:
    """What a person asks for. ``name`` may hold ``{n}`` where ``count`` forks are made; their first card is in
    ``network``, else where the instance's is; ``isolated`` ones have their cables pulled."""

    name: str
    count: int = 1
    network: str | None = None
    isolated: bool = False


def fork(ctx: Context, source: Instance, wish: ForkWish) -> Intent:
    """Make copies of a running or paused instance that go on from the same moment with the same memory; it goes on.

    Each is an instance of its own: it gets new cards with MACs and addresses of its own, and its agent is asked to take
    another host name, machine ID and SSH host keys, and to set the clock. Raises `Invalid` for names and for one that
    is off, `Conflict` for a taken name, unsound disks, disks that are only read, and devices of the host; `NoCapacity`.
    Undo moves the forks to the trash.
    """
    ctx.may("snapshot.fork", source.project_id)
    target = replace(ctx, project_id=source.project_id)
    target.may("instance.create")
    must_be(source, LIVE)
    disks = storage.attachments_of(ctx.session, source.id)
    if only_read := read_only(source, disks):
        raise Conflict(
            _("{slot} of the running instance {name} is read-only and cannot be frozen.",
              slot=only_read[0].attachment.slot, name=source.name),
            hint=_("Stop the instance first, or detach the volume."),
        )  # fmt: skip
    moment = _moment(ctx, source)
    names = names_for(wish.name, wish.count)
    copies = [
        plan_copy(target, source, name, values=_as_it_runs(source), network_name=wish.network, disks=disks,
                  same_project=True)
        for name in names
    ]  # fmt: skip
    for copy in copies:
        for port in copy.ports:
            port.port.link_up = port.port.link_up and not wish.isolated
    room = room_for(ctx.session, source, copies)
    for pool_id in sorted({disk.volume.pool_id for disk in disks}):
        need = sum(d.volume.size_bytes for d in disks if d.volume.pool_id == pool_id) * len(copies)
        capacity.check(ctx.session, ctx.session.get_one(Pool, pool_id), need)
    first = copies[0].row
    return Intent(
        kind="snapshot.fork",
        title=_("Fork instance {source} as {name}", source=source.name, name=names[0]) if len(names) == 1
        else _("Fork instance {source} {count} times, {first} to {last}", source=source.name, count=len(names),
               first=names[0], last=names[-1]),
        subject=Subject("instance", first.id, first.name),
        project_id=source.project_id,
        arguments={"keep": moment.arguments, "copies": [copy.parts for copy in copies]},
        keys=(
            *(Key(f"instance:{c.row.id}") for c in copies), Key(f"instance:{source.id}"),
            Key(f"host:{source.host_id}", HOST_SLOTS),
        ),
        subjects=(instance_subject(source), *(s for c in copies for s in subjects_of_copy(c))),
        effects=(*_said(source, wish, names, copies[0]),),
        depends=(_("instance {name}", name=source.name),),
        capacity=(room,),
        back=(_("The forks go to the trash."),),
        write=lambda session: _write(session, moment, copies),
        transparent=True,
        deadline=600.0 + 60.0 * len(copies) + source.memory_mib / 50 * (1 + len(copies)),
    )  # fmt: skip


@opposite("snapshot.fork")
def unfork(ctx: Context, operation: Operation) -> Intent:
    """Undo of a fork: the forks that are still there go to the trash, in one operation."""
    return remove_copies(ctx, operation, _("The forks have been deleted already."), force=True)


def _moment(ctx: Context, source: Instance) -> NodePlan:
    """The moment that all forks go on from: kept until they run."""
    while taken(ctx.session, source.id, name := f"fork-{new_id(Snapshot.PREFIX)[-10:]}"):
        pass
    return plan_node(ctx, source, SnapshotWish(name, memory=True, quiesce=False), kind=Kind.FORK)


def _as_it_runs(source: Instance) -> dict[str, Any]:
    """Its size at this moment: what it would be at its next start does not fit its memory."""
    now = {"vcpus": source.running_vcpus or source.vcpus, "memory_mib": source.running_memory_mib or source.memory_mib}
    return {name: value for name, value in now.items() if value != getattr(source, name)}


def _write(session: Session, moment: NodePlan, copies: Sequence[Copy]) -> None:
    moment.write(session)
    for copy in copies:
        copy.write(session)
        row = copy.row
        hosts.allocate(session, host_id=row.host_id, owner=row.id, vcpus=row.vcpus, memory_mib=row.memory_mib)


def _said(source: Instance, wish: ForkWish, names: Sequence[str], copy: Copy) -> list[Message]:
    said = [
        _("{count} forks go on from this moment: {names}.", count=len(names), names=", ".join(names[:6]))
        if len(names) > 1 else _("A fork goes on from this moment: {name}.", name=names[0]),
        _("The source stands still for a moment and goes on."),
        _("Memory and disks are the same; what is only written by one of them is only in that one."),
    ]  # fmt: skip
    if wish.isolated:
        said.append(_("The cables of its cards are pulled until you put them in."))
    said += [_("It gets a new card with an address in {network}.", network=p.network.name) for p in copy.ports]
    said.append(
        _("Its agent is asked for another host name, machine ID and SSH host keys, and to set the clock.")
        if source.agent else
        _("No guest agent answers: host name, machine ID, SSH host keys and the clock stay the source's until they are "
          "changed inside.")
    )  # fmt: skip
    said.append(_("Secrets that the guest has in memory are in the fork too."))
    return said
