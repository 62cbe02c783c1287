"""Commands of ports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import _
from yun.network.cli.shared import all_or_none, given, quote, reached
from yun.web.command import WAS, Group, option, output, pass_client, searching, seen

if TYPE_CHECKING:
    from yun.web.client import Client


@click.group("port", cls=Group, help=_("Ports in networks: the cards of instances, and those that wait for one."))
def port() -> None:
    """Ports."""


def _addresses(row: Any) -> str:
    return ", ".join(a["address"] for a in row["addresses"])


def wishing(command: Any) -> Any:
    """Adds what a port may be given or have changed."""
    for add in (
        option("--dscp", type=int, help=_("Mark of what the machine sends, 1 to 63; 0: none.")),
        option("--egress-burst", type=int, metavar="KBIT", help=_("What may pass at once beyond it; 0: chosen.")),
        option("--egress", type=int, metavar="KBPS", help=_("Limit from the machine, kbit/s; 0: none.")),
        option("--ingress-burst", type=int, metavar="KBIT", help=_("What may pass at once beyond it; 0: chosen.")),
        option("--ingress", type=int, metavar="KBPS", help=_("Limit to the machine, kbit/s; 0: none.")),
        option("--pair", "pairs", multiple=True, metavar="[MAC,]RANGE",
               help=_("A further sender that may speak through it; may be repeated; none takes all away.")),
        option("--port-security/--no-port-security", "port_security", default=None,
               help=_("Whether only its own addresses and MAC may speak through it.")),
        option("--mac", help=_("A certain MAC address.")),
        option("--security-group", "groups", multiple=True,
               help=_("Security group; may be repeated; none takes all away.")),
        option("--name", help=_("What it is called.")),
    ):  # fmt: skip
        command = add(command)
    return command


def _pair(text: str) -> dict[str, str]:
    mac, comma, cidr = text.rpartition(",")
    return {"mac": mac.strip(), "cidr": cidr.strip()} if comma else {"cidr": cidr.strip()}


def _wishes(groups: tuple[str, ...], pairs: tuple[str, ...], values: dict[str, Any]) -> dict[str, Any]:
    listed = all_or_none(pairs)
    return given(
        name=values["name"], mac=values["mac"], port_security=values["port_security"], dscp=values["dscp"],
        ingress_kbps=values["ingress"], ingress_burst_kbit=values["ingress_burst"],
        egress_kbps=values["egress"], egress_burst_kbit=values["egress_burst"],
        security_groups=all_or_none(groups), allowed_pairs=None if listed is None else [_pair(p) for p in listed],
    )  # fmt: skip


@port.command("list", help=_("List ports."))
@option("--network", "inside", help=_("Only those in this network."))
@option("--instance", "instance_id", metavar="ID", help=_("Only those of this instance."))
@option("--state", help=_("Only those in this state: down, up or trashed."))
@searching("address:10.1. group:web text")
@pass_client
def list_ports(
    client: Client, inside: str | None, instance_id: str | None, state: str | None, q: str | None
) -> None:
    """List ports."""
    columns: list[Any] = [
        (_("ADDRESS"), _addresses), (_("NAME"), lambda r: r["name"] or "–"),
        (_("FLOATING IP"), "floating_address"), (_("MAC"), "mac"),
        (_("HOST NAME"), "hostname"), (_("STATE"), "state"), (_("ID"), "id"),
    ]  # fmt: skip
    output(client.items("/ports", network=inside, instance_id=instance_id, state=state, q=q), columns)


@port.command("show", help=_("Show a port."))
@click.argument("ref")
@pass_client
def show_port(client: Client, ref: str) -> None:
    """Show a port."""
    columns: list[Any] = [
        (_("Name"), lambda r: r["name"] or "–"), (_("Addresses"), _addresses),
        (_("Floating IP"), "floating_address"), (_("MAC"), "mac"),
        (_("Host name"), "hostname"), (_("Instance"), "instance_id"), (_("Network"), "network_id"),
        (_("Security groups"), lambda r: ", ".join(g["name"] for g in r["security_groups"])),
        (_("Gets in"), lambda r: reached(r, "in")), (_("Gets out"), lambda r: reached(r, "out")),
        (_("Outside"), lambda r: reached(r, "outside")),
        (_("Port security"), "port_security"), (_("Further senders"), lambda r: _senders(r["allowed_pairs"])),
        (_("Limit inwards, kbit/s"), "ingress_kbps"), (_("Limit outwards, kbit/s"), "egress_kbps"),
        ("DSCP", "dscp"), (_("State"), "state"), (_("Interface id"), "uuid"), (_("Id"), "id"),
    ]  # fmt: skip
    output(client.get(f"/ports/{quote(ref)}"), columns)


def _senders(pairs: list[dict[str, Any]]) -> str:
    return " ".join(f"{p['mac']},{p['cidr']}" if p["mac"] else str(p["cidr"]) for p in pairs) or "–"


@port.command("create", help=_("Make a port that is in no instance yet: its addresses and MAC are kept for it."))
@option("--network", help=_("The network it is in; the project's default one where left out."))
@option("--address", "addresses", multiple=True, help=_("A certain address; may be repeated, DHCP gives the first."))
@option("--hostname", help=_("Its name in the network's DNS."))
@option("--count", type=int, help=_("So many alike; {n} in name and host name is the number, {n:02d} with zeros."))
@wishing
@pass_client
def create_port(
    client: Client, network: str | None, addresses: tuple[str, ...], hostname: str | None, count: int | None,
    groups: tuple[str, ...], pairs: tuple[str, ...], **values: Any,
) -> None:  # fmt: skip
    """Make one, or many."""
    body = given(network=network, addresses=list(addresses) or None, hostname=hostname, count=count)
    client.change("POST", "/ports", {**body, **_wishes(groups, pairs, values)})


@port.command("update", help=_("Change a port; MAC and first address only while it is in no instance."))
@click.argument("ref")
@option("--address", help=_("Another first address."))
@wishing
@WAS
@pass_client
def update_port(
    client: Client, ref: str, address: str | None, groups: tuple[str, ...], pairs: tuple[str, ...],
    was: tuple[str, ...], **values: Any,
) -> None:  # fmt: skip
    """Change one."""
    body = given(address=address) | _wishes(groups, pairs, values)
    client.change("PATCH", f"/ports/{quote(ref)}", {**body, **seen(was, body)})


@port.command("delete", help=_("Put a port into the trash; not one that is in an instance."))
@click.argument("ref")
@pass_client
def delete_port(client: Client, ref: str) -> None:
    """Delete one."""
    client.change("DELETE", f"/ports/{quote(ref)}")


@port.command("add-address", help=_("Give a port one address more, of any subnet of its network."))
@click.argument("ref")
@click.argument("address", required=False)
@option("--subnet", help=_("The subnet to take the lowest free one of."))
@pass_client
def add_address(client: Client, ref: str, address: str | None, subnet: str | None) -> None:
    """One more."""
    client.change("POST", f"/ports/{quote(ref)}/add-address", given(address=address, subnet=subnet))


@port.command("remove-address", help=_("Take an address from a port; not its first."))
@click.argument("ref")
@click.argument("address")
@pass_client
def remove_address(client: Client, ref: str, address: str) -> None:
    """One less."""
    client.change("POST", f"/ports/{quote(ref)}/remove-address", {"address": address})
