"""The verbs delete (to the trash) and purge (for good); both leave all other snapshots as they are."""

from __future__ import annotations

from yun.base.context import Context
from yun.base.ids import new_id
from yun.base.messages import _
from yun.base.units import format_size
from yun.operations.intent import Intent, Key
from yun.operations.model import Operation
from yun.operations.opposites import opposite
from yun.snapshots.model import Snapshot
from yun.snapshots.service.create import subject_of
from yun.snapshots.service.look import get, must_allow, sizes_of
from yun.storage.model import TrashItem
from yun.storage.service import kept_until, refuse_restoring


def delete(ctx: Context, row: Snapshot) -> Intent:
    """Move a snapshot to the trash; those that grew from it and the instance itself stay as they are."""
    ctx.may("snapshot.delete", row.project_id)
    must_allow(row, "delete")
    purge_at = kept_until(ctx.clock.now(), ctx.settings)
    own, _shared = sizes_of(ctx.session, [row])[row.id]
    return Intent(
        kind="snapshot.delete",
        title=_("Delete snapshot {name} of instance {instance}", name=row.name, instance=row.instance_name),
        subject=subject_of(row),
        project_id=row.project_id,
        arguments={"snapshot_id": row.id, "trash_id": new_id(TrashItem.PREFIX), "purge_at": purge_at.isoformat()},
        keys=(Key(f"snapshot:{row.id}"),),
        effects=(
            _("It goes to the trash and is removed for good on {day}.", day=purge_at.date().isoformat()),
            _("Up to {size} become free then, once what others need of it is merged.", size=format_size(own)),
            _("Snapshots that grew from it, and the instance, stay as they are."),
        ),
        back=(_("It is in its place again."),),
        instant=True,
    )


@opposite("snapshot.create")
def uncreate(ctx: Context, operation: Operation) -> Intent:
    """Undo of a snapshot: it goes to the trash."""
    return delete(ctx, get(ctx, operation.subject_id))


def purge(ctx: Context, row: Snapshot) -> Intent:
    """Remove a trashed snapshot for good. Cannot be undone."""
    ctx.may("snapshot.purge", row.project_id)
    must_allow(row, "purge")
    refuse_restoring(ctx.session, subject_of(row))
    return purge_intent(row)


def purge_intent(row: Snapshot) -> Intent:
    """The operation that removes a snapshot for good, whoever asks: also one whose instance has been purged."""
    return Intent(
        kind="snapshot.purge",
        title=_("Purge snapshot {name} of instance {instance}", name=row.name, instance=row.instance_name),
        subject=subject_of(row),
        project_id=row.project_id,
        arguments={"snapshot_id": row.id},
        keys=(Key(f"snapshot:{row.id}"),),
        effects=(_("Its name becomes free."), _("Other snapshots stay as they are.")),
        destroys=(_("snapshot {name}", name=row.name),),
        undoable=False,
        no_undo=_("What is purged is gone for good."),
    )


