"""Commands of peerings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import _
from yun.network.cli.shared import given, quote
from yun.web.command import Group, option, output, pass_client

if TYPE_CHECKING:
    from yun.web.client import Client


@click.group("network-peering", cls=Group, help=_("Routers of two projects that reach each other by consent."))
def network_peering() -> None:
    """Peerings."""


@network_peering.command("list", help=_("List peerings: those asked for, and those one is asked for."))
@option("--state", help=_("Only those in this state: requested, active or trashed."))
@pass_client
def list_peerings(client: Client, state: str | None) -> None:
    """List peerings."""
    columns: list[Any] = [
        (_("NAME"), "name"), (_("STATE"), "state"), (_("OURS"), lambda r: ", ".join(r["own_ranges"])),
        (_("THEIRS"), lambda r: ", ".join(r["other_ranges"])), (_("OTHER PROJECT"), "other_project"),
        (_("ID"), "id"),
    ]  # fmt: skip
    output(client.items("/network-peerings", state=state), columns)


@network_peering.command("show", help=_("Show a peering."))
@click.argument("ref")
@pass_client
def show_peering(client: Client, ref: str) -> None:
    """Show a peering."""
    columns: list[Any] = [
        (_("Name"), "name"), (_("Description"), "description"), (_("State"), "state"),
        (_("Ours"), lambda r: ", ".join(r["own_ranges"])), (_("Theirs"), lambda r: ", ".join(r["other_ranges"])),
        (_("Other project"), "other_project"), (_("Asked by us"), "asker"), (_("Id"), "id"),
    ]  # fmt: skip
    output(client.get(f"/network-peerings/{quote(ref)}"), columns)


@network_peering.command("create", help=_("Ask another project for a peering."))
@click.argument("name")
@option("--router", "router_ref", required=True, help=_("The own router."))
@option("--range", "ranges", multiple=True, required=True,
        help=_("A subnet on it, or a range within one; may be repeated."))
@option("--with", "project", metavar="PROJECT", required=True, help=_("The other project's id."))
@option("--peer-range", "peer_ranges", multiple=True, required=True,
        help=_("A range of the other side; may be repeated."))
@option("--description", help=_("A line about it."))
@pass_client
def create_peering(
    client: Client, name: str, router_ref: str, ranges: tuple[str, ...], project: str, peer_ranges: tuple[str, ...],
    description: str | None,
) -> None:  # fmt: skip
    """Ask for a peering."""
    body = given(
        name=name, router=router_ref, ranges=list(ranges), project=project, peer_ranges=list(peer_ranges),
        description=description,
    )  # fmt: skip
    client.change("POST", "/network-peerings", body)


@network_peering.command("accept", help=_("Accept a peering that one is asked for."))
@click.argument("ref")
@option("--router", "router_ref", required=True, help=_("The own router behind which the ranges asked for are."))
@pass_client
def accept_peering(client: Client, ref: str, router_ref: str) -> None:
    """Accept a peering."""
    client.change("POST", f"/network-peerings/{quote(ref)}/accept", {"router": router_ref})


@network_peering.command("delete", help=_("End a peering, or take back or turn down a request."))
@click.argument("ref")
@pass_client
def delete_peering(client: Client, ref: str) -> None:
    """End a peering."""
    client.change("DELETE", f"/network-peerings/{quote(ref)}")
