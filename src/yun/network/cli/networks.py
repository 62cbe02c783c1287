"""Commands of networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import _
from yun.network.cli.shared import ALLOW, given, quote, subnet_body, told
from yun.web.command import Group, option, output, pass_client, searching

if TYPE_CHECKING:
    from yun.web.client import Client


@click.group("network", cls=Group, help=_("Networks."))
def network() -> None:
    """Networks."""


def _ranges(row: Any) -> str:
    return ", ".join(s["cidr"] for s in row["subnets"]) or "–"


@network.command("list", help=_("List networks."))
@option("--state", help=_("Only those in this state: active or trashed."))
@searching("external:no range:10.1. text")
@pass_client
def list_networks(client: Client, state: str | None, q: str | None) -> None:
    """List networks."""
    columns: list[Any] = [
        (_("NAME"), "name"), (_("RANGES"), _ranges), (_("EXTERNAL"), "external"), (_("STATE"), "state"),
        (_("TAGS"), "tags"), (_("ID"), "id"),
    ]  # fmt: skip
    output(client.items("/networks", state=state, q=q), columns)


@network.command("show", help=_("Show a network."))
@click.argument("ref")
@pass_client
def show_network(client: Client, ref: str) -> None:
    """Show a network."""
    columns: list[Any] = [
        (_("Name"), "name"), (_("Description"), "description"), (_("Tags"), "tags"), (_("Ranges"), _ranges),
        (_("External"), "external"),
        (_("MTU"), "mtu"), (_("Domain"), "domain"), (_("State"), "state"),
        (_("Physical network"), "physical"), (_("VLAN"), "vlan"),
        (_("Shared with"), lambda r: ", ".join(r["shared_with"])),
        (_("Created"), "created_at"), (_("Id"), "id"),
    ]  # fmt: skip
    output(client.get(f"/networks/{quote(ref)}"), columns)


@network.command("create", help=_("Create a network, with its first subnet if a range is given."))
@click.argument("name")
@option("--cidr", metavar="RANGE", help=_("Range of its first subnet, such as 10.1.0.0/24."))
@option("--gateway", help=_("Its gateway: an address, auto (the first one) or none."))
@option("--dns", "dns", multiple=True, help=_("A name server for guests; may be repeated."))
@option("--domain", help=_("Where its machines have names; the project's under internal where left out."))
@option("--no-dhcp", is_flag=True, help=_("Guests find their addresses by themselves."))
@option("--no-router", is_flag=True, help=_("Do not connect it to the outside."))
@option("--mtu", type=int, help=_("Largest packet, bytes."))
@option("--description", help=_("A line about it."))
@option("--physical", metavar="NAME", help=_("Put it on a physical network."))
@option("--vlan", type=int, help=_("Its VLAN tag there."))
@option("--security-group", "group", metavar="NAME", help=_("Make a security group with it, all of it or nothing."))
@ALLOW
@option("--external", is_flag=True, default=None, help=_("For routers and floating IPs of all projects alone."))
@pass_client
def create_network(
    client: Client, name: str, cidr: str | None, gateway: str | None, dns: tuple[str, ...], domain: str | None,
    no_dhcp: bool, no_router: bool, mtu: int | None, description: str | None, physical: str | None, vlan: int | None,
    external: bool | None, group: str | None, allow: tuple[str, ...],
) -> None:  # fmt: skip
    """Create a network."""
    body = given(name=name, mtu=mtu, description=description, domain=domain)
    body |= given(physical=physical, vlan=vlan, external=external)
    if cidr:
        said = told(dns, (), (), None, None)
        body["subnet"] = subnet_body(cidr, gateway, said, no_dhcp=no_dhcp, no_router=no_router)
    if group is not None or allow:
        body["security_group"] = given(name=group, allow=allow)
    client.change("POST", "/networks", body)


@network.command("tag", help=_("Give a network exactly these tags; none takes all away."))
@click.argument("ref")
@click.argument("tags", nargs=-1)
@pass_client
def tag_network(client: Client, ref: str, tags: tuple[str, ...]) -> None:
    """Tag."""
    client.change("POST", f"/networks/{quote(ref)}/tag", {"tags": list(tags)})


@network.command("update", help=_("Change name, description, MTU or domain of a network."))
@click.argument("ref")
@option("--name", help=_("Another name."))
@option("--description", help=_("A line about it."))
@option("--mtu", type=int, help=_("Largest packet, bytes."))
@option("--domain", help=_("Where its machines have names."))
@pass_client
def update_network(
    client: Client, ref: str, name: str | None, description: str | None, mtu: int | None, domain: str | None
) -> None:
    """Change."""
    client.change("PATCH", f"/networks/{quote(ref)}", given(name=name, description=description, mtu=mtu, domain=domain))


@network.command("share", help=_("Let another project put its machines on a network; * means all."))
@click.argument("ref")
@click.argument("project")
@pass_client
def share_network(client: Client, ref: str, project: str) -> None:
    """Share."""
    client.change("POST", f"/networks/{quote(ref)}/share", {"project": project})


@network.command("unshare", help=_("Share a network with a project no more; * means all."))
@click.argument("ref")
@click.argument("project")
@pass_client
def unshare_network(client: Client, ref: str, project: str) -> None:
    """Share no more."""
    client.change("POST", f"/networks/{quote(ref)}/unshare", {"project": project})


@network.command("delete", help=_("Delete a network with its subnets."))
@click.argument("ref")
@pass_client
def delete_network(client: Client, ref: str) -> None:
    """Delete a network."""
    client.change("DELETE", f"/networks/{quote(ref)}")


@network.command("ensure-default", help=_("Set up the external network and each project's default things."))
@pass_client
def ensure_default(client: Client) -> None:
    """Set up the default networks."""
    client.change("POST", "/networks/ensure-default")


@network.command("reconcile", help=_("Compare the networks with the engine, and mend what differs."))
@pass_client
def reconcile(client: Client) -> None:
    """Compare and mend."""
    client.change("POST", "/networks/reconcile")
