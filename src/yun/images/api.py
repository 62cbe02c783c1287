"""REST of images: look, bring in, change, delete, export; uploads by the tus protocol; the catalogue."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from yun.base.context import Context
from yun.base.errors import Invalid, Unavailable
from yun.base.messages import _
from yun.images import service
from yun.images.catalogue import entries
from yun.images.model import Image
from yun.images.recipes import RECIPES
from yun.images.uploads import router as uploads
from yun.operations.answer import answer, moment
from yun.web.api import Ctx, Match, Route, tag

router = APIRouter(route_class=Route, tags=["images"])
router.include_router(uploads)

PROPERTIES = (
    "description", "min_disk_bytes", "min_memory_mib", "firmware", "hardware", "os", "os_version", "default_user",
    "architecture", "cloud_init",
)  # fmt: skip


class Properties(BaseModel):
    """What is written about an image; what is left out stays, or is taken from where the image comes from."""

    model_config = ConfigDict(extra="forbid")

    description: str | None = Field(None, max_length=1000)
    min_disk_bytes: int | None = Field(None, ge=0, description="Least disk of a machine, bytes.")
    min_memory_mib: int | None = Field(None, ge=0, description="Least memory of a machine, MiB.")
    firmware: Literal["bios", "uefi", "uefi-secure"] | None = None
    hardware: Literal["virtio", "compatible"] | None = Field(
        None, description="`compatible`: a SATA disk and an e1000 card, for systems without virtio drivers."
    )
    os: str | None = Field(None, max_length=40)
    os_version: str | None = Field(None, max_length=40)
    default_user: str | None = Field(None, max_length=32, description="The user that keys and passwords are for.")
    architecture: Literal["x86_64", "aarch64"] | None = None
    cloud_init: bool | None = Field(None, description="Whether the system takes keys, names and data from cloud-init.")

    def given(self) -> dict[str, Any]:
        """The properties that were said."""
        return {name: value for name in PROPERTIES if (value := getattr(self, name)) is not None}


class NewImage(Properties):
    """Common to all ways of making an image."""

    name: str | None = Field(None, max_length=400)
    visibility: Literal["private", "public"] = "private"
    format: Literal["auto", "qcow2", "raw", "vmdk", "vdi", "vhdx", "vpc", "iso"] = Field(
        "auto", description="What the file must turn out to be; `raw` also takes what does not look like a disk."
    )
    checksum: str = Field("", max_length=200, description="`sha256:…` or `sha512:…` of the file as it comes.")
    compress: bool = Field(False, description="Keep it compressed: smaller, slower to read.")

    def wanted(self, name: str = "") -> service.NewImage:
        """For the verbs; ``name`` where none was said."""
        return service.NewImage(
            name=self.name if self.name is not None else name, properties=self.given(), visibility=self.visibility,
            format=self.format, checksum=self.checksum, compress=self.compress,
        )  # fmt: skip


class ImportImage(NewImage):
    """An image from an address, or (for administrators) from a file on the host. One of both."""

    url: str | None = Field(None, max_length=2000)
    path: str | None = Field(None, max_length=1000)


class PullImage(NewImage):
    """An image of the catalogue."""

    catalogue: str = Field(max_length=100, description="Name in the catalogue.")


class BuildImage(NewImage):
    """An image built on the host."""

    recipe: str = Field(
        max_length=100, description="`tiny`, `tiny-generic` (the same for SATA and e1000), `function` or `debian-12`."
    )


class ChangeImage(Properties):
    """What can be changed of an image."""

    name: str | None = Field(None, max_length=400)

    def given(self) -> dict[str, Any]:
        """The properties that were said, the name among them."""
        return super().given() | ({"name": self.name} if self.name is not None else {})


class SetVisibility(BaseModel):
    """Who shall see an image."""

    model_config = ConfigDict(extra="forbid")

    visibility: Literal["private", "public"]


class ImageTags(BaseModel):
    """All tags that an image shall have."""

    model_config = ConfigDict(extra="forbid")

    tags: list[str] = Field(max_length=100)


class ExportImage(BaseModel):
    """How an image is copied out."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["qcow2", "raw", "ova"] = Field(
        "qcow2", description="`ova`: a machine with this disk, for other hypervisors."
    )
    compress: bool = True


def show_image(image: Image) -> dict[str, Any]:
    """An image as JSON."""
    names = (
        "id", "project_id", "name", "description", "visibility", "state", "layer_id", "kind", "format", "source",
        "source_name", "checksum", "size_bytes", "virtual_bytes", "min_disk_bytes", "min_memory_mib", "firmware",
        "hardware", "boots", "os", "os_version", "default_user", "architecture", "cloud_init", "tags", "revision",
    )  # fmt: skip
    times = ("created_at", "updated_at", "purge_at")
    return {n: getattr(image, n) for n in names} | {n: moment(getattr(image, n)) for n in times}


def _row(ctx: Context, identifier: str) -> dict[str, Any] | None:
    row = ctx.session.get(Image, identifier)
    return show_image(row) if row else None


@router.get("/images", summary="List images")
def list_images(
    ctx: Ctx,
    q: str = Query("", max_length=1000, description="Such as `os:debian size>1G text`."),
    state: str | None = Query(None, max_length=20, description="queued, importing, active or trashed"),
    visibility: str | None = Query(None, max_length=20, description="private or public"),
    sort: str = Query("name", max_length=40),
    cursor: str | None = Query(None, max_length=500),
    limit: int = Query(100, ge=1, le=1000),
) -> dict[str, Any]:
    """The project's images and the public ones; the trash is left out unless the state asks for it."""
    page = service.list_images(ctx, q=q, state=state, visibility=visibility, sort=sort, cursor=cursor, limit=limit)
    return {"items": [show_image(row) for row in page.items], "next": page.next}


