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
        (_("ADDRESS"), "address"), (_("NAME"), "name"), (_("LEADS TO"), "inner_address"),
        (_("HOST NAME"), "hostname"), (_("ID"), "id"),
    ]  # fmt: skip
    output(client.items("/floating-ips", q=q), columns)


@floating_ip.command("show", help=_("Show a floating IP."))
@click.argument("ref")
@pass_client
def show_floating_ip(client: Client, ref: str) -> None:
    """Show a floating IP."""
    columns: list[Any] = [
        (_("Address"), "address"), (_("Name"), "name"), (_("Description"), "description"),
        (_("Leads to"), "inner_address"), (_("Host name"), "hostname"),
        (_("Instance"), "instance_id"), (_("Load balancer"), "load_balancer"), (_("State"), "state"), (_("Id"), "id"),
    ]  # fmt: skip
    output(client.get(f"/floating-ips/{quote(ref)}"), columns)


@floating_ip.command("allocate", help=_("Take an outside address for the project."))
@option("--address", help=_("This one; the lowest free one where left out."))
@option("--name", help=_("What to call it."))
@option("--description", help=_("A line about it."))
@pass_client
def allocate(client: Client, address: str | None, name: str | None, description: str | None) -> None:
    """Allocate a floating IP."""
    client.change("POST", "/floating-ips", given(address=address, name=name, description=description))


@floating_ip.command("update", help=_("Change a floating IP's name or description."))
@click.argument("ref")
@option("--name", help=_("Another name."))
@option("--description", help=_("A line about it."))
@pass_client
def update(client: Client, ref: str, name: str | None, description: str | None) -> None:
    """Change a floating IP."""
    client.change("PATCH", f"/floating-ips/{quote(ref)}", given(name=name, description=description))


@floating_ip.command(
    "associate", help=_("Lead a floating IP to a port (its address, MAC, host name or id).")
)
@click.argument("ref")
@click.argument("port_ref", metavar="PORT")
@option("--address", help=_("Which of the port's addresses, where it has several."))
@option("--move", is_flag=True, help=_("Also where it leads to another port now."))
@pass_client
def associate(client: Client, ref: str, port_ref: str, address: str | None, move: bool) -> None:
    """Associate a floating IP."""
    body = given(port=port_ref, address=address) | {"move": move}
    client.change("POST", f"/floating-ips/{quote(ref)}/associate", body)


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
