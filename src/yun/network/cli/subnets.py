"""Commands of subnets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import _
from yun.network.cli.shared import given, quote, subnet_body, told
from yun.web.command import Group, option, output, pass_client, searching

if TYPE_CHECKING:
    from yun.web.client import Client


@click.group("subnet", cls=Group, help=_("Subnets of networks."))
def subnet() -> None:
    """Subnets."""


def telling(command: Any) -> Any:
    """Adds what guests of a subnet are told."""
    for add in (
        option("--lease", type=int, metavar="SECONDS", help=_("How long guests keep an address.")),
        option("--domain", help=_("DNS domain in which guests look for names; the network's where left out.")),
        option("--route", "routes", multiple=True, metavar="RANGE,HOP", help=_("A way for guests; may be repeated.")),
        option("--ntp", "ntp", multiple=True, help=_("A time server for guests; may be repeated.")),
        option("--dns", "dns", multiple=True, help=_("A name server for guests; may be repeated.")),
    ):
        command = add(command)
    return command


def _pool(text: str | None) -> dict[str, Any]:
    first, _dash, last = (text or "").partition("-")
    return given(pool_start=first.strip() or None, pool_end=last.strip() or None)


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
        (_("Time servers"), lambda r: ", ".join(r["ntp_servers"])), (_("Lease, seconds"), "lease_seconds"),
        (_("IPv6 mode"), "ipv6_mode"),
        (_("Routes"), lambda r: ", ".join(f"{w['destination']},{w['nexthop']}" for w in r["routes"])),
        (_("State"), "state"), (_("Network"), "network_id"), (_("Id"), "id"),
    ]  # fmt: skip
    output(client.get(f"/subnets/{quote(ref)}"), columns)


@subnet.command("create", help=_("Create a subnet in a network."))
@click.argument("network_ref", metavar="NETWORK")
@click.argument("cidr", metavar="RANGE")
@option("--name", help=_("Its name; the range where left out."))
@option("--gateway", help=_("Its gateway: an address, auto (the first one) or none."))
@option("--pool", metavar="FIRST-LAST", help=_("The addresses that are given out by themselves."))
@telling
@option(
    "--ipv6-mode", "mode", metavar="MODE",
    help=_("How guests get IPv6 addresses: slaac (where left out), dhcpv6-stateful or dhcpv6-stateless."),
)  # fmt: skip
@option("--no-dhcp", is_flag=True, help=_("Guests find their addresses by themselves."))
@option("--no-router", is_flag=True, help=_("Do not connect it to the outside."))
@pass_client
def create_subnet(
    client: Client, network_ref: str, cidr: str, name: str | None, gateway: str | None, pool: str | None,
    dns: tuple[str, ...], ntp: tuple[str, ...], routes: tuple[str, ...], domain: str | None, lease: int | None,
    mode: str | None, no_dhcp: bool, no_router: bool,
) -> None:  # fmt: skip
    """Create a subnet."""
    said = told(dns, ntp, routes, domain, lease)
    body = subnet_body(cidr, gateway, said, no_dhcp=no_dhcp, no_router=no_router, mode=mode)
    body |= given(network=network_ref, name=name) | _pool(pool)
    client.change("POST", "/subnets", body)


@subnet.command("update", help=_("Change a subnet; none takes servers or routes away."))
@click.argument("ref")
@option("--name", help=_("Another name."))
@option("--gateway", help=_("Its gateway: an address or none."))
@option("--pool", metavar="FIRST-LAST", help=_("The addresses that are given out by themselves."))
@telling
@option("--dhcp/--no-dhcp", "dhcp", default=None, help=_("Whether guests get their addresses by DHCP."))
@pass_client
def update_subnet(
    client: Client, ref: str, name: str | None, gateway: str | None, pool: str | None, dns: tuple[str, ...],
    ntp: tuple[str, ...], routes: tuple[str, ...], domain: str | None, lease: int | None, dhcp: bool | None,
) -> None:  # fmt: skip
    """Change."""
    body = told(dns, ntp, routes, domain, lease) | given(name=name, gateway=gateway, dhcp=dhcp) | _pool(pool)
    client.change("PATCH", f"/subnets/{quote(ref)}", body)


@subnet.command("delete", help=_("Delete a subnet."))
@click.argument("ref")
@pass_client
def delete_subnet(client: Client, ref: str) -> None:
    """Delete a subnet."""
    client.change("DELETE", f"/subnets/{quote(ref)}")


@subnet.command("addresses", help=_("Show who has which address of a subnet, and what is free."))
@click.argument("ref")
@pass_client
def list_addresses(client: Client, ref: str) -> None:
    """Who has which address."""
    columns: list[Any] = [
        (_("ADDRESS"), lambda r: r["first"] if r["count"] == 1 else f"{r['first']}-{r['last']}"),
        (_("HOW MANY"), "count"), (_("WHOSE"), "text"), (_("KIND"), lambda r: _(r["kind"])), (_("SINCE"), "since"),
        (_("ID"), "id"),
    ]  # fmt: skip
    output(client.items(f"/subnets/{quote(ref)}/addresses"), columns)


@subnet.command("reserve", help=_("Reserve addresses: the cloud gives them to nobody."))
@click.argument("ref")
@click.argument("text", metavar="RANGE")
@option("--note", help=_("What they are for."))
@pass_client
def reserve(client: Client, ref: str, text: str, note: str | None) -> None:
    """Reserve."""
    client.change("POST", f"/subnets/{quote(ref)}/reserve", given(range=text, note=note))


@subnet.command("unreserve", help=_("Take a reservation back, by its id, its range or an address of it."))
@click.argument("ref")
@click.argument("text", metavar="RANGE")
@pass_client
def unreserve(client: Client, ref: str, text: str) -> None:
    """Take back."""
    client.change("POST", f"/subnets/{quote(ref)}/unreserve", {"range": text})