@router.post("/images", summary="Import an image from an address or a file of the host", status_code=201)
def import_image(ctx: Ctx, body: ImportImage, dry_run: bool = False) -> JSONResponse:
    """Fetches and checks the file, and makes an image of it. Files of one's own go to `/image-uploads`."""
    if (body.url is None) == (body.path is None):
        right = _("an address, or the path of a file on the host")
        raise Invalid(_("Say where the image comes from: url or path."), fields={"url": right})
    if body.url is not None:
        tail = body.url.partition("?")[0].rpartition("/")[2].rpartition(".")[0]
        intent = service.import_address(ctx, body.wanted(tail), body.url)
    else:
        tail = (body.path or "").rpartition("/")[2].rpartition(".")[0]
        intent = service.import_file(ctx, body.wanted(tail), body.path or "")
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _row(ctx, intent.subject.id), status=201)


@router.post("/images/pull", summary="Pull an image of the catalogue", status_code=201)
def pull(ctx: Ctx, body: PullImage, dry_run: bool = False) -> JSONResponse:
    """Fetches a cloud image from its makers and checks it by their checksum."""
    intent = service.pull(ctx, body.catalogue, body.wanted(body.catalogue))
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _row(ctx, intent.subject.id), status=201)


@router.post("/images/build", summary="Build an image on the host", status_code=201)
def build(ctx: Ctx, body: BuildImage, dry_run: bool = False) -> JSONResponse:
    """Builds an image of one of our recipes from distribution packages."""
    intent = service.build(ctx, body.recipe, body.wanted(body.recipe))
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _row(ctx, intent.subject.id), status=201)


@router.get("/images/{ref}", summary="Show an image")
def show(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
    """One image by name or id; ``used_by`` counts the disks that stand on it."""
    image = service.get(ctx, ref)
    tag(response, image)
    return show_image(image) | {"used_by": service.users_of(ctx.session, image)}


@router.patch("/images/{ref}", summary="Change an image")
def update(ctx: Ctx, ref: str, body: ChangeImage, match: Match, dry_run: bool = False) -> JSONResponse:
    """Name and properties."""
    image = service.get(ctx, ref)
    wanted = body.given()
    values = match.edit(image, wanted, {name: getattr(image, name) for name in wanted}, {})
    intent = service.update(ctx, image, **values)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _row(ctx, image.id))


@router.post("/images/{ref}/tag", summary="Tag an image")
def tag_image(ctx: Ctx, ref: str, body: ImageTags, match: Match, dry_run: bool = False) -> JSONResponse:
    """Exactly these tags."""
    image = service.get(ctx, ref)
    match.check(image)
    return answer(ctx, service.tag(ctx, image, body.tags), dry_run=dry_run, row=lambda: _row(ctx, image.id))


@router.post("/images/{ref}/set-visibility", summary="Make an image public or private")
def set_visibility(ctx: Ctx, ref: str, body: SetVisibility, dry_run: bool = False) -> JSONResponse:
    """For administrators of the cloud."""
    image = service.get(ctx, ref)
    intent = service.set_visibility(ctx, image, body.visibility)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _row(ctx, image.id))


@router.delete("/images/{ref}", summary="Delete an image")
def delete(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """Into the trash; machines made of it go on working."""
    image = service.get(ctx, ref)
    match.check(image)
    return answer(ctx, service.delete(ctx, image), dry_run=dry_run, row=lambda: _row(ctx, image.id))


@router.post("/images/{ref}/purge", summary="Remove a trashed image for good")
def purge(ctx: Ctx, ref: str, dry_run: bool = False) -> JSONResponse:
    """It cannot be brought back after this."""
    image = service.get(ctx, ref)
    return answer(ctx, service.purge(ctx, image), dry_run=dry_run, row=lambda: _row(ctx, image.id))


@router.post("/images/{ref}/export", summary="Copy an image out, to download it")
def export(ctx: Ctx, ref: str, body: ExportImage, dry_run: bool = False) -> JSONResponse:
    """Makes a copy; the operation's result names it, and `/image-exports/{id}/file` gives it out for a day."""
    intent = service.export(ctx, service.get(ctx, ref), format=body.format, compress=body.compress)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: {"export_id": intent.arguments["export_id"]})


@router.get("/image-exports/{identifier}/file", summary="Download a copy of an image", response_class=FileResponse)
def download(ctx: Ctx, identifier: str) -> FileResponse:
    """The file; `Range` is honoured, so a broken download goes on."""
    found = service.get_export(ctx, identifier)
    try:
        return FileResponse(
            found.path, filename=f"{found.image_name}.{found.format}", media_type="application/octet-stream",
            headers={"Yun-Checksum": f"sha256:{found.checksum}"}, stat_result=service.export_stat(found),
        )  # fmt: skip
    except OSError as error:
        raise Unavailable(_("The copy cannot be read."), private=str(error)) from error


@router.get("/image-catalogue", summary="List what can be pulled")
def catalogue(ctx: Ctx) -> dict[str, Any]:
    """Cloud images that their makers publish, with the address and what they need."""
    ctx.may("image.list")
    names = (
        "name", "title", "os", "os_version", "default_user", "architecture", "firmware", "min_disk_bytes",
        "min_memory_mib", "url",
    )  # fmt: skip
    items = [{n: getattr(entry, n) for n in names} for entry in entries().values()]
    return {"items": items, "next": None}


@router.get("/image-recipes", summary="List what can be built")
def recipes(ctx: Ctx) -> dict[str, Any]:
    """Images that can be built here from distribution packages."""
    ctx.may("image.list")
    return {"items": [{"name": name, **properties} for name, properties in RECIPES.items()], "next": None}
