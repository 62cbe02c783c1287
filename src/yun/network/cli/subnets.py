"""Commands of subnets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import _
from yun.network.cli.shared import given, quote, subnet_body
from yun.web.command import Group, option, output, pass_client, searching

if TYPE_CHECKING:
    from yun.web.client import Client


@click.group("subnet", cls=Group, help=_("Subnets of networks."))
def subnet() -> None:
    """Subnets."""


@subnet.command("list", help=_("List subnets."))
@option("--network", "inside", help=_("Only those of this network."))
@searching("range:10.1. dhcp:yes text")
@pass_client
def list_subnets(client: Client, inside: str | None, q: str | None) -> None:
    """List subnets."""
    columns: list[Any] = [
        (_("NAME"), "name"), (_("RANGE"), "cidr"), (_("GATEWAY"), "gateway"), (_("DHCP"), "dhcp"),
        (_("FREE"), lambda r: f"{r['addresses_free']} / {r['addresses_total']}"), (_("ID"), "id"),
    ]  # fmt: skip
    output(client.items("/subnets", network=inside, q=q), columns)


@subnet.command("show", help=_("Show a subnet."))
@click.argument("ref")
@pass_client
def show_subnet(client: Client, ref: str) -> None:
    """Show a subnet."""
    columns: list[Any] = [
        (_("Name"), "name"), (_("Range"), "cidr"), (_("Gateway"), "gateway"),
        (_("Pool"), lambda r: f"{r['pool_start']} – {r['pool_end']}"),
        (_("Free"), lambda r: f"{r['addresses_free']} / {r['addresses_total']}"),
        (_("Name servers"), lambda r: ", ".join(r["dns_servers"])), (_("Domain"), "domain"), (_("DHCP"), "dhcp"),
        (_("State"), "state"), (_("Network"), "network_id"), (_("Id"), "id"),
    ]  # fmt: skip
    output(client.get(f"/subnets/{quote(ref)}"), columns)


@subnet.command("create", help=_("Create a subnet in a network."))
@click.argument("network_ref", metavar="NETWORK")
@click.argument("cidr", metavar="RANGE")
@option("--name", help=_("Its name; the range where left out."))
@option("--gateway", help=_("Its gateway: an address, auto (the first one) or none."))
@option("--pool", metavar="FIRST-LAST", help=_("The addresses that are given out by themselves."))
@option("--dns", "dns", multiple=True, help=_("A name server for guests; may be repeated."))
@option("--domain", help=_("DNS domain of its guests."))
@option("--no-dhcp", is_flag=True, help=_("Guests find their addresses by themselves."))
@option("--no-router", is_flag=True, help=_("Do not connect it to the outside."))
@pass_client
def create_subnet(
    client: Client, network_ref: str, cidr: str, name: str | None, gateway: str | None, pool: str | None,
    dns: tuple[str, ...], domain: str | None, no_dhcp: bool, no_router: bool,
) -> None:  # fmt: skip
    """Create a subnet."""
    body = subnet_body(cidr, gateway, dns, domain, no_dhcp=no_dhcp, no_router=no_router)
    body |= given(network=network_ref, name=name)
    if pool:
        first, _dash, last = pool.partition("-")
        body |= given(pool_start=first.strip() or None, pool_end=last.strip() or None)
    client.change("POST", "/subnets", body)


@subnet.command("delete", help=_("Delete a subnet."))
@click.argument("ref")
@pass_client
def delete_subnet(client: Client, ref: str) -> None:
    """Delete a subnet."""
    client.change("DELETE", f"/subnets/{quote(ref)}")
