"""The verbs that make an image: import of an upload, a host's file or an address; pull from the catalogue; build."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy.orm import Session

from yun.base.context import Context
from yun.base.errors import Invalid
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.base.units import format_size
from yun.identity import service as identity
from yun.images import checks
from yun.images.catalogue import entry
from yun.images.model import Image, State, Upload, Visibility
from yun.images.recipes import recipe as find_recipe
from yun.images.service.look import name_subject, refuse_taken
from yun.images.service.room import room_for
from yun.operations.intent import Intent, Key, Subject

WORK = Key("image-work", slots=2)


@dataclass(frozen=True)
class NewImage:
    """What is wanted: a name, properties (`checks.PROPERTIES` without the name), who sees it, and how it comes.

    ``format`` is ``auto`` or what the file must turn out to be; ``raw`` also takes what does not look like a disk.
    ``checksum`` is that of the file as it comes (``sha256:…``); ``compress`` keeps it small and slower to read.
    """

    name: str
    properties: dict[str, Any] = field(default_factory=dict)
    visibility: str = Visibility.PRIVATE
    format: str = "auto"
    checksum: str = ""
    compress: bool = False

    def checked(self, defaults: dict[str, Any] | None = None) -> NewImage:
        """The same with clean values, ``defaults`` filled in. Raises `Invalid`."""
        given = {k: v for k, v in self.properties.items() if v is not None}
        properties = checks.check_properties({**(defaults or {}), **given})
        properties.pop("name", None)
        return replace(
            self,
            name=checks.check_name(self.name),
            properties=properties,
            visibility=checks.check_visibility(self.visibility),
            format=checks.check_format(self.format),
            checksum=checks.check_checksum(self.checksum),
        )

    def to_json(self) -> dict[str, Any]:
        """As it is kept with an upload."""
        return {
            "name": self.name, "properties": self.properties, "visibility": self.visibility, "format": self.format,
            "checksum": self.checksum, "compress": self.compress,
        }  # fmt: skip


@dataclass(frozen=True)
class Source:
    """Where an image comes from: a ``kind`` of `Image.source`, what a person calls it, and what the steps need."""

    kind: str
    name: str
    details: dict[str, Any]
    effect: Message
    bytes: int = 0


def import_upload(ctx: Context, upload: Upload) -> Intent:
    """Make the image that an upload was begun for, now that all of it has come."""
    new = NewImage(**upload.wanted).checked()
    source = Source(
        "upload", upload.filename or upload.name, {"path": upload.path, "upload_id": upload.id},
        _("The uploaded file of {size} becomes an image.", size=format_size(upload.length_bytes)), upload.length_bytes,
    )  # fmt: skip
    intent = _bring(ctx, "import", new, source, upload.project_id)
    identifier, write = intent.subject.id, intent.write

    def also(session: Session) -> None:
        if write is not None:
            write(session)
        row = session.get_one(Upload, upload.id)
        row.image_id = identifier

    return replace(intent, write=also)


def import_file(ctx: Context, new: NewImage, path: str) -> Intent:
    """Make an image of a file on the host. The file stays as it is. For administrators of the cloud alone."""
    ctx.may("image.import_file")
    sound = path.startswith("/") and not path.startswith("//") and os.path.normpath(path) == path
    if not sound or "\0" in path or len(path) > 1000:
        right = _("an absolute path of a file on the host")
        raise Invalid(_("This is not the path of a file."), fields={"path": right})
    source = Source("file", path, {"path": path}, _("The file {path} is copied; it stays as it is.", path=path))
    return _bring(ctx, "import", new.checked(), source)


def import_address(ctx: Context, new: NewImage, url: str) -> Intent:
    """Make an image of a file on the web. Only administrators reach addresses of private networks."""
    private = ctx.actor.is_admin
    url = checks.check_address(url, private=private)
    shown = url.partition("?")[0].partition("#")[0]
    source = Source(
        "address",
        shown[:1000],
        {"url": url, "private": private},
        _("It is fetched from {address}.", address=shown[:200]),
    )
    return _bring(ctx, "import", new.checked(), source)


def pull(ctx: Context, name: str, new: NewImage | None = None) -> Intent:
    """Make an image of the catalogue's entry ``name``, checked by the checksum that its makers publish."""
    known = entry(name)
    wanted = (new or NewImage(name)).checked(known.properties)
    details = {
        "url": known.url, "private": ctx.actor.is_admin, "listing": known.checksum, "filename": known.filename,
        "algorithm": known.algorithm, "compression": known.compression,
    }  # fmt: skip
    effect = _("{title} is fetched from {address} and checked.", title=known.title, address=known.url)
    return _bring(ctx, "pull", wanted, Source("catalogue", known.name, details, effect))


def build(ctx: Context, name: str, new: NewImage | None = None) -> Intent:
    """Build the image of the recipe ``name`` on the host from distribution packages."""
    ctx.may("image.build")
    properties = find_recipe(name)
    wanted = (new or NewImage(name)).checked(properties)
    effect = _("It is built on the host from distribution packages.")
    return _bring(ctx, "build", wanted, Source("recipe", name, {"recipe": name}, effect))


def home_project(ctx: Context) -> str:
    """The project that a new image belongs to: the context's, else the default one."""
    return ctx.project_id or identity.default_project(ctx.session).id


def may_make(ctx: Context, verb: str, new: NewImage, project_id: str) -> None:
    """Pass where the actor may make this image in the project and its name is free."""
    ctx.must_see(project_id, "project", project_id)
    ctx.may(f"image.{verb}", project_id)
    if new.visibility == Visibility.PUBLIC:
        ctx.may("image.set_visibility")
    refuse_taken(ctx.session, project_id, new.name)


def _bring(ctx: Context, verb: str, new: NewImage, source: Source, project_id: str | None = None) -> Intent:
    project = project_id or home_project(ctx)
    may_make(ctx, verb, new, project)
    pool = room_for(ctx.session, source.bytes, besides=source.details.get("upload_id"))
    identifier = new_id(Image.PREFIX)

    def write(session: Session) -> None:
        refuse_taken(session, project, new.name)
        session.add(
            Image(
                id=identifier, project_id=project, name=new.name, visibility=new.visibility, state=State.QUEUED,
                pool_id=pool.id, source=source.kind, source_name=source.name, **new.properties,
            )
        )  # fmt: skip

    titles = {
        "import": _("Import image {name}", name=new.name),
        "pull": _("Pull image {name}", name=new.name),
        "build": _("Build image {name}", name=new.name),
    }
    seen = _("Every project can use it.") if new.visibility == Visibility.PUBLIC else _("Its project alone can use it.")
    return Intent(
        kind=f"image.{verb}",
        title=titles[verb],
        subject=Subject("image", identifier, new.name),
        subjects=(name_subject(project, new.name),),
        project_id=project,
        arguments={
            "image_id": identifier, "layer_id": new_id("lay"), "pool_id": pool.id,
            "source": {"kind": source.kind, "said": sorted(new.properties), **source.details},
            "wanted": {"format": new.format, "checksum": new.checksum, "compress": new.compress},
        },
        keys=(Key(f"image:{identifier}"), WORK, *_recipe_key(source)),
        effects=(source.effect, seen),
        capacity=(_("The pool {pool} has {free} left.", pool=pool.name, free=format_size(pool.free_bytes)),),
        write=write,
        deadline=6 * 3600.0,
    )  # fmt: skip


def _recipe_key(source: Source) -> tuple[Key, ...]:
    return (Key(f"recipe:{source.name}"),) if source.kind == "recipe" else ()
