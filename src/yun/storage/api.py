"""REST of storage: pools, volumes, the trash."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from yun.base.context import Context
from yun.operations.answer import answer, moment
from yun.storage import capacity, service
from yun.storage.model import Attachment, Head, Pool, TrashItem, Volume
from yun.web.api import Ctx, Match, Route, tag

router = APIRouter(route_class=Route, tags=["storage"])


class NewPool(BaseModel):
    """A directory of the host that is to hold disks."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=200)
    path: str = Field(max_length=300, description="An empty directory, or one that does not exist yet.")


class PoolPatch(BaseModel):
    """What can be changed of a pool; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    overcommit: float | None = Field(None, description="How many times its space the pool may promise.")
    reserve_bytes: int | None = Field(None, description="Bytes that stay free: new work is refused below.")
    is_default: bool | None = Field(None, description="Whether disks go here where nobody names a pool.")


class Tags(BaseModel):
    """All tags that a thing shall have."""

    model_config = ConfigDict(extra="forbid")

    tags: list[str] = Field(max_length=100)


class NewVolume(BaseModel):
    """An empty disk."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=400)
    size_bytes: int
    pool: str | None = Field(None, max_length=70, description="Pool by name or id; the default one otherwise.")
    description: str = Field("", max_length=2000)
    format: str = Field("qcow2", max_length=10, description="qcow2, or raw: sparse, independent, a little faster.")


# ── pools ──


def show_pools(ctx: Context, pools: list[Pool]) -> list[dict[str, Any]]:
    """Pools as JSON, with their books; where they lie is for administrators."""
    sums = capacity.promised(ctx.session, [p.id for p in pools])
    shown = []
    for pool in pools:
        room = capacity.room_of(pool, sums[pool.id])
        shown.append({
            "id": pool.id, "name": pool.name, "host_id": pool.host_id, "state": pool.state,
            "path": pool.path if ctx.actor.is_admin else "", "is_default": pool.is_default,
            "capacity_bytes": pool.capacity_bytes, "free_bytes": pool.free_bytes, "used_bytes": pool.used_bytes,
            "promised_bytes": room.promised, "limit_bytes": room.limit, "left_bytes": room.left,
            "overcommit": pool.overcommit, "reserve_bytes": pool.reserve_bytes,
            "created_at": moment(pool.created_at), "updated_at": moment(pool.updated_at), "revision": pool.revision,
        })  # fmt: skip
    return shown


def _pool(ctx: Context, reference: str) -> dict[str, Any]:
    return show_pools(ctx, [service.get_pool(ctx, reference)])[0]


@router.get("/pools", summary="List pools")
def list_pools(
    ctx: Ctx, sort: str = Query("name", max_length=40), cursor: str | None = Query(None, max_length=500),
    limit: int = Query(100, ge=1, le=1000),
) -> dict[str, Any]:  # fmt: skip
    """All pools with what they hold, promise, and may still promise."""
    page = service.list_pools(ctx, sort=sort, cursor=cursor, limit=limit)
    return {"items": show_pools(ctx, page.items), "next": page.next}


@router.post("/pools", summary="Create a pool", status_code=202)
def create_pool(ctx: Ctx, body: NewPool, dry_run: bool = False) -> JSONResponse:
    """Make a directory of the host a pool."""
    return answer(ctx, service.create_pool(ctx, name=body.name, path=body.path), dry_run=dry_run)


@router.get("/pools/{ref}", summary="Show a pool")
def show_pool(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
    """One pool, by name or id."""
    pool = service.get_pool(ctx, ref)
    tag(response, pool)
    return show_pools(ctx, [pool])[0]


@router.patch("/pools/{ref}", summary="Change a pool's limits", status_code=202)
def update_pool(ctx: Ctx, ref: str, body: PoolPatch, match: Match, dry_run: bool = False) -> JSONResponse:
    """What it may promise, what stays free, and whether it is the default."""
    pool = service.get_pool(ctx, ref)
    wanted = {name: value for name, value in body.model_dump().items() if value is not None}
    values = match.edit(pool, wanted, {name: getattr(pool, name) for name in wanted}, {})
    intent = service.update_pool(ctx, pool.id, service.PoolChanges(**values))
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _pool(ctx, pool.id))


