"""The trash: what was deleted, of this room and of those above; bring back, remove for good."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base import permissions
from yun.base.config import Settings
from yun.base.context import Context, not_found
from yun.base.errors import Conflict
from yun.base.messages import Message, _
from yun.base.paging import Page, paginate
from yun.operations import service as operations
from yun.operations.intent import Intent, Subject
from yun.operations.model import OPEN, Operation, OperationSubject
from yun.storage import names
from yun.storage.model import Attachment, Head, TrashItem
from yun.storage.service import trash_search

SORTS = {
    "trashed_at": TrashItem.trashed_at, "purge_at": TrashItem.purge_at, "name": TrashItem.name,
    "bytes": TrashItem.bytes,
}  # fmt: skip
MARGIN = timedelta(hours=1)


def kept_until(now: datetime, settings: Settings) -> datetime:
    """Until when something deleted now is kept: a little longer than its deletion can be undone, so that no purge
    meets an undo that was asked for in the last moment."""
    return now + timedelta(days=settings.undo_days) + MARGIN


def list_trash(
    ctx: Context, *, q: str = "", kind: str | None = None, sort: str = "-trashed_at", cursor: str | None = None,
    limit: int = 100,
) -> Page[TrashItem]:  # fmt: skip
    """What lies in the trash of the context's project (of all projects for the cloud's administrator without one).

    ``q`` is in the query language (`trash_search.FIELDS`, and free text). Raises `Invalid` for one that means nothing.
    """
    ctx.may("trash.list")
    query = sa.select(TrashItem).where(*trash_search.conditions(ctx.session, q))
    if ctx.project_id is not None:
        query = query.where(TrashItem.project_id == ctx.project_id)
    if kind:
        query = query.where(TrashItem.kind == kind)
    return paginate(ctx.session, query, sorts=SORTS, key=TrashItem.id, sort=sort, cursor=cursor, limit=limit)


def get_item(ctx: Context, reference: str) -> TrashItem:
    """An item by its id, by the id of the thing that lies there, or by that thing's name where only one has it.

    Raises `NotFound`, and `Conflict` where several things have the name.
    """
    query = sa.select(TrashItem)
    if names.is_id(reference, TrashItem.PREFIX):
        query = query.where(TrashItem.id == reference)
    else:
        same = sa.and_(TrashItem.name == reference, TrashItem.project_id == ctx.project_id)
        query = query.where(sa.or_(TrashItem.subject_id == reference, same))
    found = [i for i in ctx.session.scalars(query.limit(10)) if ctx.sees(i.project_id)]
    if not found:
        raise not_found("trash item", reference[:120])
    if len(found) > 1:
        raise Conflict(
            _("Several things in the trash are called {name}.", name=reference[:120]),
            hint=_("Name one by its id: {ids}", ids=", ".join(i.id for i in found)),
        )
    ctx.may("trash.show", found[0].project_id)
    return found[0]


def restore(ctx: Context, item: TrashItem, *, through: bool = False) -> Intent:
    """Bring a thing back by undoing what deleted it. Raises `Conflict` with what stands in the way."""
    ctx.may("trash.restore", item.project_id)
    if item.operation_id is None:
        raise Conflict(_("{name} cannot be brought back: nobody knows what deleted it.", name=item.name))
    return operations.undo(ctx, item.operation_id, through=through)


def purge(ctx: Context, item: TrashItem) -> Intent:
    """Remove a thing for good. Raises `Conflict` where its purge is under way already, or its way back."""
    ctx.may("trash.purge", item.project_id)
    ctx.may(f"{item.kind}.purge", item.project_id)
    if item.subject_id in being_purged(ctx.session, [item]):
        raise Conflict(_("{name} is being purged already.", name=item.name))
    refuse_restoring(ctx.session, Subject(item.kind, item.subject_id, item.name))
    intent, volumes = purge_intent(item), [item.subject_id]
    if item.kind != "volume":
        query = sa.select(Attachment.volume_id).where(Attachment.instance_id == item.subject_id)
        volumes = list(ctx.session.scalars(query))
    return replace(intent, destroys=(*intent.destroys, *adopted_files(ctx.session, volumes)))


def adopted_files(session: Session, volume_ids: Iterable[str]) -> tuple[Message, ...]:
    """The files of these volumes that were there before the cloud was: a purge removes them, wherever they lie."""
    query = sa.select(Head.path).where(Head.volume_id.in_(list(volume_ids)), Head.adopted).order_by(Head.path)
    return tuple(_("the file {path}, which was taken over", path=path) for path in session.scalars(query))


def refuse_restoring(session: Session, subject: Subject) -> None:
    """Raise `Conflict` where an undo that touches the thing waits or runs: it is on its way out of the trash."""
    if (subject.kind, subject.id) in being_restored(session, [subject.id]):
        raise Conflict(
            _("{name} is being brought back at this moment.", name=subject.name),
            hint=_("Wait until that undo has ended, or cancel it."),
        )


def purge_intent(item: TrashItem) -> Intent:
    """The operation ``<kind>.purge`` of a thing: each room brings its own, and nobody imports upwards to name it."""
    return Intent(
        kind=f"{item.kind}.purge",
        title=_("Purge {kind} {name}", kind=_(item.kind), name=item.name),
        subject=Subject(item.kind, item.subject_id, item.name),
        project_id=item.project_id,
        arguments={f"{item.kind}_id": item.subject_id},
        effects=(_("Its name becomes free."),),
        destroys=(_("{kind} {name}, with everything in it", kind=_(item.kind), name=item.name),),
        undoable=False,
        no_undo=_("What is purged is gone for good."),
    )


def being_purged(session: Session, items: list[TrashItem]) -> set[str]:
    """The subjects of items whose purge waits or runs."""
    kinds, subjects = {f"{i.kind}.purge" for i in items}, [i.subject_id for i in items]
    query = sa.select(Operation.subject_id).where(
        Operation.kind.in_(kinds), Operation.subject_id.in_(subjects), Operation.finished_at.is_(None)
    )
    return set(session.scalars(query))


def being_restored(session: Session, subject_ids: list[str]) -> set[tuple[str, str]]:
    """The subjects, as (kind, id), that an open undo touches."""
    query = (
        sa.select(OperationSubject.kind, OperationSubject.id)
        .join(Operation, Operation.seq == OperationSubject.seq)
        .where(
            Operation.kind == "operation.undo", Operation.state.in_(OPEN), OperationSubject.id.in_(subject_ids)
        )
    )  # fmt: skip
    return {(kind, identifier) for kind, identifier in session.execute(query)}


def due(ctx: Context, *, limit: int = 100) -> list[TrashItem]:
    """Items whose time is over, whose purge nobody has ordered yet and which nobody is bringing back."""
    query = sa.select(TrashItem).where(TrashItem.purge_at <= ctx.clock.now()).order_by(TrashItem.purge_at)
    found = [i for i in ctx.session.scalars(query.limit(limit)) if f"{i.kind}.purge" in permissions.NEEDS]
    waiting = being_purged(ctx.session, found)
    coming = being_restored(ctx.session, [i.subject_id for i in found])
    return [i for i in found if i.subject_id not in waiting and (i.kind, i.subject_id) not in coming]


