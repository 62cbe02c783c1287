"""Pools: look, make, change, remove; the default one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context, not_found
from yun.base.errors import Conflict, Invalid, Unavailable
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.base.paging import Page, paginate
from yun.hosts.service import local_host
from yun.operations.intent import Intent, Key, Subject, unchanged
from yun.operations.model import OperationKey
from yun.storage import capacity, names
from yun.storage.model import Layer, Pool, Volume

SORTS = {"name": Pool.name, "created_at": Pool.created_at, "free_bytes": Pool.free_bytes}
OVERCOMMIT = (1.0, 100.0)


@dataclass(frozen=True)
class PoolChanges:
    """What `update_pool` may change; None leaves a field as it is. ``reserve_bytes`` in bytes."""

    overcommit: float | None = None
    reserve_bytes: int | None = None
    is_default: bool | None = None

    def given(self) -> dict[str, Any]:
        """The fields that are to change."""
        return {k: v for k, v in vars(self).items() if v is not None}


def subject_of(pool: Pool) -> Subject:
    """The pool as the subject of an operation."""
    return Subject("pool", pool.id, pool.name)


def place_subjects(host_id: str, name: str, path: str) -> tuple[Subject, Subject]:
    """A pool's name and directory as things operations touch: whoever takes freed ones stands in the way of undoing
    what freed them."""
    place = hashlib.sha256(f"{host_id}:{path}".encode()).hexdigest()[:24]
    return Subject("pool-name", name, name), Subject("pool-path", place, path)


def place_keys(host_id: str, name: str, path: str) -> tuple[Key, ...]:
    """The keys of whatever takes or frees a pool's name and directory."""
    return tuple(Key(f"{subject.kind}:{subject.id}") for subject in place_subjects(host_id, name, path))


def list_pools(ctx: Context, *, sort: str = "name", cursor: str | None = None, limit: int = 100) -> Page[Pool]:
    """All pools; they belong to the whole cloud."""
    ctx.may("pool.list")
    return paginate(ctx.session, sa.select(Pool), sorts=SORTS, key=Pool.id, sort=sort, cursor=cursor, limit=limit)


def get_pool(ctx: Context, reference: str) -> Pool:
    """A pool by name or id. Raises `NotFound`."""
    ctx.may("pool.show")
    column = Pool.id if names.is_id(reference, "pol") else Pool.name
    found = ctx.session.scalar(sa.select(Pool).where(column == reference))
    if found is None:
        raise not_found("pool", reference[:70])
    return found


def default_pool(session: Session) -> Pool:
    """The pool used where nobody names one. Raises `Unavailable` before there is one."""
    found = session.scalar(sa.select(Pool).order_by(Pool.is_default.desc(), Pool.created_at, Pool.id).limit(1))
    if found is None:
        raise Unavailable(
            _("There is no storage pool yet."), hint=_("It is made when yun serve starts; try again in a moment.")
        )
    return found


def pool_room(session: Session, pool: Pool) -> capacity.Room:
    """What the pool has promised and may still promise."""
    return capacity.room_of(pool, capacity.promised(session, [pool.id])[pool.id])


def create_pool(ctx: Context, *, name: str, path: str) -> Intent:
    """Make the directory ``path`` of the host a pool. Raises `Invalid` and `Conflict`."""
    ctx.may("pool.create")
    name, host = names.check_pool_name(name), local_host(ctx.session)
    names.check_pool_path(path, str(ctx.settings.state_dir))
    for column, value, field in ((Pool.name, name, "name"), (Pool.path, path, "path")):
        if ctx.session.scalar(sa.select(Pool.id).where(column == value)):
            raise Conflict(_("There is a pool {value} already.", value=value), fields={field: _("another one")})
    for other in ctx.session.scalars(sa.select(Pool.path)):
        if path.startswith(other + "/") or other.startswith(path + "/"):
            raise Invalid(
                _("A pool cannot lie inside of another one ({path}).", path=other),
                fields={"path": _("a directory of its own")},
            )
    pool_id = new_id(Pool.PREFIX)
    return Intent(
        kind="pool.create",
        title=_("Create pool {name}", name=name),
        subject=Subject("pool", pool_id, name),
        subjects=place_subjects(host.id, name, path),
        arguments={"pool_id": pool_id, "host_id": host.id, "name": name, "path": path},
        keys=(Key(f"pool:{pool_id}"), *place_keys(host.id, name, path)),
        effects=(_("The directory {path} on {host} will hold disks.", path=path, host=host.name),),
        undoable=False,
        no_undo=_("Delete the pool instead, once it is empty."),
        deadline=120.0,
    )


