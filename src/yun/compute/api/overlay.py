"""REST of definitions: the XML of what runs and what is next, and what is laid over it."""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse
from pydantic import Field

from yun.compute import service
from yun.compute.api.shared import Edit, instances, row_of
from yun.compute.definitions import check_overlay, definitions
from yun.operations.answer import answer
from yun.web.api import Ctx, Match


class Overlay(Edit):
    """Extra XML: children of `<domain>`."""

    overlay: str = Field(max_length=8192)


@instances.get("/{ref}/xml", summary="Show an instance's definition")
def show_xml(ctx: Ctx, ref: str) -> dict[str, Any]:
    """Domain XML of the `next` start and of what is `running`, the `difference`, and the `overlay`."""
    return definitions(ctx, service.get(ctx, ref))


@instances.put("/{ref}/overlay", summary="Lay XML over an instance", status_code=202)
def set_overlay(ctx: Ctx, ref: str, body: Overlay, match: Match, dry_run: bool = False) -> JSONResponse:
    """Extra XML of its definition from its next start on; empty text takes it away."""
    found = service.get(ctx, ref)
    now = service.overlay_told(ctx, found)
    values = match.edit(found, {"overlay": check_overlay(body.overlay)}, now, service.OVERLAY_TITLES, body.was)
    intent = service.set_overlay(ctx, found, {**now, **values}["overlay"])
    return answer(ctx, intent, dry_run=dry_run, row=lambda: row_of(ctx, found))
