"""Pages of images: which there are, and how one comes in: upload, address, catalogue, build."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from yun.base.context import Context
from yun.base.errors import Invalid
from yun.base.messages import Message, _
from yun.base.query import finished
from yun.base.units import parse_size
from yun.images import service
from yun.images.catalogue import entries
from yun.images.model import Image
from yun.images.recipes import RECIPES
from yun.images.service.search import FIELDS
from yun.operations.intent import Intent
from yun.operations.service import submit
from yun.storage.service import list_pools
from yun.web.edits import changed
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
    number,
    preview,
    render,
    ticked,
    word,
)
from yun.web.searching import searched
from yun.web.typed import listed

router = APIRouter(route_class=PageRoute, include_in_schema=False)
nav("images", _("Images"), "/images", icon="disc", order=30, permission="image.list")
command("image.import", _("Add an image"), "/images/new", icon="disc", permission="image.import")

MANY = 100_000
SOURCES: dict[str, Message] = {
    "upload": _("uploaded"),
    "file": _("a file of the host"),
    "address": _("an address"),
    "catalogue": _("the catalogue"),
    "recipe": _("built here"),
}
WAYS: tuple[tuple[str, Message, str], ...] = (
    ("catalogue", _("From the catalogue"), "cloud"),
    ("upload", _("Upload a file"), "upload"),
    ("address", _("From an address"), "link"),
    ("build", _("Build here"), "box"),
)
HARDWARE: tuple[tuple[str, Message], ...] = (
    ("virtio", _("virtio: fast, for systems that have its drivers")),
    ("compatible", _("compatible: SATA disk and e1000 card, for systems without virtio")),
)
FIRMWARES = (("bios", "BIOS"), ("uefi", "UEFI"), ("uefi-secure", "UEFI, Secure Boot"))


@router.get("/images")
def images(
    ctx: Ctx, q: str = "", visibility: str = "", sort: str = "name", cursor: str | None = None
) -> Response:
    """The project's images and the public ones."""
    page, fault = searched(ctx, q, FIELDS, lambda words: service.list_images(
        ctx, q=words, visibility=visibility or None, sort=sort, cursor=cursor
    ))  # fmt: skip
    filters = {"q": q, "visibility": visibility}
    words = " ".join(w for w in (finished(q, FIELDS), f"visibility:{visibility}" if visibility else "") if w)
    more = fault is None and (page.next is not None or cursor is not None)
    listing = Listing(
        "/images", page, sort=sort, filters=filters, cursor=cursor, live="image", fault=fault,
        total=len(service.ids_of(ctx, words, MANY)) if more else None, query=words if more else None,
    )  # fmt: skip
    return render(ctx, "images/list.html", listing=listing)


@router.get("/images/new")
def new(ctx: Ctx, way: str = "catalogue") -> Response:
    """The ways in; each is a form of its own."""
    ctx.may("image.import")
    ways = [w for w in WAYS if w[0] != "build" or ctx.allowed("image.build")]
    chosen = way if way in {w[0] for w in ways} else "catalogue"
    return render(
        ctx, "images/new.html", ways=ways, way=chosen, entries=entries().values(), recipes=RECIPES,
        action=f"/images/new/{chosen}", preview_url=f"/images/new/{chosen}/preview" if chosen != "upload" else "",
        firmwares=FIRMWARES, hardware=HARDWARE,
    )  # fmt: skip


def _properties(form: FormData) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("description", "os", "os_version", "default_user", "firmware", "hardware", "architecture"):
        if (text := word(form, name)) is not None:
            found[name] = text
    if (size := word(form, "min_disk_bytes")) is not None:
        found["min_disk_bytes"] = parse_size(size, field="min_disk_bytes", default_unit="g")
    if (memory := number(form, "min_memory_mib")) is not None:
        found["min_memory_mib"] = memory
    return found


def _wanted(form: FormData, name: str) -> service.NewImage:
    return service.NewImage(
        name=word(form, "name") or name, properties=_properties(form),
        visibility="public" if ticked(form, "public") else "private", checksum=word(form, "checksum") or "",
    )  # fmt: skip


def _intent(ctx: Context, way: str, form: FormData) -> Intent:
    if way == "catalogue":
        chosen = word(form, "catalogue") or ""
        return service.pull(ctx, chosen, _wanted(form, chosen))
    if way == "build":
        recipe = word(form, "recipe") or ""
        return service.build(ctx, recipe, _wanted(form, recipe))
    if way == "address":
        url = word(form, "url") or ""
        tail = url.partition("?")[0].rpartition("/")[2].rpartition(".")[0]
        return service.import_address(ctx, _wanted(form, tail), url)
    raise Invalid(_("There is no such way to bring an image in."))


@router.post("/images/new/{way}/preview")
def plan_image(ctx: Ctx, way: str, typed: Typed) -> Response:
    """What bringing it in would do."""
    return live_preview(ctx, lambda: _intent(ctx, way, typed))


@router.post("/images/new/{way}")
def bring(ctx: Ctx, way: str, typed: Typed) -> Response:
    """Bring it in and show its page."""
    operation = submit(ctx, _intent(ctx, way, typed))
    return accepted(ctx, operation, location=f"/images/{operation.subject_id}")


