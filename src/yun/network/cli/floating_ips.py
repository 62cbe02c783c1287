"""Commands of floating IPs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import _
from yun.network.cli.shared import given, quote
from yun.web.command import Group, option, output, pass_client, searching

if TYPE_CHECKING:
    from yun.web.client import Client


@click.group("floating-ip", cls=Group, help=_("Addresses that are reachable from outside."))
def floating_ip() -> None:
    """Floating IPs."""


@floating_ip.command("list", help=_("List floating IPs."))
@searching("used:no text")
@pass_client
def list_floating_ips(client: Client, q: str | None) -> None:
    """List floating IPs."""
    columns: list[Any] = [
        (_("ADDRESS"), "address"), (_("LEADS TO"), "port_address"), (_("HOST NAME"), "hostname"), (_("ID"), "id"),
    ]  # fmt: skip
    output(client.items("/floating-ips", q=q), columns)


@floating_ip.command("show", help=_("Show a floating IP."))
@click.argument("ref")
@pass_client
def show_floating_ip(client: Client, ref: str) -> None:
    """Show a floating IP."""
    columns: list[Any] = [
        (_("Address"), "address"), (_("Leads to"), "port_address"), (_("Host name"), "hostname"),
        (_("Instance"), "instance_id"), (_("State"), "state"), (_("Id"), "id"),
    ]  # fmt: skip
    output(client.get(f"/floating-ips/{quote(ref)}"), columns)


@floating_ip.command("allocate", help=_("Take an outside address for the project."))
@option("--address", help=_("This one; the lowest free one where left out."))
@pass_client
def allocate(client: Client, address: str | None) -> None:
    """Allocate a floating IP."""
    client.change("POST", "/floating-ips", given(address=address))


@floating_ip.command("associate", help=_("Lead a floating IP to a port (its address, MAC, host name or id)."))
@click.argument("ref")
@click.argument("port_ref", metavar="PORT")
@pass_client
def associate(client: Client, ref: str, port_ref: str) -> None:
    """Associate a floating IP."""
    client.change("POST", f"/floating-ips/{quote(ref)}/associate", {"port": port_ref})


@floating_ip.command("disassociate", help=_("Let a floating IP lead nowhere."))
@click.argument("ref")
@pass_client
def disassociate(client: Client, ref: str) -> None:
    """Disassociate a floating IP."""
    client.change("POST", f"/floating-ips/{quote(ref)}/disassociate")


@floating_ip.command("release", help=_("Give a floating IP back."))
@click.argument("ref")
@pass_client
def release(client: Client, ref: str) -> None:
    """Release a floating IP."""
    client.change("DELETE", f"/floating-ips/{quote(ref)}")
