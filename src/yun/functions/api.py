"""REST of network functions."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from yun.base.context import Context
from yun.compute.model import Instance
from yun.functions import service
from yun.functions.model import NetworkFunction
from yun.functions.service import NewFunction
from yun.operations.answer import answer
from yun.web.api import Ctx, Match, Route, tag

router = APIRouter(route_class=Route, prefix="/functions", tags=["network functions"])
SETTINGS = (
    "firewall: `masquerade`, `rules` (`action` allow or deny, `way` any, in, out or self, `protocol`, `ports`, "
    "`source`, `destination`, `note`). proxy: `port`, `balance`, `check_path`, `check_seconds`, `backends` (`group`, "
    "`target`, `port`), `routes` (`host`, `path`, `group`), `default_group`. vpn: `port`, `address`, `endpoint`, "
    "`masquerade`, `networks`, `keepalive`, `peers` (`name`, `public_key`, `addresses`). What is left out is chosen."
)


class FunctionBody(BaseModel):
    """A network function to be made: an instance and what it shall do."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=400)
    kind: Literal["firewall", "proxy", "vpn"]
    settings: dict[str, Any] = Field(default_factory=dict, description=SETTINGS)
    image: str = Field("function", max_length=400, description="An image made by `yun image build function`.")
    flavor: str | None = Field(None, max_length=400, description="1 vCPU and 256 MiB where left out.")
    network: str | None = Field(None, max_length=400, description="Of its first card; a firewall's outside.")
    address: str | None = Field(None, max_length=60)
    inner_network: str | None = Field(None, max_length=400, description="A firewall's inside: its second card.")
    inner_address: str | None = Field(None, max_length=60)
    security_groups: list[str] | None = Field(None, max_length=100)
    keys: list[str] = Field(default_factory=list, max_length=100, description="Names of your stored SSH keys.")
    description: str = Field("", max_length=4000)
    tags: list[str] = Field(default_factory=list, max_length=100)
    floating_ip: bool = False
    start: bool = True

    def new(self) -> NewFunction:
        """What the verb wants."""
        told = self.model_dump()
        groups = told.pop("security_groups")
        return NewFunction(
            **{**told, "keys": tuple(self.keys), "tags": tuple(self.tags)},
            security_groups=tuple(groups) if groups is not None else None,
        )


class FunctionChange(BaseModel):
    """Other settings, whole."""

    model_config = ConfigDict(extra="forbid")

    settings: dict[str, Any] = Field(description=SETTINGS)


def _show(ctx: Context, row: NetworkFunction) -> dict[str, Any]:
    return service.shown(ctx, [row])[0]


def _get(ctx: Context, ref: str, match: Match) -> tuple[NetworkFunction, Instance]:
    row, instance = service.get(ctx, ref)
    match.check(row)
    return row, instance


@router.get("", summary="List network functions")
def list_functions(
    ctx: Ctx, kind: str = Query("", max_length=20), sort: str = Query("name", max_length=40),
    cursor: str | None = Query(None, max_length=1000), limit: int = Query(100, ge=1, le=1000),
    q: str = Query("", max_length=1000, description="In the search language of instances."),
) -> dict[str, Any]:  # fmt: skip
    """The project's network functions and how they do, as they last told."""
    page = service.list_functions(ctx, q=q, kind=kind, sort=sort, cursor=cursor, limit=limit)
    return {"items": service.shown(ctx, page.items), "next": page.next}


@router.post("", summary="Create a network function", status_code=201)
def create_function(ctx: Ctx, body: FunctionBody, dry_run: bool = False) -> JSONResponse:
    """An instance that is a firewall, a reverse proxy or a VPN gateway."""
    intent = service.create(ctx, body.new())
    made = intent.subject.id
    return answer(ctx, intent, dry_run=dry_run, status=201, row=lambda: _show(ctx, service.get(ctx, made)[0]))


@router.get("/{ref}", summary="Show a network function")
def show_function(ctx: Ctx, ref: str, response: Response) -> dict[str, Any]:
    """One function, its settings, and how it does as it last told; by its instance's name or id, or its own id."""
    row, _instance = service.get(ctx, ref)
    tag(response, row)
    return _show(ctx, row)


@router.patch("/{ref}", summary="Change a network function")
def update_function(ctx: Ctx, ref: str, body: FunctionChange, match: Match, dry_run: bool = False) -> JSONResponse:
    """Other settings: at once where it runs, and for its next start."""
    row, instance = _get(ctx, ref, match)
    intent = service.update(ctx, row, instance, body.settings)
    return answer(ctx, intent, dry_run=dry_run, row=lambda: _show(ctx, row))


@router.delete("/{ref}", summary="Delete a network function", status_code=202)
def delete_function(
    ctx: Ctx, ref: str, match: Match, force: bool = False, dry_run: bool = False
) -> JSONResponse:
    """Its instance goes to the trash; undo brings both back."""
    row, instance = _get(ctx, ref, match)
    return answer(
        ctx, service.delete(ctx, row, instance, force=force), dry_run=dry_run, row=lambda: _show(ctx, row)
    )


@router.post("/{ref}/refresh", summary="Ask a network function how it does", status_code=202)
def refresh_function(ctx: Ctx, ref: str, match: Match, dry_run: bool = False) -> JSONResponse:
    """Ask its guest now, and not when its turn comes."""
    row, instance = _get(ctx, ref, match)
    return answer(ctx, service.refresh(ctx, row, instance), dry_run=dry_run, row=lambda: _show(ctx, row))


@router.get("/{ref}/peers/{peer}/config", summary="Show what a VPN peer needs")
def client_config(ctx: Ctx, ref: str, peer: str) -> dict[str, str]:
    """The file for the peer's WireGuard. Its private key is to be put in: the cloud does not have it."""
    row, instance = service.get(ctx, ref)
    return {"config": service.client_config(ctx, row, instance, peer)}
