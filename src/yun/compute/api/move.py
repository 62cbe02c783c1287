"""REST of moves: a volume's way to another pool."""

from __future__ import annotations

from fastapi.responses import JSONResponse
from pydantic import Field

from yun.compute import service
from yun.compute.api.shared import Body, volumes
from yun.operations.answer import answer
from yun.storage.service import get_volume
from yun.web.api import Ctx, Match


class NewPlace(Body):
    """Where a volume is to lie."""

    pool: str = Field(max_length=70, description="Another pool of the same host, by name or id.")


@volumes.post("/{ref}/move", summary="Move a volume to another pool", status_code=202)
def move(ctx: Ctx, ref: str, body: NewPlace, match: Match, dry_run: bool = False) -> JSONResponse:
    """Copied while its instance runs on; until the copy is in use the move can be cancelled."""
    volume = get_volume(ctx, ref)
    match.check(volume)
    return answer(ctx, service.move(ctx, volume, body.pool), dry_run=dry_run)
