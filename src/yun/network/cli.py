"""Commands of the networks: network, subnet, router, port, security-group, floating-ip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from yun.base.messages import _
from yun.web.command import Group, failure, option, output, pass_client, searching

if TYPE_CHECKING:
    from yun.web.client import Client


def _quote(reference: str) -> str:
    from urllib.parse import quote

    return quote(reference, safe="")


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None and value != ()}


def _ranges(row: Any) -> str:
    return ", ".join(s["cidr"] for s in row["subnets"]) or "–"


# ── networks ──


@click.group("network", cls=Group, help=_("Networks."))
def network() -> None:
    """Networks."""


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
        (_("MTU"), "mtu"), (_("State"), "state"), (_("Created"), "created_at"), (_("Id"), "id"),
    ]  # fmt: skip
    output(client.get(f"/networks/{_quote(ref)}"), columns)


@network.command("create", help=_("Create a network, with its first subnet if a range is given."))
@click.argument("name")
@option("--cidr", metavar="RANGE", help=_("Range of its first subnet, such as 10.1.0.0/24."))
@option("--gateway", help=_("Its gateway: an address, auto (the first one) or none."))
@option("--dns", "dns", multiple=True, help=_("A name server for guests; may be repeated."))
@option("--domain", help=_("DNS domain of its guests."))
@option("--no-dhcp", is_flag=True, help=_("Guests find their addresses by themselves."))
@option("--no-router", is_flag=True, help=_("Do not connect it to the outside."))
@option("--mtu", type=int, help=_("Largest packet, bytes."))
@option("--description", help=_("A line about it."))
@pass_client
def create_network(
    client: Client, name: str, cidr: str | None, gateway: str | None, dns: tuple[str, ...], domain: str | None,
    no_dhcp: bool, no_router: bool, mtu: int | None, description: str | None,
) -> None:  # fmt: skip
    """Create a network."""
    body = _given(name=name, mtu=mtu, description=description)
    if cidr:
        body["subnet"] = _subnet(cidr, gateway, dns, domain, no_dhcp=no_dhcp, no_router=no_router)
    client.change("POST", "/networks", body)


def _subnet(
    cidr: str, gateway: str | None, dns: tuple[str, ...], domain: str | None, *, no_dhcp: bool, no_router: bool
) -> dict[str, Any]:
    body = _given(cidr=cidr, dns_servers=list(dns) or None, domain=domain)
    body |= {"dhcp": not no_dhcp, "routed": not no_router}
    if gateway is not None:
        body["gateway"] = None if gateway == "none" else gateway
    return body


@network.command("tag", help=_("Give a network exactly these tags; none takes all away."))
@click.argument("ref")
@click.argument("tags", nargs=-1)
@pass_client
def tag_network(client: Client, ref: str, tags: tuple[str, ...]) -> None:
    """Tag."""
    client.change("POST", f"/networks/{_quote(ref)}/tag", {"tags": list(tags)})


@network.command("delete", help=_("Delete a network with its subnets."))
@click.argument("ref")
@pass_client
def delete_network(client: Client, ref: str) -> None:
    """Delete a network."""
    client.change("DELETE", f"/networks/{_quote(ref)}")


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


# ── subnets, routers, ports ──


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
    output(client.get(f"/subnets/{_quote(ref)}"), columns)


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
    body = _subnet(cidr, gateway, dns, domain, no_dhcp=no_dhcp, no_router=no_router)
    body |= _given(network=network_ref, name=name)
    if pool:
        first, _dash, last = pool.partition("-")
        body |= _given(pool_start=first.strip() or None, pool_end=last.strip() or None)
    client.change("POST", "/subnets", body)


@subnet.command("delete", help=_("Delete a subnet."))
@click.argument("ref")
@pass_client
def delete_subnet(client: Client, ref: str) -> None:
    """Delete a subnet."""
    client.change("DELETE", f"/subnets/{_quote(ref)}")


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
        (_("Name"), "name"), (_("Outside address"), "external_address"), (_("Source NAT"), "snat"),
        (_("Inside"), lambda r: ", ".join(i["address"] for i in r["interfaces"] if not i["external"])),
        (_("Host"), "host_id"), (_("State"), "state"), (_("Id"), "id"),
    ]  # fmt: skip
    output(client.get(f"/routers/{_quote(ref)}"), columns)


@click.group("port", cls=Group, help=_("Ports of instances in networks."))
def port() -> None:
    """Ports."""


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
        (_("ADDRESS"), "address"), (_("FLOATING IP"), "floating_address"), (_("MAC"), "mac"),
        (_("HOST NAME"), "hostname"), (_("STATE"), "state"), (_("ID"), "id"),
    ]  # fmt: skip
    output(client.items("/ports", network=inside, instance_id=instance_id, state=state, q=q), columns)


@port.command("show", help=_("Show a port."))
@click.argument("ref")
@pass_client
def show_port(client: Client, ref: str) -> None:
    """Show a port."""
    columns: list[Any] = [
        (_("Address"), "address"), (_("Floating IP"), "floating_address"), (_("MAC"), "mac"),
        (_("Host name"), "hostname"), (_("Instance"), "instance_id"), (_("Network"), "network_id"),
        (_("Security groups"), lambda r: ", ".join(g["name"] for g in r["security_groups"])),
        (_("State"), "state"), (_("Interface id"), "uuid"), (_("Id"), "id"),
    ]  # fmt: skip
    output(client.get(f"/ports/{_quote(ref)}"), columns)


# ── security groups ──


@click.group("security-group", cls=Group, help=_("Security groups: who may reach an instance."))
def security_group() -> None:
    """Security groups."""


@security_group.command("list", help=_("List security groups."))
@searching("port:22 text")
@pass_client
def list_groups(client: Client, q: str | None) -> None:
    """List security groups."""
    columns: list[Any] = [
        (_("NAME"), "name"), (_("RULES"), lambda r: len(r["rules"])), (_("DESCRIPTION"), "description"),
        (_("ID"), "id"),
    ]  # fmt: skip
    output(client.items("/security-groups", q=q), columns)


@security_group.command("show", help=_("Show a security group and its rules."))
@click.argument("ref")
@pass_client
def show_group(client: Client, ref: str) -> None:
    """Show a security group."""
    found = client.get(f"/security-groups/{_quote(ref)}")
    columns: list[Any] = [(_("Name"), "name"), (_("Description"), "description"), (_("Id"), "id")]
    for index, rule in enumerate(found["rules"]):
        columns.append((rule["id"], lambda r, i=index: f"{r['rules'][i]['text']} ({r['rules'][i]['family']})"))
    output(found, columns)


@security_group.command("create", help=_("Create a security group."))
@click.argument("name")
@option("--description", help=_("A line about it."))
@pass_client
def create_group(client: Client, name: str, description: str | None) -> None:
    """Create a security group."""
    client.change("POST", "/security-groups", _given(name=name, description=description))


@security_group.command("delete", help=_("Delete a security group."))
@click.argument("ref")
@pass_client
def delete_group(client: Client, ref: str) -> None:
    """Delete a security group."""
    client.change("DELETE", f"/security-groups/{_quote(ref)}")


@security_group.command("add-rule", help=_("Allow one more thing."))
@click.argument("ref")
@option("--protocol", help=_("any, tcp, udp or icmp."), default="tcp", show_default=True)
@option("--port", "ports", metavar="PORT[-PORT]", help=_("A port or a range of ports."))
@option("--from", "source", metavar="WHO", help=_("Incoming, from a range, an address or a security group."))
@option("--to", "target", metavar="WHO", help=_("Outgoing, to a range, an address or a security group."))
@option("--egress", is_flag=True, help=_("Outgoing, to anybody."))
@option("--ipv6", is_flag=True, help=_("For IPv6."))
@option("--description", help=_("A line about it."))
@pass_client
def add_rule(
    client: Client, ref: str, protocol: str, ports: str | None, source: str | None, target: str | None, egress: bool,
    ipv6: bool, description: str | None,
) -> None:  # fmt: skip
    """Add a rule."""
    body = _given(protocol=protocol, remote=source or target, description=description)
    body |= {"direction": "egress" if target or egress else "ingress", "family": "ipv6" if ipv6 else "ipv4"}
    body |= _ports(ports)
    client.change("POST", f"/security-groups/{_quote(ref)}/rules", body)


def _ports(text: str | None) -> dict[str, int]:
    if not text:
        return {}
    first, dash, last = text.partition("-")
    try:
        return {"port_min": int(first)} | ({"port_max": int(last)} if dash else {})
    except ValueError as error:
        message = _("{value} is not a port or a range of ports.", value=text[:40])
        raise failure(message, "invalid", _("a number such as 80, or a range such as 8000-8080")) from error


@security_group.command("remove-rule", help=_("Allow one thing less."))
@click.argument("ref")
@click.argument("rule")
@pass_client
def remove_rule(client: Client, ref: str, rule: str) -> None:
    """Remove a rule."""
    client.change("DELETE", f"/security-groups/{_quote(ref)}/rules/{_quote(rule)}")


# ── floating IPs ──


@click.group("floating-ip", cls=Group, help=_("Addresses that are reachable from outside."))
def floating_ip() -> None:
    """Floating IPs."""


@floating_ip.command("list", help=_("List floating IPs."))
@searching("used:no text")
@pass_client
def list_floating_ips(client: Client, q: str | None) -> None:
    """List floating IPs."""
    columns: list[Any] = [
        (_("ADDRESS"), "address"), (_("LEADS TO"), "port_address"), (_("HOST NAME"), "hostname"), (_("ID"), "id"),
    ]  # fmt: skip
    output(client.items("/floating-ips", q=q), columns)


@floating_ip.command("show", help=_("Show a floating IP."))
@click.argument("ref")
@pass_client
def show_floating_ip(client: Client, ref: str) -> None:
    """Show a floating IP."""
    columns: list[Any] = [
        (_("Address"), "address"), (_("Leads to"), "port_address"), (_("Host name"), "hostname"),
        (_("Instance"), "instance_id"), (_("State"), "state"), (_("Id"), "id"),
    ]  # fmt: skip
    output(client.get(f"/floating-ips/{_quote(ref)}"), columns)


@floating_ip.command("allocate", help=_("Take an outside address for the project."))
@option("--address", help=_("This one; the lowest free one where left out."))
@pass_client
def allocate(client: Client, address: str | None) -> None:
    """Allocate a floating IP."""
    client.change("POST", "/floating-ips", _given(address=address))


@floating_ip.command("associate", help=_("Lead a floating IP to a port (its address, MAC, host name or id)."))
@click.argument("ref")
@click.argument("port_ref", metavar="PORT")
@pass_client
def associate(client: Client, ref: str, port_ref: str) -> None:
    """Associate a floating IP."""
    client.change("POST", f"/floating-ips/{_quote(ref)}/associate", {"port": port_ref})


@floating_ip.command("disassociate", help=_("Let a floating IP lead nowhere."))
@click.argument("ref")
@pass_client
def disassociate(client: Client, ref: str) -> None:
    """Disassociate a floating IP."""
    client.change("POST", f"/floating-ips/{_quote(ref)}/disassociate")


@floating_ip.command("release", help=_("Give a floating IP back."))
@click.argument("ref")
@pass_client
def release(client: Client, ref: str) -> None:
    """Release a floating IP."""
    client.change("DELETE", f"/floating-ips/{_quote(ref)}")


commands = [network, subnet, router, port, security_group, floating_ip]
