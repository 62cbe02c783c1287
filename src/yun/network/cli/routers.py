"""Commands of routers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import _
from yun.network.cli.shared import given, quote
from yun.web.command import Group, option, output, pass_client, searching

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
        (_("Name"), "name"), (_("Description"), "description"), (_("Outside address"), "external_address"),
        (_("Source NAT"), "snat"),
        (_("Inside"), lambda r: ", ".join(i["address"] for i in r["interfaces"] if not i["external"])),
        (_("Static routes"), lambda r: ", ".join(f"{x['destination']} → {x['next_hop']}" for x in r["routes"])),
        (_("Host"), "host_id"), (_("State"), "state"), (_("Id"), "id"),
    ]  # fmt: skip
    output(client.get(f"/routers/{quote(ref)}"), columns)


@router.command("create", help=_("Create a router."))
@click.argument("name")
@option("--description", help=_("A line about it."))
@option("--no-gateway", is_flag=True, help=_("Without a way out: it only connects networks with each other."))
@option("--network", "outside", help=_("The external network; the cloud's own where left out."))
@option("--address", help=_("Its outside address; the lowest free one where left out."))
@option("--no-snat", is_flag=True, help=_("What leaves keeps its sender."))
@pass_client
def create_router(
    client: Client, name: str, description: str | None, no_gateway: bool, outside: str | None, address: str | None,
    no_snat: bool,
) -> None:  # fmt: skip
    """Create a router."""
    body = given(name=name, description=description, network=outside, address=address)
    client.change("POST", "/routers", body | {"external": not no_gateway, "snat": not no_snat})


@router.command("update", help=_("Change a router's name, description or source NAT."))
@click.argument("ref")
@option("--name", help=_("Another name."))
@option("--description", help=_("A line about it."))
@option("--snat/--no-snat", default=None, help=_("Whether what leaves gets the router's outside address as sender."))
@pass_client
def update_router(client: Client, ref: str, name: str | None, description: str | None, snat: bool | None) -> None:
    """Change a router."""
    client.change("PATCH", f"/routers/{quote(ref)}", given(name=name, description=description, snat=snat))


@router.command("delete", help=_("Delete a router."))
@click.argument("ref")
@pass_client
def delete_router(client: Client, ref: str) -> None:
    """Delete a router."""
    client.change("DELETE", f"/routers/{quote(ref)}")


@router.command("add-interface", help=_("Connect a router with a subnet (its name, range or id)."))
@click.argument("ref")
@click.argument("subnet_ref", metavar="SUBNET")
@option("--address", help=_("The router's address there; the subnet's gateway where left out."))
@pass_client
def add_interface(client: Client, ref: str, subnet_ref: str, address: str | None) -> None:
    """Add a leg."""
    client.change("POST", f"/routers/{quote(ref)}/interfaces", given(subnet=subnet_ref, address=address))


@router.command("remove-interface", help=_("Take a router off a subnet (or its leg's address or id)."))
@click.argument("ref")
@click.argument("subnet_ref", metavar="SUBNET")
@pass_client
def remove_interface(client: Client, ref: str, subnet_ref: str) -> None:
    """Remove a leg."""
    client.change("DELETE", f"/routers/{quote(ref)}/interfaces/{quote(subnet_ref)}")


@router.command("set-gateway", help=_("Give a router a way out."))
@click.argument("ref")
@option("--network", "outside", help=_("The external network; the cloud's own where left out."))
@option("--address", help=_("Its outside address; the lowest free one where left out."))
@pass_client
def set_gateway(client: Client, ref: str, outside: str | None, address: str | None) -> None:
    """Set the gateway."""
    client.change("POST", f"/routers/{quote(ref)}/gateway", given(network=outside, address=address))


@router.command("clear-gateway", help=_("Take a router's way out."))
@click.argument("ref")
@pass_client
def clear_gateway(client: Client, ref: str) -> None:
    """Clear the gateway."""
    client.change("DELETE", f"/routers/{quote(ref)}/gateway")


@router.command("add-route", help=_("Hand what goes to a range to another router or machine."))
@click.argument("ref")
@click.argument("destination")
@click.argument("next_hop")
@pass_client
def add_route(client: Client, ref: str, destination: str, next_hop: str) -> None:
    """Add a static route."""
    client.change("POST", f"/routers/{quote(ref)}/routes", {"destination": destination, "next_hop": next_hop})


@router.command("remove-route", help=_("Remove a static route (its destination or id)."))
@click.argument("ref")
@click.argument("destination")
@pass_client
def remove_route(client: Client, ref: str, destination: str) -> None:
    """Remove a static route."""
    client.change("DELETE", f"/routers/{quote(ref)}/routes/{quote(destination)}")
