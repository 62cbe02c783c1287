"""Finding images: one by name or id, many by the words in them; and who stands on one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context, not_found
from yun.base.errors import Conflict, Invalid, Unauthenticated
from yun.base.messages import _
from yun.base.paging import Page, every_id, paginate
from yun.images.checks import is_id
from yun.images.model import ALLOWED, UNFINISHED, Image, State, Visibility
from yun.images.service import search
from yun.operations.intent import Subject
from yun.operations.model import OPEN, Operation, OperationSubject
from yun.storage.model import Head, Layer, Volume

SORTS = {
    "name": Image.name,
    "created_at": Image.created_at,
    "size_bytes": Image.size_bytes,
    "state": Image.state,
    "os": Image.os,
}


def subject(image: Image) -> Subject:
    """The image as an operation's subject."""
    return Subject("image", image.id, image.name)


def must_be_somebody(ctx: Context) -> None:
    """Raise `Unauthenticated` for nobody, before anything is looked up for him."""
    if ctx.actor.kind == "nobody":
        raise Unauthenticated(_("Please log in."))


def name_subject(project_id: str, name: str) -> Subject:
    """A name as something operations touch: whoever takes a freed one stands in the way of undoing what freed it."""
    return Subject("image-name", f"{project_id}/{hashlib.sha256(name.encode()).hexdigest()[:24]}", name)


def get(ctx: Context, reference: str) -> Image:
    """An image by id, or by name: the context's project first, then what is public. Trashed ones too.

    Raises `NotFound` where it does not exist for the actor, `Conflict` where a name is not unique.
    """
    must_be_somebody(ctx)
    query = sa.select(Image)
    query = query.where(Image.id == reference if is_id(reference, Image.PREFIX) else Image.name == reference[:200])
    found = [row for row in ctx.session.scalars(query.limit(200)) if _sees(ctx, row)]
    mine = [row for row in found if row.project_id == ctx.project_id] if ctx.project_id else []
    public = [row for row in found if row.visibility == Visibility.PUBLIC and row.state != State.TRASHED]
    for choice in (mine, public, found):
        if len(choice) == 1:
            _may_show(ctx, choice[0])
            return choice[0]
    if not found:
        raise not_found("image", reference[:70])
    raise Conflict(
        _("Several projects have an image {name}.", name=reference[:70]), hint=_("Name its id, or choose a project.")
    )


def _sees(ctx: Context, image: Image) -> bool:
    return ctx.sees(image.project_id) or image.visibility == Visibility.PUBLIC


def _may_show(ctx: Context, image: Image) -> None:
    if image.visibility == Visibility.PUBLIC and ctx.actor.role_in(image.project_id) is None:
        ctx.may("image.show")
    else:
        ctx.may("image.show", image.project_id)


def get_bootable(ctx: Context, reference: str) -> Image:
    """An active image that a machine's disk can be made of. Raises `NotFound`, and `Conflict` saying why not."""
    image = get(ctx, reference)
    refuse_unready(image)
    if image.kind != "disk":
        raise Conflict(
            _("{name} is an installation CD, not a disk.", name=image.name),
            hint=_("Choose an image of a disk, such as a cloud image."),
        )
    return image


def get_iso(ctx: Context, reference: str) -> Image:
    """An active image of a CD. Raises `NotFound`, and `Conflict` saying why not."""
    image = get(ctx, reference)
    refuse_unready(image)
    if image.kind != "iso":
        raise Conflict(
            _("{name} is a disk, not a CD.", name=image.name), hint=_("Import an ISO file, and choose that image.")
        )
    return image


def list_isos(ctx: Context) -> list[Image]:
    """The images of CDs that the context's project can use, by name, at most 200."""
    ctx.may("image.list")
    query = sa.select(Image).where(
        sa.or_(Image.project_id == ctx.project_id, Image.visibility == Visibility.PUBLIC),
        Image.kind == "iso", Image.state == State.ACTIVE,
    )  # fmt: skip
    return list(ctx.session.scalars(query.order_by(Image.name).limit(200)))


def refuse_unready(image: Image) -> None:
    """Raise `Conflict` for an image that is not active, saying what it is instead."""
    if image.state == State.TRASHED:
        raise Conflict(
            _("The image {name} lies in the trash.", name=image.name), hint=_("Undo its deletion, or choose another.")
        )
    if image.state != State.ACTIVE:
        raise Conflict(
            _("The image {name} is not ready yet.", name=image.name), hint=_("Wait until its import has ended.")
        )