@router.delete("/pools/{ref}", summary="Delete a pool", status_code=202)
def delete_pool(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """Only an empty one, and not the default."""
    pool = service.get_pool(ctx, ref)
    match.check(pool)
    return answer(ctx, service.delete_pool(ctx, pool.id), dry_run=dry_run, row=lambda: _pool(ctx, pool.id))


# ── volumes ──


def show_volumes(ctx: Context, volumes: list[Volume]) -> list[dict[str, Any]]:
    """Volumes as JSON, with their pool and their place in an instance."""
    ids = [v.id for v in volumes]
    pools = {p.id: p.name for p in ctx.session.scalars(sa.select(Pool))}
    places = {
        a.volume_id: a for a in ctx.session.scalars(sa.select(Attachment).where(Attachment.volume_id.in_(ids)))
    }
    heads = {h.volume_id: h for h in ctx.session.scalars(sa.select(Head).where(Head.volume_id.in_(ids)))}
    return [
        {
            "id": v.id, "name": v.name, "description": v.description, "project_id": v.project_id, "state": v.state,
            "tags": v.tags,
            "size_bytes": v.size_bytes, "used_bytes": v.used_bytes or None,
            "pool_id": v.pool_id, "pool": pools.get(v.pool_id),
            "format": heads[v.id].format if v.id in heads else None,
            "layer_id": heads[v.id].layer_id if v.id in heads else None,
            "attachment": show_attachment(places.get(v.id)),
            "created_at": moment(v.created_at), "updated_at": moment(v.updated_at), "revision": v.revision,
        }
        for v in volumes
    ]  # fmt: skip


def show_attachment(place: Attachment | None) -> dict[str, Any] | None:
    """A volume's place as JSON."""
    if place is None:
        return None
    return {
        "id": place.id, "instance_id": place.instance_id, "instance": place.instance_name, "slot": place.slot,
        "bus": place.bus, "boot_order": place.boot_order, "readonly": place.readonly,
        "removal": place.removal or None,
    }  # fmt: skip


def _volume(ctx: Context, reference: str) -> dict[str, Any]:
    """One volume, with the number of frozen files below it (``depth``)."""
    found = service.get_volume(ctx, reference)
    return {**show_volumes(ctx, [found])[0], "depth": service.depth_of(ctx.session, found.id)}


@router.get("/volumes", summary="List volumes")
def list_volumes(
    ctx: Ctx, state: str | None = Query(None, max_length=40), pool: str | None = Query(None, max_length=70),
    q: str | None = Query(None, max_length=1000, description="Such as `size>10G attached:no text`."),
    sort: str = Query("name", max_length=40), cursor: str | None = Query(None, max_length=500),
    limit: int = Query(100, ge=1, le=1000),
) -> dict[str, Any]:  # fmt: skip
    """The project's volumes; the trash only with ``state=trashed``."""
    page = service.list_volumes(ctx, state=state, pool=pool, q=q, sort=sort, cursor=cursor, limit=limit)
    return {"items": show_volumes(ctx, page.items), "next": page.next}


@router.post("/volumes", summary="Create a volume", status_code=201)
def create_volume(ctx: Ctx, body: NewVolume, dry_run: bool = False) -> JSONResponse:
    """An empty disk in the project."""
    intent = service.create_volume(
        ctx, name=body.name, size_bytes=body.size_bytes, pool=body.pool, description=body.description,
        format=body.format,
    )
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _volume(ctx, intent.subject.id), status=201)


@router.get("/volumes/{ref}", summary="Show a volume")
def show_volume(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
    """One volume, by name or id; trashed ones too."""
    volume = service.get_volume(ctx, ref)
    tag(response, volume)
    return _volume(ctx, volume.id)


@router.post("/volumes/{ref}/tag", summary="Tag a volume")
def tag_volume(ctx: Ctx, ref: str, body: Tags, match: Match, dry_run: bool = False) -> JSONResponse:
    """Exactly these tags."""
    volume = service.get_volume(ctx, ref)
    match.check(volume)
    intent = service.tag_volume(ctx, volume, body.tags)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _volume(ctx, volume.id))


@router.delete("/volumes/{ref}", summary="Delete a volume", status_code=202)
def delete_volume(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """To the trash, from which undo or restore brings it back."""
    volume = service.get_volume(ctx, ref)
    match.check(volume)
    return answer(ctx, service.delete_volume(ctx, volume), dry_run=dry_run, row=lambda: _volume(ctx, volume.id))


# ── the trash ──


def show_item(item: TrashItem) -> dict[str, Any]:
    """An item of the trash as JSON."""
    return {
        "id": item.id, "kind": item.kind, "subject_id": item.subject_id, "name": item.name,
        "project_id": item.project_id, "bytes": item.bytes, "trashed_at": moment(item.trashed_at),
        "purge_at": moment(item.purge_at), "operation_id": item.operation_id,
    }  # fmt: skip


@router.get("/trash", summary="List the trash")
def list_trash(
    ctx: Ctx, kind: str | None = Query(None, max_length=40), sort: str = Query("-trashed_at", max_length=40),
    cursor: str | None = Query(None, max_length=500), limit: int = Query(100, ge=1, le=1000),
    q: str = Query("", max_length=1000, description="Such as `kind:volume size>10G deleted>2d text`."),
) -> dict[str, Any]:  # fmt: skip
    """What was deleted and can still be brought back."""
    page = service.list_trash(ctx, q=q, kind=kind, sort=sort, cursor=cursor, limit=limit)
    return {"items": [show_item(i) for i in page.items], "next": page.next}


@router.get("/trash/{ref}", summary="Show an item of the trash")
def show_trash(ctx: Ctx, ref: str) -> dict[str, Any]:
    """By its id, by the id of the thing, or by the thing's name."""
    return show_item(service.get_item(ctx, ref))


@router.post("/trash/{ref}/restore", summary="Bring a thing back from the trash", status_code=202)
def restore(ctx: Ctx, ref: str, through: bool = False, dry_run: bool = False) -> JSONResponse:
    """Undo its deletion; with ``through`` also what was changed since and stands in the way."""
    item = service.get_item(ctx, ref)
    return answer(ctx, service.restore(ctx, item, through=through), dry_run=dry_run, row=lambda: show_item(item))


@router.post("/trash/{ref}/purge", summary="Remove a thing for good", status_code=202)
def purge(ctx: Ctx, ref: str, dry_run: bool = False) -> JSONResponse:
    """There is no way back."""
    item = service.get_item(ctx, ref)
    return answer(ctx, service.purge(ctx, item), dry_run=dry_run, row=lambda: show_item(item))
