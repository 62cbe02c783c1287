"""REST of the same change of many instances."""

from __future__ import annotations

from typing import Any, Literal

from fastapi.responses import JSONResponse
from pydantic import Field

from yun.compute.api.shared import Body, Word, instances
from yun.compute.service import bulk
from yun.operations.answer import show_operation
from yun.web.api import Ctx

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


class BulkChange(Body):
    """Which instances, and what is to be done with each: by a query of the list, or by names and ids."""

    query: str | None = Field(None, max_length=1000, description="Such as `tag:web state:running`.")
    ids: list[Word] | None = Field(None, max_length=bulk.MOST)
    verb: Verb
    arguments: BulkArguments | None = None


@instances.post("/bulk", summary="The same change of many instances", status_code=202)
def change_many(ctx: Ctx, body: BulkChange, dry_run: bool = False) -> JSONResponse:
    """One preview of all, or one report: an operation for each that can, a reason for each that cannot."""
    ctx.may(f"instance.{body.verb}")
    wish = bulk.BulkWish(**(body.arguments.model_dump() if body.arguments else {}))
    ids = bulk.meant(ctx, query=body.query, ids=body.ids)
    if dry_run:
        return JSONResponse(bulk.together(ctx, body.verb, bulk.plan(ctx, body.verb, ids, wish)), 200)
    turns = bulk.carry_out(ctx, body.verb, ids, wish)
    items: list[dict[str, Any]] = []
    for turn in turns:
        if turn.operation is not None:
            items.append({"id": turn.id, "name": turn.name, "operation": show_operation(turn.operation, ctx.locale)})
        elif turn.error is not None:
            said = {"code": turn.error.code, "message": turn.error.message.render(ctx.locale)}
            items.append({"id": turn.id, "name": turn.name, "error": said})
    count = sum("operation" in item for item in items)
    answer = {"title": bulk.TITLES[body.verb](count).render(ctx.locale), "count": count, "items": items}
    return JSONResponse(answer, 202)