def update_pool(ctx: Context, reference: str, changes: PoolChanges) -> Intent:
    """Change what a pool may promise, or make it the default. Raises `NotFound` and `Invalid`."""
    ctx.may("pool.update")
    pool, given = get_pool(ctx, reference), changes.given()
    wrong: dict[str, Message] = {}
    least, most = OVERCOMMIT
    if not given:
        raise Invalid(_("Nothing to change was given."))
    if "overcommit" in given and not least <= given["overcommit"] <= most:
        wrong["overcommit"] = _("a number from {least} to {most}", least=least, most=most)
    if "reserve_bytes" in given and not 0 <= given["reserve_bytes"] <= max(pool.capacity_bytes, 1):
        wrong["reserve_bytes"] = _("0 to the size of the pool")
    if given.get("is_default") is False:
        wrong["is_default"] = _("true; make another pool the default instead")
    if wrong:
        raise Invalid(_("These limits of a pool cannot be used."), fields=wrong)
    return Intent(
        kind="pool.update",
        title=_("Change the limits of pool {name}", name=pool.name),
        subject=subject_of(pool),
        arguments={"pool_id": pool.id, "changes": given},
        effects=tuple(
            _("{field} becomes {value} (now {old}).", field=k, value=str(v), old=str(getattr(pool, k)))
            for k, v in given.items()
        ),
        still=unchanged(pool),
        instant=True,
    )


def delete_pool(ctx: Context, reference: str) -> Intent:
    """Remove an empty pool; its directory goes where nothing else is in it. Raises `NotFound` and `Conflict`."""
    ctx.may("pool.delete")
    pool = get_pool(ctx, reference)
    refuse_full(ctx.session, pool)
    return Intent(
        kind="pool.delete",
        title=_("Delete pool {name}", name=pool.name),
        subject=subject_of(pool),
        subjects=place_subjects(pool.host_id, pool.name, pool.path),
        arguments={"pool_id": pool.id},
        keys=(Key(f"pool:{pool.id}"), *place_keys(pool.host_id, pool.name, pool.path)),
        effects=(_("The directory {path} is no longer used.", path=pool.path),),
        deadline=120.0,
    )


def refuse_taken(session: Session, host_id: str, name: str, path: str) -> None:
    """Pass where no pool has this name or directory. Raises `Conflict`."""
    same_place = sa.and_(Pool.host_id == host_id, Pool.path == path)
    found = session.scalar(sa.select(Pool).where(sa.or_(Pool.name == name, same_place)).limit(1))
    if found is not None:
        value, field = (name, "name") if found.name == name else (path, "path")
        raise Conflict(_("There is a pool {value} already.", value=value), fields={field: _("another one")})


def refuse_full(session: Session, pool: Pool) -> None:
    """Pass for a pool that holds nothing, not even in the trash, into which nothing is on its way, and that is not the
    last one. Raises `Conflict`."""
    counts = {
        table: session.scalar(sa.select(sa.func.count()).select_from(table).where(table.pool_id == pool.id)) or 0
        for table in (Volume, Layer)
    }
    if any(counts.values()):
        raise Conflict(
            _(
                "The pool {pool} is not empty: {volumes} volumes (also in the trash) and {layers} base files.",
                pool=pool.name, volumes=counts[Volume], layers=counts[Layer],
            ),
            hint=_("Delete its volumes and images and empty the trash first."),
        )  # fmt: skip
    if pool.is_default:
        raise Conflict(
            _("The pool {pool} is the default one.", pool=pool.name), hint=_("Make another pool the default first.")
        )
    work = sa.select(OperationKey.seq).where(OperationKey.key == f"pool-work:{pool.id}").limit(1)
    if session.scalar(work) is not None:  # such as a disk on its way here, which no row of the pool tells of yet
        raise Conflict(
            _("Something is under way in the pool {pool}.", pool=pool.name),
            hint=_("Wait until it is done, or cancel it."),
        )
