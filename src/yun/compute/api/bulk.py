"""REST of the same change of many instances, volumes, images or networks."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import Field

from yun.base.context import Context
from yun.base.errors import Invalid
from yun.base.messages import _
from yun.base.query import asks_nothing
from yun.compute.api.shared import Body, Word, instances, volumes
from yun.compute.service import bulk, bulk_others, bulk_volumes
from yun.operations.answer import report
from yun.operations.service.many import MOST, Many
from yun.web.api import Ctx, Route

images = APIRouter(route_class=Route, prefix="/images", tags=["images"])
networks = APIRouter(route_class=Route, prefix="/networks", tags=["networks"])
ALL = "-state:trashed"
Verb = Literal["start", "stop", "reboot", "pause", "resume", "delete", "tag", "resize", "update"]


class BulkArguments(Body):
    """What the verb says more; each verb reads its own."""

    flavor: Word | None = Field(None, description="resize: a flavor by name or id")
    vcpus: int | None = None
    memory_mib: int | None = None
    add_tags: list[Word] = Field([], max_length=50, description="tag: tags that each shall have")
    remove_tags: list[Word] = Field([], max_length=50, description="tag: tags that none shall have")
    autostart: bool | None = Field(None, description="update: start again after a reboot of the host")
    protected: bool | None = Field(None, description="update: refuse deletion")
    on_crash: str | None = Field(None, max_length=20, description="update: restart or leave")
    shutdown_seconds: int | None = Field(None, description="update: how long a guest may take to power off")
    timeout: int | None = Field(None, description="stop, reboot, delete: seconds until the power is cut")
    force: bool = Field(False, description="stop, reboot, delete: cut the power at once")


class Which(Body):
    """Which ones: by a query of the list, or by names and ids."""

    query: str | None = Field(
        None, max_length=1000, description="A search of the list, such as `tag:web`. One that says nothing is refused.",
    )  # fmt: skip
    ids: list[Word] | None = Field(
        None, max_length=MOST,
        description="With a query: those that its preview showed. They alone are changed, as far as it still finds "
        "them; the answer names under `since` what it finds besides by now.",
    )


class BulkChange(Which):
    """Which instances, and what is to be done with each."""

    verb: Verb
    arguments: BulkArguments | None = None


class BulkVolumeArguments(Body):
    """What the verb says more; each verb reads its own."""

    pool: Word | None = Field(None, description="move: another pool of the same host, by name or id")
    add_tags: list[Word] = Field([], max_length=50, description="tag: tags that each shall have")
    remove_tags: list[Word] = Field([], max_length=50, description="tag: tags that none shall have")
    timeout: int | None = Field(None, description="detach: seconds a guest has to let go")


class BulkVolumeChange(Which):
    """Which volumes, and what is to be done with each."""

    verb: Literal["delete", "detach", "move", "tag"]
    arguments: BulkVolumeArguments | None = None


class BulkTags(Body):
    """What the verb tag says more."""

    add_tags: list[Word] = Field([], max_length=50, description="tag: tags that each shall have")
    remove_tags: list[Word] = Field([], max_length=50, description="tag: tags that none shall have")


class BulkTagged(Which):
    """Which ones, and what is to be done with each."""

    verb: Literal["delete", "tag"]
    arguments: BulkTags | None = None


def change(ctx: Context, many: Many[Any, Any], which: Which, verb: str, wish: Any, *, dry_run: bool) -> JSONResponse:
    """One preview of all, or one report. Raises `Invalid` for a search that says nothing: it is more often a variable
    that was empty than a wish to change everything."""
    ctx.may(f"{many.noun}.{verb}")
    if which.query is not None and which.ids is None and asks_nothing(which.query):
        raise Invalid(
            _("The search says nothing: that would mean all of them."),
            hint=_("If all of them are meant, search for {query}.", query=ALL),
            fields={"query": _("such as {query}", query="tag:web")},
        )
    ids = many.meant(ctx, query=which.query, ids=which.ids)
    if dry_run:
        return JSONResponse(many.together(ctx, verb, many.plan(ctx, verb, ids, wish)), 200)
    shown = which.query is not None and which.ids is not None
    since = many.come_since(ctx, verb, which.query or "", ids, wish) if shown else []
    turns = many.carry_out(ctx, verb, ids, wish, query=which.query)
    return JSONResponse(report(many, verb, turns, since, ctx.locale), 202)


@instances.post("/bulk", summary="The same change of many instances", status_code=202)
def change_many(ctx: Ctx, body: BulkChange, dry_run: bool = False) -> JSONResponse:
    """One preview of all, or one report: an operation for each that can, a reason for each that cannot."""
    wish = bulk.BulkWish(**(body.arguments.model_dump() if body.arguments else {}))
    return change(ctx, bulk.MANY, body, body.verb, wish, dry_run=dry_run)


@volumes.post("/bulk", summary="The same change of many volumes", status_code=202)
def change_many_volumes(ctx: Ctx, body: BulkVolumeChange, dry_run: bool = False) -> JSONResponse:
    """One preview of all, or one report: an operation for each that can, a reason for each that cannot."""
    wish = bulk_volumes.VolumesWish(**(body.arguments.model_dump() if body.arguments else {}))
    return change(ctx, bulk_volumes.MANY, body, body.verb, wish, dry_run=dry_run)


@images.post("/bulk", summary="The same change of many images", status_code=202)
def change_many_images(ctx: Ctx, body: BulkTagged, dry_run: bool = False) -> JSONResponse:
    """One preview of all, or one report: an operation for each that can, a reason for each that cannot."""
    wish = bulk_others.TagsWish(**(body.arguments.model_dump() if body.arguments else {}))
    return change(ctx, bulk_others.IMAGES, body, body.verb, wish, dry_run=dry_run)


@networks.post("/bulk", summary="The same change of many networks", status_code=202)
def change_many_networks(ctx: Ctx, body: BulkTagged, dry_run: bool = False) -> JSONResponse:
    """One preview of all, or one report: an operation for each that can, a reason for each that cannot."""
    wish = bulk_others.TagsWish(**(body.arguments.model_dump() if body.arguments else {}))
    return change(ctx, bulk_others.NETWORKS, body, body.verb, wish, dry_run=dry_run)
