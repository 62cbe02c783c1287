"""Commands of flavors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import _
from yun.base.units import MIB, format_size
from yun.compute.cli.shared import size_of
from yun.web.command import Group, option, output, pass_client

if TYPE_CHECKING:
    from yun.web.client import Client


@click.group("flavor", cls=Group, help=_("Flavors: sizes to choose by name."))
def flavor() -> None:
    """Flavors."""


FLAVOR: list[Any] = [
    (_("NAME"), "name"), ("VCPU", "vcpus"), (_("MEMORY"), lambda r: format_size(r["memory_mib"] * MIB)),
    (_("DISK"), lambda r: format_size(r["disk_bytes"])), (_("DESCRIPTION"), lambda r: r["description"] or "–"),
]  # fmt: skip


@flavor.command("list", help=_("List flavors."))
@pass_client
def list_flavors(client: Client) -> None:
    """List flavors."""
    output(client.items("/flavors"), FLAVOR)


@flavor.command("show", help=_("Show a flavor."))
@click.argument("ref")
@pass_client
def show_flavor(client: Client, ref: str) -> None:
    """Show a flavor."""
    output(client.get(_flavor(ref)), [*FLAVOR, ("ID", "id")])


@flavor.command("create", help=_("Offer a size by name."))
@click.argument("name")
@option("--vcpus", type=int, required=True, help=_("Number of virtual processors."))
@option("--memory", metavar="SIZE", required=True, help=_("Memory, such as 512M or 2G."))
@option("--disk", metavar="SIZE", required=True, help=_("Size of the disk, such as 10G."))
@option("--description", default="", help=_("A text about it."))
@pass_client
def create_flavor(client: Client, name: str, vcpus: int, memory: str, disk: str, description: str) -> None:
    """Create a flavor."""
    body = {
        "name": name, "vcpus": vcpus, "memory_mib": size_of(memory, "memory", "m") // MIB,
        "disk_bytes": size_of(disk, "disk", "g"), "description": description,
    }  # fmt: skip
    client.change("POST", "/flavors", body)


@flavor.command("delete", help=_("Offer a flavor no longer."))
@click.argument("ref")
@pass_client
def delete_flavor(client: Client, ref: str) -> None:
    """Delete a flavor."""
    client.change("DELETE", _flavor(ref))


def _flavor(reference: str) -> str:
    from urllib.parse import quote

    return "/flavors/" + quote(reference, safe="")
