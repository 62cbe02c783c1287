"""Commands of routers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import _
from yun.network.cli.shared import quote
from yun.web.command import Group, output, pass_client, searching

if TYPE_CHECKING:
    from yun.web.client import Client


@click.group("router", cls=Group, help=_("Routers between networks and to the outside."))
def router() -> None:
    """Routers."""


@router.command("list", help=_("List routers."))
@searching("snat:yes text")
@pass_client
def list_routers(client: Client, q: str | None) -> None:
    """List routers."""
    columns: list[Any] = [
        (_("NAME"), "name"), (_("OUTSIDE"), "external_address"),
        (_("INSIDE"), lambda r: ", ".join(i["address"] for i in r["interfaces"] if not i["external"])), (_("ID"), "id"),
    ]  # fmt: skip
    output(client.items("/routers", q=q), columns)


@router.command("show", help=_("Show a router."))
@click.argument("ref")
@pass_client
def show_router(client: Client, ref: str) -> None:
    """Show a router."""
    columns: list[Any] = [
        (_("Name"), "name"), (_("Outside address"), "external_address"), (_("Source NAT"), "snat"),
        (_("Inside"), lambda r: ", ".join(i["address"] for i in r["interfaces"] if not i["external"])),
        (_("Host"), "host_id"), (_("State"), "state"), (_("Id"), "id"),
    ]  # fmt: skip
    output(client.get(f"/routers/{quote(ref)}"), columns)
