"""REST of appliances: what an uploaded OVA contains, and making an instance of it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import Field

from yun.compute import service
from yun.compute.api.shared import Body, Word, again, instances
from yun.images.service import get_upload
from yun.operations.answer import answer
from yun.web.api import Ctx, Route

appliances = APIRouter(route_class=Route, prefix="/appliances", tags=["instances"])


class ImportAppliance(Body):
    """An uploaded OVA, and what is to differ from what it says itself."""

    upload: Word = Field(description="Id of a complete upload with `purpose appliance`.")
    name: str | None = Field(None, max_length=400, description="Name of the instance; else as the OVA says.")
    network: Word | None = Field(None, description="Network of its cards; the project's own by default.")
    vcpus: int | None = None
    memory_mib: int | None = None
    description: str = Field("", max_length=1000)


@appliances.get("/{upload}", summary="Show what an uploaded appliance contains")
def show(ctx: Ctx, upload: str) -> dict[str, Any]:
    """Its description, disks and network cards, and what is wrong with it, before anything is made of it."""
    return service.contents(ctx, get_upload(ctx, upload))


@instances.post("/import", summary="Import an instance from an uploaded OVA", status_code=201)
def import_(ctx: Ctx, body: ImportAppliance, dry_run: bool = False) -> JSONResponse:
    """Disks become volumes, network cards ports; the instance is left stopped. The upload is used up."""
    upload = get_upload(ctx, body.upload)
    wish = service.ImportWish(**body.model_dump(exclude={"upload"}))
    intent = service.import_appliance(ctx, upload, wish)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: again(ctx, intent.subject.id), status=201)


@instances.post("/{ref}/export", summary="Copy an instance out as an OVA", status_code=202)
def export(ctx: Ctx, ref: str, dry_run: bool = False) -> JSONResponse:
    """Makes a copy, of a running one as it is at one moment. The operation's result names it, and
    `/image-exports/{id}/file` gives it out for a day."""
    intent = service.export(ctx, service.get(ctx, ref))
    return answer(ctx, intent, dry_run=dry_run, row=lambda: {"export_id": intent.arguments["export_id"]})
