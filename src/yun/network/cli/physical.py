"""Commands of physical networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import _
from yun.network.cli.shared import given, quote
from yun.web.command import Group, option, output, pass_client

if TYPE_CHECKING:
    from yun.web.client import Client


@click.group("physical-network", cls=Group, help=_("Physical networks beyond the hosts' cards."))
def physical_network() -> None:
    """Physical networks."""


@physical_network.command("list", help=_("List physical networks."))
@pass_client
def list_physical(client: Client) -> None:
    """List."""
    columns: list[Any] = [
        (_("NAME"), "name"), (_("BRIDGE"), "bridge"), (_("CARD"), "interface"), (_("HOST"), "host_id"),
        (_("ID"), "id"),
    ]  # fmt: skip
    output(client.items("/physical-networks"), columns)


@physical_network.command("show", help=_("Show a physical network."))
@click.argument("ref")
@pass_client
def show_physical(client: Client, ref: str) -> None:
    """Show."""
    columns: list[Any] = [
        (_("Name"), "name"), (_("Bridge"), "bridge"), (_("Card"), "interface"), (_("Host"), "host_id"),
        (_("Description"), "description"), (_("Created"), "created_at"), (_("Id"), "id"),
    ]  # fmt: skip
    output(client.get(f"/physical-networks/{quote(ref)}"), columns)


@physical_network.command("create", help=_("Describe how a host reaches a physical network."))
@click.argument("name")
@click.argument("bridge")
@option("--interface", metavar="CARD", help=_("Card that is put into the bridge."))
@option("--host", help=_("Host, by name or id; this one where left out."))
@option("--description", help=_("A line about it."))
@pass_client
def create_physical(
    client: Client, name: str, bridge: str, interface: str | None, host: str | None, description: str | None
) -> None:
    """Create."""
    body = given(name=name, bridge=bridge, interface=interface, host=host, description=description)
    client.change("POST", "/physical-networks", body)


@physical_network.command("delete", help=_("Forget how a host reaches a physical network."))
@click.argument("ref")
@pass_client
def delete_physical(client: Client, ref: str) -> None:
    """Delete."""
    client.change("DELETE", f"/physical-networks/{quote(ref)}")