def list_images(
    ctx: Context,
    *,
    q: str = "",
    state: str | None = None,
    visibility: str | None = None,
    sort: str = "name",
    cursor: str | None = None,
    limit: int = 100,
) -> Page[Image]:
    """The images of the context's project and the public ones (without a project: all that the actor may see).

    ``q`` is in the query language (`search.FIELDS`, and free text). The trash is left out unless ``state`` or the
    query asks for it. Raises `Invalid` for a query that means nothing.
    """
    query = sa.select(Image)
    if ctx.project_id is not None:
        ctx.may("image.list")
        query = query.where(sa.or_(Image.project_id == ctx.project_id, Image.visibility == Visibility.PUBLIC))
    elif ctx.actor.role_in(None) is None:
        mine = list(ctx.actor.roles)
        query = query.where(sa.or_(Image.project_id.in_(mine), Image.visibility == Visibility.PUBLIC))
    else:
        ctx.may("image.list")
    query = query.where(*search.conditions(ctx.session, q))
    if state:
        query = query.where(Image.state == _known("state", state, tuple(State)))
    elif not search.asks_for_trash(q):
        query = query.where(Image.state != State.TRASHED)
    if visibility:
        query = query.where(Image.visibility == _known("visibility", visibility, tuple(Visibility)))
    return paginate(ctx.session, query, sorts=SORTS, key=Image.id, sort=sort, cursor=cursor, limit=limit)


def ids_of(ctx: Context, q: str, most: int) -> list[str]:
    """The ids of all images that a query of the list finds, by name; at most ``most``."""
    return every_id(lambda cursor, limit: list_images(ctx, q=q, cursor=cursor, limit=limit), most)


def _known(field: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        names = _("one of {names}", names=", ".join(known))
        raise Invalid(_("{field} cannot be {value}.", field=field, value=value[:40]), fields={field: names})
    return value


def must_allow(image: Image, verb: str) -> None:
    """Raise `Conflict` where the verb makes no sense in the image's state."""
    if not image.allows(verb):
        hint = _("Wait until its import has ended.")
        if image.state == State.TRASHED:
            hint = _("Undo its deletion first.")
        elif image.state == State.ACTIVE:
            hint = _("Delete it first.")
        raise Conflict(
            _("The image {name} is {state}.", name=image.name, state=_(image.state)),
            hint=hint,
            details={"state": image.state, "allowed": list(ALLOWED[verb])},
        )


def is_being_made(session: Session, image: Image) -> bool:
    """Whether an operation works on an unfinished image; one that none works on any more was abandoned."""
    if image.state not in UNFINISHED:
        return False
    named = sa.select(OperationSubject.seq).where(OperationSubject.kind == "image", OperationSubject.id == image.id)
    query = sa.select(Operation.seq).where(Operation.seq.in_(named), Operation.state.in_(OPEN))
    return session.scalar(query.limit(1)) is not None


def refuse_unfinished(session: Session, image: Image) -> None:
    """Raise `Conflict` while an operation makes the image."""
    if is_being_made(session, image):
        raise Conflict(
            _("The image {name} is {state}.", name=image.name, state=_(image.state)),
            hint=_("Wait until its import has ended, or cancel it."),
            details={"state": image.state, "allowed": list(ALLOWED["delete"])},
        )


def refuse_taken(session: Session, project_id: str, name: str, besides: str | None = None) -> None:
    """Raise `Conflict` where another image of the project (the trash included) has this name."""
    query = sa.select(Image.state).where(Image.project_id == project_id, Image.name == name)
    if besides is not None:
        query = query.where(Image.id != besides)
    state = session.scalar(query)
    if state is None:
        return
    right = {"name": _("a name that is not taken")}
    if state == State.TRASHED:
        raise Conflict(
            _("An image {name} lies in the trash and keeps its name.", name=name),
            hint=_("Purge it from the trash, undo its deletion, or choose another name."),
            fields=right,
        )
    raise Conflict(_("There is already an image {name}.", name=name), fields=right)


def users_of(session: Session, image: Image) -> int:
    """How many disks stand on the image's layer, directly or through other layers."""
    if image.layer_id is None:
        return 0
    tree = sa.select(Layer.id).where(Layer.id == image.layer_id).cte("tree", recursive=True)
    child = sa.orm.aliased(Layer)
    tree = tree.union_all(sa.select(child.id).where(child.parent_id == tree.c.id))
    count = (
        sa.select(sa.func.count(sa.distinct(Volume.id)))
        .join(Head, Head.volume_id == Volume.id)
        .where(Head.layer_id.in_(sa.select(tree.c.id)))
    )
    return session.scalar(count) or 0
