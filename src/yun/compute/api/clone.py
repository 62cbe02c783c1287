"""REST of copies: clones of an instance, and images made of one."""

from __future__ import annotations

from fastapi.responses import JSONResponse
from pydantic import Field

from yun.compute import service
from yun.compute.api.shared import Body, Word, again, instances, volumes
from yun.images.service import NewImage
from yun.operations.answer import answer
from yun.storage.service import get_volume
from yun.web.api import Ctx, Match


class NewClone(Body):
    """How the copies are to be."""

    name: Word = Field(description="Their name; {n} or {n:02d} stands for the number where there are several.")
    count: int = Field(1, description="How many, all at once.")
    full: bool = Field(False, description="Independent of the source's files: everything is copied.")
    flavor: Word | None = Field(None, description="Another size; the source's otherwise.")
    vcpus: int | None = None
    memory_mib: int | None = None
    network: Word | None = Field(None, description="Another network for the first card; the source's otherwise.")
    project: Word | None = Field(None, description="Another project, in which you may create instances.")
    start: bool = True

    def wish(self) -> service.CloneWish:
        """As the verb wants it."""
        return service.CloneWish(**self.model_dump())


@instances.post("/{ref}/clone", summary="Clone an instance", status_code=201)
def clone(ctx: Ctx, ref: str, body: NewClone, match: Match, dry_run: bool = False) -> JSONResponse:
    """Make one or many copies while the source goes on; the answer is the first of them, in its first state.

    The operation's result names all of them and says in what condition the disks were copied: `stopped`, `quiesced`
    (the guest's agent brought its file systems to rest) or `crash` (like after a power failure).
    """
    found = service.get(ctx, ref)
    match.check(found)
    intent = service.clone(ctx, found, body.wish())
    return answer(ctx, intent, dry_run=dry_run, row=lambda: again(ctx, intent.subject.id), status=201)


class ImageOfInstance(Body):
    """The image that is to be made; what is not said comes from the instance."""

    name: Word
    description: str = Field("", max_length=1000)
    visibility: str = Field("private", max_length=20, description="private or public")
    compress: bool = Field(False, description="Smaller, and slower to read.")

    def new(self) -> NewImage:
        """As the verb wants it."""
        return NewImage(
            self.name, {"description": self.description}, visibility=self.visibility, compress=self.compress
        )


@instances.post("/{ref}/make-image", summary="Make an image of an instance", status_code=202)
def make_image(ctx: Ctx, ref: str, body: ImageOfInstance, match: Match, dry_run: bool = False) -> JSONResponse:
    """The disk that it boots from, as it is now, becomes an image; the instance goes on. The operation's subject is
    the image."""
    found = service.get(ctx, ref)
    match.check(found)
    return answer(ctx, service.make_image(ctx, found, body.new()), dry_run=dry_run)


class Flattening(Body):
    """How far."""

    whole: bool = Field(False, description="Down to nothing: independent of its image's file too.")


@volumes.post("/{ref}/flatten", summary="Flatten a volume's chain", status_code=202)
def flatten(ctx: Ctx, ref: str, body: Flattening, match: Match, dry_run: bool = False) -> JSONResponse:
    """Copy what it has from the frozen files below it into its own file, while its instance goes on."""
    volume = get_volume(ctx, ref)
    match.check(volume)
    return answer(ctx, service.flatten(ctx, volume, whole=body.whole), dry_run=dry_run)
