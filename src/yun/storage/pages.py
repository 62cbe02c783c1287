"""Pages of storage: volumes, pools, the trash."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.context import Context
from yun.base.errors import Conflict
from yun.base.messages import Message, _
from yun.base.query import finished
from yun.base.units import MIB, parse_size
from yun.operations.intent import Intent
from yun.operations.pages import PLACES
from yun.operations.service import submit
from yun.storage import service
from yun.storage.api import show_pools, show_volumes
from yun.storage.model import Pool, TrashItem
from yun.storage.service.search import FIELDS as VOLUMES
from yun.storage.service.trash_search import FIELDS as TRASH
from yun.web.edits import changed
from yun.web.navigation import ADMIN
from yun.web.pages import (
    Ctx,
    FormData,
    Listing,
    PageRoute,
    Typed,
    accepted,
    command,
    live_preview,
    nav,
    preview,
    render,
    ticked,
    word,
)
from yun.web.searching import searched
from yun.web.typed import listed

router = APIRouter(route_class=PageRoute, include_in_schema=False)
nav("volumes", _("Volumes"), "/volumes", icon="database", order=20, permission="volume.list")
command("volume.create", _("Create a volume"), "/volumes/new", icon="database", permission="volume.create")
nav("trash", _("Trash"), "/trash", icon="trash", order=70, permission="trash.list")
nav("pools", _("Pools"), "/pools", icon="stack-2", order=20, section=ADMIN, permission="pool.create")


def _size(form: FormData, name: str) -> int:
    return parse_size(word(form, name) or "", field=name, default_unit="g")


# ── volumes ──


@router.get("/volumes")
def volumes(
    ctx: Ctx, q: str = "", state: str = "", pool: str = "", sort: str = "name", cursor: str | None = None
) -> Response:
    """The project's disks."""
    page, fault = searched(ctx, q, VOLUMES, lambda words: service.list_volumes(
        ctx, state=state or None, pool=pool or None, q=words, sort=sort, cursor=cursor
    ))  # fmt: skip
    filters = {"q": q, "state": state, "pool": pool}
    listing = Listing(
        "/volumes", page, sort=sort, filters=filters, cursor=cursor, live="volume", fault=fault,
        total=None if fault else service.count_volumes(ctx, q=_whole(q, state, pool)),
        query=None if fault else _whole(q, state, pool),
    )  # fmt: skip
    shown = {v["id"]: v for v in show_volumes(ctx, page.items)}
    pools = service.list_pools(ctx, limit=1000).items
    return render(ctx, "storage/volumes.html", listing=listing, shown=shown, pools=pools)


def _whole(q: str, state: str, pool: str) -> str:
    """The list in one query."""
    words = [finished(q, VOLUMES), f'state:"{state}"' if state else "", f'pool:"{pool}"' if pool else ""]
    return " ".join(word for word in words if word)


@router.get("/volumes/new")
def volume_form(ctx: Ctx) -> Response:
    """The form for an empty disk."""
    ctx.may("volume.create")
    pools = service.list_pools(ctx, limit=1000).items
    return render(
        ctx, "storage/volume_form.html", action="/volumes", preview_url="/volumes/new/preview", pools=pools
    )


def _new_volume(ctx: Context, form: FormData) -> Intent:
    return service.create_volume(
        ctx, name=word(form, "name") or "", size_bytes=_size(form, "size_bytes"), pool=word(form, "pool"),
        description=word(form, "description") or "", format=word(form, "format") or "qcow2",
    )  # fmt: skip


@router.post("/volumes/new/preview")
def plan_volume(ctx: Ctx, typed: Typed) -> Response:
    """What creating it would do."""
    return live_preview(ctx, lambda: _new_volume(ctx, typed))


@router.post("/volumes")
def create_volume(ctx: Ctx, typed: Typed) -> Response:
    """Make an empty disk."""
    operation = submit(ctx, _new_volume(ctx, typed))
    return accepted(ctx, operation, location=f"/volumes/{operation.subject_id}")


@router.get("/volumes/{ref}")
def volume(ctx: Ctx, ref: str) -> Response:
    """One disk."""
    found = service.get_volume(ctx, ref)
    shown = {**show_volumes(ctx, [found])[0], "depth": service.depth_of(ctx.session, found.id)}
    return render(ctx, "storage/volume.html", volume=found, shown=shown, live=f"volume:{found.id}")


@router.get("/volumes/{ref}/tag")
def tag_dialog(ctx: Ctx, ref: str) -> Response:
    """The dialog for the tags."""
    found = service.get_volume(ctx, ref)
    ctx.may("volume.tag", found.project_id)
    return render(ctx, "web/tag_dialog.html", action=f"/volumes/{found.id}/tag", name=found.name, tags=found.tags)