@router.get("/images/{ref}")
def image(ctx: Ctx, ref: str) -> Response:
    """One image."""
    found = service.get(ctx, ref)
    return render(
        ctx, "images/show.html", image=found, users=service.users_of(ctx.session, found), sources=SOURCES,
        boots=service.boot_word(found).to_json(),
        firmwares=dict(FIRMWARES), hardware=dict(HARDWARE), live=f"image:{found.id}",
        deletable=found.allows("delete") and not service.is_being_made(ctx.session, found),
    )  # fmt: skip


@router.get("/images/{ref}/edit")
def edit(ctx: Ctx, ref: str) -> Response:
    """The dialog for name and properties."""
    found = service.get(ctx, ref)
    ctx.may("image.update", found.project_id)
    action = f"/images/{found.id}/edit"
    return render(
        ctx, "images/edit.html", action=action, image=found, firmwares=FIRMWARES, hardware=HARDWARE, was=_kept(found)
    )


EDITABLE: dict[str, Message] = {
    "name": _("Name"),
    "os": _("System"),
    "os_version": _("Version"),
    "default_user": _("Default user"),
    "firmware": _("Firmware"),
    "hardware": _("Hardware"),
    "min_memory_mib": _("Least memory"),
    "cloud_init": _("Takes keys and names from cloud-init"),
    "description": _("Description"),
}


def _kept(image: Image) -> dict[str, Any]:
    return {name: getattr(image, name) for name in EDITABLE}


@router.post("/images/{ref}/edit")
def save(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Change name and properties."""
    found = service.get(ctx, ref)
    values = {"name": word(typed, "name") or "", "cloud_init": ticked(typed, "cloud_init"), **_properties(typed)}
    for name in ("description", "os", "os_version", "default_user"):
        values.setdefault(name, "")
    wanted = {name: value for name, value in values.items() if name in EDITABLE}
    return accepted(ctx, submit(ctx, service.update(ctx, found, **changed(typed, wanted, _kept(found), EDITABLE))))


@router.get("/images/{ref}/tag")
def tag_dialog(ctx: Ctx, ref: str) -> Response:
    """The dialog for the tags."""
    found = service.get(ctx, ref)
    ctx.may("image.tag", found.project_id)
    return render(ctx, "web/tag_dialog.html", action=f"/images/{found.id}/tag", name=found.name, tags=found.tags)


@router.post("/images/{ref}/tag")
def save_tags(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Give it these tags."""
    tags = listed(word(typed, "tags") or "")
    return accepted(ctx, submit(ctx, service.tag(ctx, service.get(ctx, ref), tags)))


@router.get("/images/{ref}/visibility/preview")
def visibility_preview(ctx: Ctx, ref: str) -> Response:
    """What showing it to everybody, or to the project alone, does."""
    found = service.get(ctx, ref)
    return preview(ctx, _turned(ctx, ref), action=f"/images/{found.id}/visibility", confirm=_("Change"))


@router.post("/images/{ref}/visibility")
def set_visibility(ctx: Ctx, ref: str) -> Response:
    """Show it to everybody, or to the project alone."""
    return accepted(ctx, submit(ctx, _turned(ctx, ref)))


def _turned(ctx: Context, ref: str) -> Intent:
    found = service.get(ctx, ref)
    return service.set_visibility(ctx, found, "private" if found.visibility == "public" else "public")


@router.get("/images/{ref}/export")
def export_dialog(ctx: Ctx, ref: str) -> Response:
    """The dialog for a copy to download."""
    found = service.get(ctx, ref)
    return render(ctx, "images/export.html", action=f"/images/{found.id}/export", image=found)


@router.post("/images/{ref}/export")
def export(ctx: Ctx, ref: str, typed: Typed) -> Response:
    """Make a copy; the page of the operation gives it out."""
    found = service.get(ctx, ref)
    intent = service.export(ctx, found, format=word(typed, "format") or "qcow2", compress=ticked(typed, "compress"))
    operation = submit(ctx, intent)
    return accepted(ctx, operation, location=f"/images/{found.id}/exports/{intent.arguments['export_id']}")


@router.get("/images/{ref}/exports/{identifier}")
def export_page(ctx: Ctx, ref: str, identifier: str) -> Response:
    """Where the copy is waited for and downloaded."""
    from yun.base.errors import Conflict

    found = service.get(ctx, ref)
    try:
        made = service.get_export(ctx, identifier)
    except Conflict:
        made = None
    return render(
        ctx, "images/exported.html", image=found, export=made, identifier=identifier, live="operation image"
    )


@router.get("/images/{ref}/delete/preview")
def delete_preview(ctx: Ctx, ref: str) -> Response:
    """What deleting does."""
    found = service.get(ctx, ref)
    return preview(ctx, service.delete(ctx, found), action=f"/images/{found.id}/delete", confirm=_("Delete"))


@router.post("/images/{ref}/delete")
def delete(ctx: Ctx, ref: str) -> Response:
    """Put it into the trash."""
    return accepted(ctx, submit(ctx, service.delete(ctx, service.get(ctx, ref))), location="/images")


@router.get("/volumes/new/upload")
def upload_volume(ctx: Ctx) -> Response:
    """The form that makes a volume of a disk file; the page's script sends it in pieces."""
    ctx.may("volume.upload")
    return render(
        ctx, "images/volume_upload.html", action="/volumes/new/upload", pools=list_pools(ctx, limit=1000).items
    )
