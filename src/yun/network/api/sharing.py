"""REST of shared networks."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from yun.base.context import Context
from yun.network import service
from yun.network.api import show
from yun.network.model import Network
from yun.operations.answer import answer
from yun.web.api import Ctx, Match, Route

router = APIRouter(route_class=Route, prefix="/networks", tags=["networks"])


class With(BaseModel):
    """A project."""

    model_config = ConfigDict(extra="forbid")

    project: str = Field(max_length=200, description="Name or id of a project; `*` for all.")


def _shown(ctx: Context, row: Network) -> dict[str, Any]:
    shared = service.shares_of(ctx.session, [row.id]).get(row.id, ())
    return show.network(row, service.subnets_of(ctx.session, row.id), shared)


@router.post("/{ref}/share", summary="Share a network")
def share(ctx: Ctx, ref: str, body: With, match: Match, dry_run: bool = False) -> JSONResponse:
    """Machines of the project may be on it."""
    row = service.get_network(ctx, ref)
    match.check(row)
    return answer(ctx, service.share(ctx, row, body.project), dry_run=dry_run, row=lambda: _shown(ctx, row))


@router.post("/{ref}/unshare", summary="Share a network no more")
def unshare(ctx: Ctx, ref: str, body: With, match: Match, dry_run: bool = False) -> JSONResponse:
    """Refused while the project uses it."""
    row = service.get_network(ctx, ref)
    match.check(row)
    return answer(ctx, service.unshare(ctx, row, body.project), dry_run=dry_run, row=lambda: _shown(ctx, row))
