"""The verbs delete (to the trash, with everything needed to bring it back) and purge (for good)."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.errors import Conflict
from yun.base.ids import new_id
from yun.base.messages import _
from yun.compute.model import LIVE, Instance, State
from yun.compute.service.given import come_back, let_go_of
from yun.compute.service.look import get, must_allow
from yun.compute.service.power import check_seconds, keys, subject
from yun.compute.service.view import addresses, disks_of, floating_ips
from yun.network import service as network
from yun.operations import service as operations
from yun.operations.intent import Intent, Key, Subject
from yun.operations.model import OPEN, Operation
from yun.operations.opposites import opposite
from yun.storage.model import TrashItem
from yun.storage.service import adopted_files, kept_until, refuse_restoring


def delete(ctx: Context, instance: Instance, *, timeout: int | None = None, force: bool = False) -> Intent:
    """Move the instance to the trash: it is stopped, and its disks, address and MAC are kept for the undo window.

    Undo brings it back as it was, running if it ran. Raises `Conflict` for a protected instance. One that is still
    being created is given up first.
    """
    ctx.may("instance.delete", instance.project_id)
    must_allow(instance, "delete")
    if instance.protected:
        raise Conflict(
            _("The instance {name} is protected against deletion.", name=instance.name),
            hint=_("Take the protection off first: yun instance update {name} --no-protect.", name=instance.name),
        )
    seconds = 0 if force else min(check_seconds(timeout, instance), 30 if timeout is None else 3600)
    disks = disks_of(ctx.session, instance.id)
    purge_at = kept_until(ctx.clock.now(), ctx.settings)
    return Intent(
        kind="instance.delete",
        title=_("Delete instance {name}", name=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={
            "instance_id": instance.id, "seconds": seconds, "trash_id": new_id(TrashItem.PREFIX),
            "purge_at": purge_at.isoformat(),
        },
        # Those that stay are also kept from others while all of this is taken back: between two of its steps somebody
        # could attach them elsewhere.
        keys=(*keys(instance), *(Key(f"volume:{disk['volume_id']}") for disk in disks if disk["kept"])),
        subjects=tuple(Subject("volume", disk["volume_id"], disk["name"]) for disk in disks),
        effects=(
            *((_("It is stopped first; after {seconds} s its power is cut.", seconds=seconds),)
              if instance.state in LIVE else ()),
            _("It goes to the trash with its disks ({count}) and is removed for good on {day}.",
              count=len([d for d in disks if not d["kept"]]), day=purge_at.date().isoformat()),
            *(_("The volume {name} is detached and stays.", name=d["name"]) for d in disks if d["kept"]),
            *(_("Its address {address} stays reserved.", address=a)
              for a in [*addresses(ctx.session, [instance.id]).get(instance.id, ()),
                        *floating_ips(ctx.session, [instance.id]).get(instance.id, ())]),
            *let_go_of(ctx.session, instance),
            *network.losing_chains(ctx.session, instance.id),
        ),
        destroys=(_("What the guest holds only in memory."),) if instance.state in LIVE else (),
        back=(
            _("It comes back with its disks, name and addresses, and is started.") if instance.state in LIVE
            else _("It comes back with its disks, name and addresses."),
            *come_back(ctx.session, instance),
        ),
        write=lambda session: _give_up_creation(ctx, session, instance),
        deadline=600.0 + seconds,
    )  # fmt: skip


@opposite("instance.create")
def uncreate(ctx: Context, operation: Operation) -> Intent:
    """Undo of a creation: the machine goes to the trash with what it has come to hold."""
    return delete(ctx, get(ctx, operation.subject_id))


def _give_up_creation(ctx: Context, session: Session, instance: Instance) -> None:
    if instance.state != State.BUILDING:
        return
    query = sa.select(Operation).where(
        Operation.kind == "instance.create", Operation.subject_kind == "instance",
        Operation.subject_id == instance.id, Operation.state.in_(OPEN),
    )  # fmt: skip
    for creation in session.scalars(query):
        if creation.state in ("queued", "running"):
            operations.cancel(ctx, creation.id)
        elif creation.state == "stuck":  # the deletion removes what it left behind
            operations.give_up(ctx, creation)


def purge(ctx: Context, instance: Instance) -> Intent:
    """Remove a trashed instance for good, with its disks, addresses and history of use. Cannot be undone."""
    ctx.may("instance.purge", instance.project_id)
    must_allow(instance, "purge")
    refuse_restoring(ctx.session, subject(instance))
    disks = disks_of(ctx.session, instance.id)
    return Intent(
        kind="instance.purge",
        title=_("Purge instance {name}", name=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={"instance_id": instance.id},
        keys=keys(instance),
        subjects=tuple(Subject("volume", disk["volume_id"], disk["name"]) for disk in disks),
        effects=(_("Its name and addresses become free."),),
        destroys=(
            _("instance {name}", name=instance.name),
            *(_("volume {name}", name=disk["name"]) for disk in disks),
            *adopted_files(ctx.session, [disk["volume_id"] for disk in disks]),
        ),
        undoable=False,
        no_undo=_("What is purged is gone for good."),
    )

