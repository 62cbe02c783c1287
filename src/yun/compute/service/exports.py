"""The verb export: a copy of a whole instance as one OVA, running or not, to download and to start somewhere else."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.errors import Conflict
from yun.base.ids import new_id
from yun.base.messages import _
from yun.base.units import format_size
from yun.compute.model import LIVE, SETTLED, Instance
from yun.compute.service.clone import consistency, read_only
from yun.compute.service.look import must_be
from yun.compute.service.power import keys, subject
from yun.images.model import Export
from yun.operations.intent import Intent, Key
from yun.operations.model import Operation
from yun.storage import service as storage
from yun.storage.model import Pool, VolumeState

KEPT = timedelta(hours=24)


def export(ctx: Context, instance: Instance) -> Intent:
    """Make an OVA of an instance: its description, its disks as compressed VMDK, SHA-256 checksums of all.

    One that runs goes on: its disks are frozen where they lie, at one moment, and it writes to new files on them; no
    copy is made of them but the one that goes out. It can be downloaded for a day. The export's id is the argument
    ``export_id`` and in the operation's result, with ``consistency``. Raises `Conflict` for an instance that is being
    made, has no disk, or one that cannot be read or frozen now.
    """
    ctx.may("instance.export", instance.project_id)
    must_be(instance, SETTLED)
    live = instance.state in LIVE
    disks = storage.attachments_of(ctx.session, instance.id)
    if not disks:
        raise Conflict(_("The instance {name} has no disk.", name=instance.name))
    for disk in disks:
        if disk.volume.state != VolumeState.AVAILABLE:
            raise Conflict(
                _("The volume {name} is {state}; this is not possible now.",
                  name=disk.volume.name, state=_(disk.volume.state))
            )  # fmt: skip
    still = read_only(instance, disks)
    freezes = [storage.plan_freeze(ctx.session, disk.volume) for disk in disks if disk not in still] if live else None
    pool = ctx.session.get_one(Pool, disks[0].volume.pool_id)
    identifier = new_id(Export.PREFIX)

    def write(session: Session) -> None:
        session.add(
            Export(
                id=identifier, project_id=instance.project_id, image_id=instance.id, image_name=instance.name,
                pool_id=pool.id, path=f"{pool.path}/incoming/{identifier}.ova", format="ova",
                expires_at=ctx.clock.now() + KEPT,
            )
        )  # fmt: skip

    size = sum(disk.volume.size_bytes for disk in disks)
    return Intent(
        kind="instance.export",
        title=_("Export instance {name}", name=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={"export_id": identifier, "instance_id": instance.id, "freezes": freezes,
                   "still": [disk.volume_id for disk in still]},
        keys=(*keys(instance), Key("image-work", slots=2)),
        effects=(
            _("An OVA with {count} disks of {size} in all is made; it can be downloaded for 24 hours.",
              count=len(disks), size=format_size(size)),
            *(consistency(instance) if live else ()),
            _("It cannot be changed until the copy is made.") if live
            else _("It cannot be started until the copy is made."),
            _("Passwords, keys and addresses in its disks go along as they are."),
        ),
        capacity=(_("The pool {pool} has {free} left.", pool=pool.name, free=format_size(pool.free_bytes)),),
        write=write,
        undoable=False,
        no_undo=_("A download cannot be taken back; the copy goes by itself."),
        transparent=True,
        deadline=6 * 3600.0,
    )  # fmt: skip


def consistency_of(ctx: Context, instance: Instance, export_id: str) -> str | None:
    """In what condition the disks were copied: ``stopped``, ``quiesced`` or ``crash``; None where nobody knows yet."""
    query = sa.select(Operation).where(
        Operation.kind == "instance.export", Operation.subject_kind == "instance", Operation.subject_id == instance.id
    )
    for operation in ctx.session.scalars(query.order_by(Operation.seq.desc()).limit(100)):
        if operation.arguments.get("export_id") == export_id:
            found: str | None = ((operation.result or {}).get("value") or {}).get("consistency")
            return found
    return None
