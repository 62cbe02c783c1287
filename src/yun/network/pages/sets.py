"""Pages of address sets."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.messages import Message, _
from yun.network import service
from yun.network.api import show
from yun.network.model import AddressSet
from yun.network.service import sets
from yun.network.service.search import FIELDS
from yun.operations.service import submit
from yun.web.edits import changed
from yun.web.pages import Ctx, Listing, PageRoute, Typed, accepted, preview, render, word
from yun.web.searching import searched

router = APIRouter(route_class=PageRoute, include_in_schema=False)
BASE = "/networks/address-sets"
TITLES: dict[str, Message] = {"name": _("Name"), "description": _("Description"), "ranges": _("Ranges")}


@router.get(BASE)
def list_page(ctx: Ctx, q: str = "", state: str = "", sort: str = "name", cursor: str | None = None) -> Response:
    """The project's address sets; those in the trash where they are asked for."""
    page, fault = searched(ctx, q, FIELDS[AddressSet], lambda words: service.list_of(
        ctx, AddressSet, filters={"state": state or None}, sort=sort, cursor=cursor, q=words
    ))  # fmt: skip
    filters = {"q": q, "state": state}
    listing = Listing(BASE, page, sort=sort, filters=filters, cursor=cursor, live="address_set", fault=fault)
    shown = [show.address_set(s, ctx.session) for s in page.items]
    return render(ctx, "network/sets.html", listing=listing, shown=shown, tab="sets")


@router.get(f"{BASE}/new")
def new_dialog(ctx: Ctx) -> Response:
    """The dialog for a set."""
    ctx.may("address_set.create")
    return render(ctx, "network/set_dialog.html", action=BASE, found=None)


@router.post(BASE)
def create(ctx: Ctx, typed: Typed) -> Response:
    """Make a set."""
    ranges = (word(typed, "ranges") or "").split()
    intent = sets.create_set(ctx, word(typed, "name") or "", ranges, word(typed, "description") or "")
    operation = submit(ctx, intent)
    return accepted(ctx, operation, location=f"{BASE}/{operation.subject_id}")


@router.get(f"{BASE}/{{ref}}")
def one(ctx: Ctx, ref: str) -> Response:
    """One set, and whose rules name it."""
    found = sets.get_set(ctx, ref)
    return render(
        ctx, "network/set.html", found=found, shown=show.address_set(found, ctx.session),
        live=f"address_set:{found.id} security_group",
    )  # fmt: skip


@router.get(f"{BASE}/{{ref}}/edit")
def edit_dialog(ctx: Ctx, ref: str) -> Response:
    """The dialog that changes a set."""
    found = sets.get_set(ctx, ref)
    ctx.may("address_set.update", found.project_id)
    return render(ctx, "network/set_dialog.html", action=f"{BASE}/{found.id}/edit", found=found)


@router.post(f"{BASE}/{{ref}}/edit")
def edit(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Change a set."""
    found = sets.get_set(ctx, ref)
    wanted = {
        "name": word(typed, "name") or "", "description": word(typed, "description") or "",
        "ranges": sets.clean_ranges((word(typed, "ranges") or "").split()),
    }  # fmt: skip
    changes = changed(typed, wanted, {name: getattr(found, name) for name in wanted}, TITLES)
    return accepted(ctx, submit(ctx, sets.update_set(ctx, found, **changes)))


@router.get(f"{BASE}/{{ref}}/delete/preview")
def delete_preview(ctx: Ctx, ref: str) -> Response:
    """What deleting does."""
    found = sets.get_set(ctx, ref)
    return preview(ctx, sets.delete_set(ctx, found), action=f"{BASE}/{found.id}/delete", confirm=_("Delete"))


@router.post(f"{BASE}/{{ref}}/delete")
def delete(ctx: Ctx, ref: str) -> Response:
    """Put it into the trash."""
    return accepted(ctx, submit(ctx, sets.delete_set(ctx, sets.get_set(ctx, ref))), location=BASE)
