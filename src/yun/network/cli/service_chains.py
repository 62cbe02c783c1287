"""Commands of service chains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import _
from yun.network.cli.shared import given, quote
from yun.web.command import Group, option, output, pass_client, say

if TYPE_CHECKING:
    from yun.web.client import Client


@click.group("service-chain", cls=Group, help=_("Machines through which a subnet's traffic goes."))
def service_chain() -> None:
    """Service chains."""


def _through(row: dict[str, Any]) -> str:
    return " → ".join(f"{h['name']} ({say(_(h['state']))})" for h in row["hops"])


def _traffic(row: dict[str, Any]) -> str:
    if row["protocol"] == "any":
        return say(_("everything"))
    if row["port_min"] is None:
        return str(row["protocol"]).upper()
    last = f"-{row['port_max']}" if row["port_max"] != row["port_min"] else ""
    return f"{row['protocol'].upper()} {row['port_min']}{last}"


@service_chain.command("list", help=_("List service chains."))
@option("--state", help=_("Only those in this state: active or trashed."))
@option("--query", "-q", "q", help=_("Only those that match, such as failure:bypass."))
@pass_client
def list_chains(client: Client, state: str | None, q: str | None) -> None:
    """List service chains."""
    columns: list[Any] = [
        (_("NAME"), "name"), (_("STATUS"), lambda r: say(_(r["status"] or r["state"]))), (_("SUBNET"), "cidr"),
        (_("THROUGH"), _through), (_("TRAFFIC"), _traffic), (_("ON FAILURE"), lambda r: say(_(r["on_failure"]))),
        (_("ID"), "id"),
    ]  # fmt: skip
    output(client.items("/service-chains", state=state, q=q), columns)


@service_chain.command("show", help=_("Show a service chain and how its hops are."))
@click.argument("ref")
@pass_client
def show_chain(client: Client, ref: str) -> None:
    """Show a service chain."""
    columns: list[Any] = [
        (_("Name"), "name"), (_("Description"), "description"), (_("State"), lambda r: say(_(r["state"]))),
        (_("Status"), lambda r: say(_(r["status"])) if r["status"] else ""), (_("Router"), "router"),
        (_("Subnet"), lambda r: f"{r['subnet']} ({r['cidr']})"), (_("Traffic"), _traffic),
        (_("On failure"), lambda r: say(_(r["on_failure"]))), (_("Hops"), _listed), (_("Id"), "id"),
    ]  # fmt: skip
    output(client.get(f"/service-chains/{quote(ref)}"), columns)


def _listed(row: dict[str, Any]) -> str:
    return "\n".join(
        f"{h['name']}: {h['inner_address'] or h['inner_port_id']}"
        f"{' / ' + h['outer_address'] if h['outer_port_id'] != h['inner_port_id'] else ''} ({say(_(h['state']))})"
        for h in row["hops"]
    )


def _hops(values: tuple[str, ...]) -> list[dict[str, str]]:
    """``INNER`` or ``INNER,OUTER`` as hops."""
    found = []
    for value in values:
        inner, _comma, outer = value.partition(",")
        found.append(given(inner=inner.strip(), outer=outer.strip() or None))
    return found


@service_chain.command("create", help=_("Send a subnet's traffic through machines."))
@click.argument("name")
@option("--subnet", required=True, help=_("The subnet whose traffic goes through them."))
@option("--hop", "hops", multiple=True, required=True, metavar="INNER[,OUTER]",
        help=_("A machine by its inner and outer port (address, MAC, name or id); repeat for more, the one beside the "
               "subnet first."))
@option("--router", "router_ref", help=_("The router; the subnet's gateway if left out."))
@option("--protocol", type=click.Choice(["any", "tcp", "udp"]), help=_("Only this protocol."))
@option("--port", "port_min", type=int, help=_("Only connections to this port, whoever begins them."))
@option("--port-max", type=int, help=_("The last port of a range."))
@option("--on-failure", type=click.Choice(["block", "bypass"]),
        help=_("While a machine does not run: let nothing through, or go on without it."))
@option("--description", help=_("A line about it."))
@pass_client
def create_chain(
    client: Client, name: str, subnet: str, hops: tuple[str, ...], router_ref: str | None, protocol: str | None,
    port_min: int | None, port_max: int | None, on_failure: str | None, description: str | None,
) -> None:  # fmt: skip
    """Create a service chain."""
    body = given(
        name=name, subnet=subnet, hops=_hops(hops), router=router_ref, protocol=protocol, port_min=port_min,
        port_max=port_max, on_failure=on_failure, description=description,
    )  # fmt: skip
    client.change("POST", "/service-chains", body)


@service_chain.command("update", help=_("Change a service chain."))
@click.argument("ref")
@option("--name", help=_("Another name."))
@option("--hop", "hops", multiple=True, metavar="INNER[,OUTER]", help=_("The hops that it has instead."))
@option("--protocol", type=click.Choice(["any", "tcp", "udp"]), help=_("Only this protocol."))
@option("--port", "port_min", type=int, help=_("Only connections to this port, whoever begins them."))
@option("--port-max", type=int, help=_("The last port of a range."))
@option("--on-failure", type=click.Choice(["block", "bypass"]),
        help=_("While a machine does not run: let nothing through, or go on without it."))
@option("--description", help=_("A line about it."))
@pass_client
def update_chain(client: Client, ref: str, hops: tuple[str, ...], **changes: Any) -> None:
    """Change a service chain."""
    body = given(**changes, hops=_hops(hops) or None)
    client.change("PATCH", f"/service-chains/{quote(ref)}", body)


@service_chain.command("delete", help=_("Delete a service chain: traffic takes the direct way again."))
@click.argument("ref")
@pass_client
def delete_chain(client: Client, ref: str) -> None:
    """Delete a service chain."""
    client.change("DELETE", f"/service-chains/{quote(ref)}")