@router.post("/volumes/{ref}/tag")
def save_tags(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Give it these tags."""
    tags = listed(word(typed, "tags") or "")
    return accepted(ctx, submit(ctx, service.tag_volume(ctx, service.get_volume(ctx, ref), tags)))


@router.get("/volumes/{ref}/delete/preview")
def delete_volume_preview(ctx: Ctx, ref: str) -> Response:
    """What deleting does."""
    found = service.get_volume(ctx, ref)
    intent = service.delete_volume(ctx, found)
    return preview(ctx, intent, action=f"/volumes/{found.id}/delete", confirm=_("Delete"))


@router.post("/volumes/{ref}/delete")
def delete_volume(ctx: Ctx, ref: str) -> Response:
    """Put it into the trash."""
    intent = service.delete_volume(ctx, service.get_volume(ctx, ref))
    return accepted(ctx, submit(ctx, intent), location="/volumes")


# ── the trash ──


@router.get("/trash")
def trash(
    ctx: Ctx, q: str = "", kind: str = "", sort: str = "-trashed_at", cursor: str | None = None
) -> Response:
    """What was deleted and can still be brought back."""
    page, fault = searched(ctx, q, TRASH, lambda words: service.list_trash(
        ctx, q=words, kind=kind or None, sort=sort, cursor=cursor
    ))  # fmt: skip
    live, filters = "trash volume instance image snapshot", {"q": q, "kind": kind}
    listing = Listing("/trash", page, sort=sort, filters=filters, cursor=cursor, live=live, fault=fault)
    return render(
        ctx, "storage/trash.html", listing=listing, places=PLACES,
        kinds=("instance", "volume", "image", "snapshot"),
    )


def _restoring(ctx: Context, item: TrashItem) -> tuple[Intent, bool]:
    """The intent that brings it back, together with whatever stands in the way; and whether anything does."""
    try:
        return service.restore(ctx, item), False
    except Conflict as error:
        if not error.details.get("blockers"):
            raise
        return service.restore(ctx, item, through=True), True


@router.get("/trash/{ref}/restore/preview")
def restore_preview(ctx: Ctx, ref: str) -> Response:
    """What restoring does."""
    item = service.get_item(ctx, ref)
    intent, through = _restoring(ctx, item)
    fields = {"through": "true"} if through else {}
    return preview(ctx, intent, action=f"/trash/{item.id}/restore", fields=fields, confirm=_("Restore"))


@router.post("/trash/{ref}/restore")
def restore(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Bring it back."""
    intent = service.restore(ctx, service.get_item(ctx, ref), through=ticked(typed, "through"))
    return accepted(ctx, submit(ctx, intent))


@router.get("/trash/{ref}/purge/preview")
def purge_preview(ctx: Ctx, ref: str) -> Response:
    """What purging does."""
    item = service.get_item(ctx, ref)
    return preview(ctx, service.purge(ctx, item), action=f"/trash/{item.id}/purge", confirm=_("Delete for good"))


@router.post("/trash/{ref}/purge")
def purge(ctx: Ctx, ref: str) -> Response:
    """Remove it for good."""
    return accepted(ctx, submit(ctx, service.purge(ctx, service.get_item(ctx, ref))))


# ── pools ──


@router.get("/pools")
def pools(ctx: Ctx, sort: str = "name", cursor: str | None = None) -> Response:
    """All pools with their books."""
    page = service.list_pools(ctx, sort=sort, cursor=cursor)
    listing = Listing("/pools", page, sort=sort, cursor=cursor, live="pool")
    return render(ctx, "storage/pools.html", listing=listing, shown={p["id"]: p for p in show_pools(ctx, page.items)})


@router.get("/pools/new")
def pool_dialog(ctx: Ctx) -> Response:
    """The dialog for a new pool."""
    ctx.may("pool.create")
    return render(ctx, "storage/pool_dialog.html", action="/pools", pool=None)


@router.post("/pools")
def create_pool(ctx: Ctx, typed: Typed) -> Response:
    """Make a directory a pool."""
    intent = service.create_pool(ctx, name=word(typed, "name") or "", path=word(typed, "path") or "")
    return accepted(ctx, submit(ctx, intent), location="/pools")


@router.get("/pools/{ref}")
def pool(ctx: Ctx, ref: str) -> Response:
    """One pool: its books and what lies in it."""
    found = service.get_pool(ctx, ref)
    shown = show_pools(ctx, [found])[0]
    return render(ctx, "storage/pool.html", pool=found, shown=shown, live=f"pool:{found.id}")


@router.get("/pools/{ref}/edit")
def edit_pool(ctx: Ctx, ref: str) -> Response:
    """The dialog for the limits."""
    found = service.get_pool(ctx, ref)
    ctx.may("pool.update")
    return render(ctx, "storage/pool_dialog.html", action=f"/pools/{found.id}/edit", pool=found, was=_kept(found))


LIMITS: dict[str, Message] = {
    "overcommit": _("Overcommit"),
    "reserve_bytes": _("Keep free"),
    "is_default": _("The default pool"),
}


def _kept(pool: Pool) -> dict[str, Any]:
    whole = pool.reserve_bytes // MIB * MIB  # the form shows MiB
    return {"overcommit": pool.overcommit, "reserve_bytes": whole, "is_default": pool.is_default}


def _changes(pool: Pool, form: FormData) -> service.PoolChanges:
    try:
        overcommit = float(word(form, "overcommit") or "")
    except ValueError:
        overcommit = 0.0
    wanted = {
        "overcommit": overcommit,
        "reserve_bytes": _size(form, "reserve_bytes"),
        "is_default": ticked(form, "is_default"),
    }
    return service.PoolChanges(**changed(form, wanted, _kept(pool), LIMITS))


@router.post("/pools/{ref}/edit")
def save_pool(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Change the limits."""
    found = service.get_pool(ctx, ref)
    return accepted(ctx, submit(ctx, service.update_pool(ctx, found.id, _changes(found, typed))))


@router.get("/pools/{ref}/delete/preview")
def delete_pool_preview(ctx: Ctx, ref: str) -> Response:
    """What deleting does."""
    return preview(ctx, service.delete_pool(ctx, ref), action=f"/pools/{ref}/delete", confirm=_("Delete"))


@router.post("/pools/{ref}/delete")
def delete_pool(ctx: Ctx, ref: str) -> Response:
    """Take an empty pool away."""
    return accepted(ctx, submit(ctx, service.delete_pool(ctx, ref)), location="/pools")
