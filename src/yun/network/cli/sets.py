"""Commands of address sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import _
from yun.network.cli.shared import given, quote
from yun.web.command import Group, option, output, pass_client, searching

if TYPE_CHECKING:
    from yun.web.client import Client


@click.group("address-set", cls=Group, help=_("Address sets: ranges with a name, for rules of groups."))
def address_set() -> None:
    """Address sets."""


@address_set.command("list", help=_("List address sets."))
@searching("name:office text")
@pass_client
def list_sets(client: Client, q: str | None) -> None:
    """List address sets."""
    columns: list[Any] = [
        (_("NAME"), "name"), (_("RANGES"), "ranges"), (_("DESCRIPTION"), "description"), (_("ID"), "id"),
    ]  # fmt: skip
    output(client.items("/address-sets", q=q), columns)


@address_set.command("show", help=_("Show an address set, and whose rules name it."))
@click.argument("ref")
@pass_client
def show_set(client: Client, ref: str) -> None:
    """Show an address set."""
    columns: list[Any] = [
        (_("Name"), "name"), (_("Description"), "description"), (_("Ranges"), "ranges"),
        (_("Security groups"), lambda r: ", ".join(g["name"] for g in r["security_groups"])), (_("Id"), "id"),
    ]  # fmt: skip
    output(client.get(f"/address-sets/{quote(ref)}"), columns)


@address_set.command("create", help=_("Create an address set of ranges and addresses."))
@click.argument("name")
@click.argument("ranges", nargs=-1)
@option("--description", help=_("A line about it."))
@pass_client
def create_set(client: Client, name: str, ranges: tuple[str, ...], description: str | None) -> None:
    """Create an address set."""
    client.change("POST", "/address-sets", given(name=name, description=description) | {"ranges": list(ranges)})


@address_set.command("update", help=_("Change an address set; its rules follow at once."))
@click.argument("ref")
@option("--range", "ranges", multiple=True, help=_("All its ranges from now on; may be repeated."))
@option("--add", "more", multiple=True, help=_("One more range; may be repeated."))
@option("--remove", "less", multiple=True, help=_("One range less; may be repeated."))
@option("--name", help=_("Another name."))
@option("--description", help=_("A line about it."))
@pass_client
def update_set(
    client: Client, ref: str, ranges: tuple[str, ...], more: tuple[str, ...], less: tuple[str, ...],
    name: str | None, description: str | None,
) -> None:  # fmt: skip
    """Change an address set."""
    body = given(name=name, description=description)
    if ranges:
        body["ranges"] = list(ranges)
    elif more or less:
        have = client.get(f"/address-sets/{quote(ref)}")["ranges"]
        without = {_plain(r) for r in less}
        body["ranges"] = [*(r for r in have if _plain(r) not in without), *more]
    client.change("PATCH", f"/address-sets/{quote(ref)}", body)


def _plain(text: str) -> str:
    return text.strip().removesuffix("/128" if ":" in text else "/32")


@address_set.command("delete", help=_("Delete an address set."))
@click.argument("ref")
@pass_client
def delete_set(client: Client, ref: str) -> None:
    """Delete an address set."""
    client.change("DELETE", f"/address-sets/{quote(ref)}")
