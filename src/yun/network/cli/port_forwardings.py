"""Commands of port forwardings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import _
from yun.network.cli.shared import given, quote
from yun.web.command import Group, option, output, pass_client, searching

if TYPE_CHECKING:
    from yun.web.client import Client


@click.group("port-forwarding", cls=Group, help=_("Single ports of an outside address that lead to machines."))
def port_forwarding() -> None:
    """Port forwardings."""


def _outside(row: Any) -> str:
    last = f"-{row['outside_port_max']}" if row["outside_port_max"] != row["outside_port"] else ""
    return f"{row['address']}:{row['outside_port']}{last}/{row['protocol']}"


def _inner(row: Any) -> str:
    return f"{row['inner_address']}:{row['inner_port']}"


@port_forwarding.command("list", help=_("List port forwardings."))
@searching("outside:2222 protocol:tcp text")
@pass_client
def list_forwardings(client: Client, q: str | None) -> None:
    """List port forwardings."""
    columns: list[Any] = [
        (_("OUTSIDE"), _outside), (_("LEADS TO"), _inner), (_("HOST NAME"), "hostname"), (_("ID"), "id"),
    ]  # fmt: skip
    output(client.items("/port-forwardings", q=q), columns)


@port_forwarding.command("show", help=_("Show a port forwarding (its id, or ADDRESS:PORT)."))
@click.argument("ref")
@pass_client
def show_forwarding(client: Client, ref: str) -> None:
    """Show a port forwarding."""
    columns: list[Any] = [
        (_("Outside"), _outside), (_("Leads to"), _inner), (_("Host name"), "hostname"),
        (_("Description"), "description"), (_("State"), "state"), (_("Id"), "id"),
    ]  # fmt: skip
    output(client.get(f"/port-forwardings/{quote(ref)}"), columns)


@port_forwarding.command("create", help=_("Lead a port of an outside address to a port of a machine."))
@click.argument("port_ref", metavar="PORT")
@click.argument("outside_port", type=int)
@click.argument("inner_port", type=int, required=False)
@option("--floating-ip", help=_("The outside address; the router's own where left out."))
@option("--protocol", type=click.Choice(["tcp", "udp"]), default="tcp", help=_("tcp or udp."))
@option("--last", type=int, help=_("The last outside port of a range."))
@option("--inner-address", help=_("Which of the port's addresses, where it has several."))
@option("--description", help=_("A line about it."))
@pass_client
def create_forwarding(
    client: Client, port_ref: str, outside_port: int, inner_port: int | None, floating_ip: str | None, protocol: str,
    last: int | None, inner_address: str | None, description: str | None,
) -> None:  # fmt: skip
    """Create a port forwarding."""
    body = given(
        port=port_ref, outside_port=outside_port, inner_port=inner_port, floating_ip=floating_ip, protocol=protocol,
        outside_port_max=last, inner_address=inner_address, description=description,
    )  # fmt: skip
    client.change("POST", "/port-forwardings", body)


@port_forwarding.command("delete", help=_("End a port forwarding (its id, or ADDRESS:PORT)."))
@click.argument("ref")
@pass_client
def delete_forwarding(client: Client, ref: str) -> None:
    """Delete a port forwarding."""
    client.change("DELETE", f"/port-forwardings/{quote(ref)}")
