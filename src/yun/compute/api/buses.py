"""REST of the bus that a disk is on."""

from __future__ import annotations

from fastapi.responses import JSONResponse
from pydantic import Field

from yun.compute import service
from yun.compute.api.shared import Body, volumes
from yun.operations.answer import answer
from yun.storage.service import get_volume
from yun.web.api import Ctx, Match


class NewBus(Body):
    """The bus that a disk goes to."""

    bus: str = Field(max_length=20, description="virtio, scsi, sata, or ide (machine type pc)")


@volumes.post("/{ref}/change-bus", summary="Move a volume to another bus of its instance", status_code=202)
def change_bus(ctx: Ctx, ref: str, body: NewBus, match: Match, dry_run: bool = False) -> JSONResponse:
    """While the instance is off; its boot disk too. It counts from the next start on."""
    volume = get_volume(ctx, ref)
    match.check(volume)
    return answer(ctx, service.change_bus(ctx, volume, body.bus), dry_run=dry_run)
