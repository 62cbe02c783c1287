"""Commands of ports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import _
from yun.network.cli.shared import quote
from yun.web.command import Group, option, output, pass_client, searching

if TYPE_CHECKING:
    from yun.web.client import Client


@click.group("port", cls=Group, help=_("Ports of instances in networks."))
def port() -> None:
    """Ports."""


def _addresses(row: Any) -> str:
    return ", ".join(a["address"] for a in row["addresses"])


@port.command("list", help=_("List ports."))
@option("--network", "inside", help=_("Only those in this network."))
@option("--instance", "instance_id", metavar="ID", help=_("Only those of this instance."))
@option("--state", help=_("Only those in this state: down, up or trashed."))
@searching("address:10.1. group:web text")
@pass_client
def list_ports(
    client: Client, inside: str | None, instance_id: str | None, state: str | None, q: str | None
) -> None:
    """List ports."""
    columns: list[Any] = [
        (_("ADDRESS"), _addresses), (_("FLOATING IP"), "floating_address"), (_("MAC"), "mac"),
        (_("HOST NAME"), "hostname"), (_("STATE"), "state"), (_("ID"), "id"),
    ]  # fmt: skip
    output(client.items("/ports", network=inside, instance_id=instance_id, state=state, q=q), columns)


@port.command("show", help=_("Show a port."))
@click.argument("ref")
@pass_client
def show_port(client: Client, ref: str) -> None:
    """Show a port."""
    columns: list[Any] = [
        (_("Address"), _addresses), (_("Floating IP"), "floating_address"), (_("MAC"), "mac"),
        (_("Host name"), "hostname"), (_("Instance"), "instance_id"), (_("Network"), "network_id"),
        (_("Security groups"), lambda r: ", ".join(g["name"] for g in r["security_groups"])),
        (_("State"), "state"), (_("Interface id"), "uuid"), (_("Id"), "id"),
    ]  # fmt: skip
    output(client.get(f"/ports/{quote(ref)}"), columns)
