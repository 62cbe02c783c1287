"""Commands of DNS records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import _
from yun.network.cli.shared import given, quote
from yun.web.command import Group, option, output, pass_client

if TYPE_CHECKING:
    from yun.web.client import Client


@click.group("dns-record", cls=Group, help=_("Names of a network beside those of its machines."))
def dns_record() -> None:
    """DNS records."""


@dns_record.command("list", help=_("List a network's own DNS records."))
@click.argument("network_ref", metavar="NETWORK")
@pass_client
def list_records(client: Client, network_ref: str) -> None:
    """List."""
    columns: list[Any] = [
        (_("NAME"), "name"), (_("KIND"), "kind"), (_("ADDRESS"), "address"), (_("ID"), "id")
    ]  # fmt: skip
    output(client.items("/dns-records", network=network_ref), columns)


@dns_record.command("show", help=_("Show a DNS record."))
@click.argument("ref", metavar="ID")
@pass_client
def show_record(client: Client, ref: str) -> None:
    """Show."""
    columns: list[Any] = [
        (_("Name"), "name"), (_("Kind"), "kind"), (_("Address"), "address"), (_("Network"), "network_id"),
        (_("Created"), "created_at"), (_("Id"), "id"),
    ]  # fmt: skip
    output(client.get(f"/dns-records/{quote(ref)}"), columns)


@dns_record.command("create", help=_("Let a network answer a name with an address."))
@click.argument("network_ref", metavar="NETWORK")
@click.argument("name")
@click.argument("address")
@option("--kind", help=_("A or AAAA; what the address is where left out."))
@pass_client
def create_record(client: Client, network_ref: str, name: str, address: str, kind: str | None) -> None:
    """Create."""
    body = given(network=network_ref, name=name, address=address, kind=kind)
    client.change("POST", "/dns-records", body)


@dns_record.command("delete", help=_("Let a network answer a name no more."))
@click.argument("ref", metavar="ID")
@pass_client
def delete_record(client: Client, ref: str) -> None:
    """Delete."""
    client.change("DELETE", f"/dns-records/{quote(ref)}")
