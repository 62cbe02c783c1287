"""Finding instances: one by name or id, many by the search language, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context, not_found
from yun.base.errors import Conflict
from yun.base.messages import _
from yun.base.paging import Page, paginate
from yun.compute.model import ALLOWED, Instance, State
from yun.compute.names import is_id
from yun.compute.service import search

SORTS = {
    "name": Instance.name,
    "created_at": Instance.created_at,
    "state": Instance.state,
    "memory_mib": Instance.memory_mib,
    "vcpus": Instance.vcpus,
}

COLUMNS = (
    "id", "uuid", "name", "description", "project_id", "state", "reason", "vcpus", "memory_mib", "flavor_id",
    "flavor_name", "image_id", "image_name", "host_id", "hostname", "default_user", "firmware", "tags", "autostart",
    "protected", "on_crash", "shutdown_seconds", "agent", "revision", "running_vcpus", "running_memory_mib",
    "hardware", "running_hardware", "boot_order", "boot_once",
)  # fmt: skip
MOMENTS = ("started_at", "created_at", "updated_at")
VALUES = (*COLUMNS, *MOMENTS)


def get(ctx: Context, reference: str) -> Instance:
    """An instance by id, or by name in the context's project; trashed ones too.

    Raises `NotFound` where it does not exist for the actor, `Conflict` where a name is not unique among his projects.
    """
    if "\0" in reference:
        raise not_found("instance", "?")
    query = sa.select(Instance)
    if is_id(reference, Instance.PREFIX):
        query = query.where(Instance.id == reference)
    else:
        query = query.where(Instance.name == reference)
        if ctx.project_id is not None:
            query = query.where(Instance.project_id == ctx.project_id)
    found = [row for row in ctx.session.scalars(query.limit(100)) if ctx.sees(row.project_id)]
    if not found:
        raise not_found("instance", reference)
    if len(found) > 1:
        raise Conflict(
            _("Several projects have an instance {name}.", name=reference), hint=_("Name its id, or choose a project.")
        )
    ctx.may("instance.show", found[0].project_id)
    return found[0]


def list_instances(
    ctx: Context, *, q: str = "", sort: str = "-created_at", cursor: str | None = None, limit: int = 100
) -> Page[Instance]:
    """A page of the instances that the actor may see (of the context's project, if it has one).

    ``q`` is in the search language (`search.FIELDS` and free text); the trash is left out unless asked for by
    ``state:trashed``. Raises `Invalid` for an unknown field, state, sort or cursor.
    """
    return paginate(
        ctx.session, _visible(ctx, q), sorts=SORTS, key=Instance.id, sort=sort, cursor=cursor, limit=limit
    )


def list_values(
    ctx: Context, *, q: str = "", sort: str = "-created_at", cursor: str | None = None, limit: int = 100
) -> Page[dict[str, Any]]:
    """The same page as `list_instances`, as plain values by column name: no row objects, for long lists."""
    page = paginate(
        ctx.session, _visible(ctx, q), sorts=SORTS, key=Instance.id, sort=sort, cursor=cursor, limit=limit,
        columns=[getattr(Instance, name) for name in VALUES],
    )  # fmt: skip
    return Page([dict(zip(VALUES, row, strict=True)) for row in page.items], page.next)


def count_instances(ctx: Context, *, q: str = "") -> dict[str, int]:
    """How many of the instances that match ``q`` are in each state; states without any are left out."""
    rows = _visible(ctx, q).with_only_columns(Instance.state, sa.func.count()).group_by(Instance.state)
    return {str(state): int(number) for state, number in ctx.session.execute(rows)}


def ids_of(ctx: Context, q: str, most: int) -> list[str]:
    """The ids of all instances that a query of the list finds, by name; at most ``most``."""
    query = _visible(ctx, q).with_only_columns(Instance.id).order_by(Instance.name, Instance.id)
    return list(ctx.session.scalars(query.limit(most)))


def _visible(ctx: Context, q: str) -> sa.Select[Any]:
    query = sa.select(Instance).where(*search.conditions(ctx.session, q))
    if ctx.project_id is not None:
        ctx.may("instance.list")
        query = query.where(Instance.project_id == ctx.project_id)
    elif ctx.actor.role_in(None) is None:
        query = query.where(Instance.project_id.in_(list(ctx.actor.roles)))
    else:
        ctx.may("instance.list")
    if not search.asks_for_trash(q):
        query = query.where(Instance.state != State.TRASHED)
    return query


def must_allow(instance: Instance, verb: str) -> None:
    """Raise `Conflict` where the verb makes no sense in the instance's state, saying what would help."""
    must_be(instance, ALLOWED[verb])


def must_be(instance: Instance, states: Sequence[State]) -> None:
    """Raise `Conflict` where the instance is in none of ``states``, saying what would help."""
    if instance.state in states:
        return
    hint = None
    if instance.state == State.TRASHED:
        hint = _("Undo its deletion first: the trash lists it.")
    elif instance.state == State.BUILDING:
        hint = _("Wait until it has been created, or delete it.")
    raise Conflict(
        _("The instance {name} is {state}.", name=instance.name, state=_(instance.state)), hint=hint,
        details={"state": instance.state, "allowed": list(states)},
    )  # fmt: skip


def refuse_taken(session: Session, project_id: str, name: str, *, besides: str | None = None) -> None:
    """Raise `Conflict` where another instance of the project (the trash included) has this name."""
    query = sa.select(Instance.state).where(Instance.project_id == project_id, Instance.name == name)
    if besides is not None:
        query = query.where(Instance.id != besides)
    state = session.scalar(query)
    if state is None:
        return
    right = {"name": _("a name that is not taken")}
    if state == State.TRASHED:
        raise Conflict(
            _("An instance {name} lies in the trash and keeps its name.", name=name),
            hint=_("Purge it from the trash, undo its deletion, or choose another name."), fields=right,
        )  # fmt: skip
    raise Conflict(_("There is already an instance {name}.", name=name), fields=right)
