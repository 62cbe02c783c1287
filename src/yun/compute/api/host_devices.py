"""REST of host devices: list them, give one to an instance, take it back."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import Field

from yun.compute import service
from yun.compute.api.shared import Body, Word, instances, row_of
from yun.operations.answer import answer
from yun.web.api import Ctx, Match, Route

hosts = APIRouter(route_class=Route, prefix="/hosts", tags=["hosts"])


class Given(Body):
    """A device of the instance's host."""

    device: Word = Field(description="Its id, address, or vendor:product, such as 0000:81:00.0 or 1050:0407.")
    with_group: bool = Field(False, description="The other devices of its IOMMU group too.")


class Taken(Body):
    """A device that the instance was given, and how patiently its guest is asked."""

    device: Word = Field(description="Its id, address, or vendor:product.")
    timeout: int = Field(30, description="Seconds a running guest has to let go of the device.")


@hosts.get("/{ref}/devices", summary="List the PCI and USB devices of a host")
def list_devices(ctx: Ctx, ref: str) -> dict[str, Any]:
    """As last seen: what each is, who shares its IOMMU group, who has it, and why it cannot be given away."""
    return {"items": service.show_devices(ctx, service.list_devices(ctx, ref)), "next": None}


@instances.post("/{ref}/add-host-device", summary="Give an instance a device of its host", status_code=202)
def add_host_device(ctx: Ctx, ref: str, body: Given, match: Match, dry_run: bool = False) -> JSONResponse:
    """For itself alone, at once where it runs. Refused with the reason where the host cannot give it away."""
    found = service.get(ctx, ref)
    match.check(found)
    intent = service.add_host_device(ctx, found, body.device, with_group=body.with_group)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: row_of(ctx, found))


@instances.post("/{ref}/remove-host-device", summary="Take a device of its host from an instance", status_code=202)
def remove_host_device(ctx: Ctx, ref: str, body: Taken, match: Match, dry_run: bool = False) -> JSONResponse:
    """A running guest is asked for it; undo gives it again."""
    found = service.get(ctx, ref)
    match.check(found)
    intent = service.remove_host_device(ctx, found, body.device, timeout=body.timeout)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: row_of(ctx, found))
