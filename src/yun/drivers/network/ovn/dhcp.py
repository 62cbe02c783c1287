"""What OVN's DHCP service tells the guests of a subnet."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from yun.drivers.network.ovn.rows import Rows, mac_of
from yun.drivers.network.port import NetworkSpec, PortSpec, SubnetSpec


def apply(rows: Rows, switch: Any, spec: NetworkSpec) -> None:
    """The options of the network's subnets are as in ``spec``; those of lost subnets are gone."""
    served = {s.id: s for s in spec.subnets if s.dhcp and s.ipv6_mode != "slaac"}
    for row in rows.under("DHCP_Options", "subnet", spec.id):
        if row.external_ids["yun_id"] not in served:
            row.delete()
    for subnet in served.values():
        before = rows.find("DHCP_Options", subnet.id)
        row = rows.upsert(
            "DHCP_Options",
            "subnet",
            subnet.id,
            ids={"yun_network": spec.id},
            cidr=subnet.cidr,
            options=dhcp_options(subnet),
        )
        if before is None:
            _serve(switch, row, subnet.cidr)


def _serve(switch: Any, options: Any, cidr: str) -> None:
    """The ports that were there before the options get them."""
    net = ipaddress.ip_network(cidr)
    column = f"dhcpv{net.version}_options"
    for port in getattr(switch, "ports", []):
        if port.external_ids.get("yun_kind") != "port" or getattr(port, column):
            continue
        listed = (word for text in port.addresses for word in text.split()[1:])
        if any(ipaddress.ip_address(a) in net for a in listed):
            setattr(port, column, [options])


def dhcp_options(subnet: SubnetSpec) -> dict[str, str]:
    """OVN's options of a subnet's DHCP service."""
    net = ipaddress.ip_network(subnet.cidr)
    listed = [s for s in subnet.dns_servers if ipaddress.ip_address(s).version == net.version]
    if net.version == 6:
        return _options_v6(subnet, listed)
    options = {
        "server_id": subnet.gateway or str(net[1]),
        "server_mac": mac_of(subnet.id),
        "lease_time": str(subnet.lease_seconds),
        "mtu": str(subnet.mtu),
    }
    if subnet.gateway:
        options["router"] = subnet.gateway
    if listed:
        options["dns_server"] = _set(listed)
    if subnet.domain:
        options["domain_name"] = f'"{subnet.domain}"'
    if subnet.ntp_servers:
        options["ntp_server"] = _set(subnet.ntp_servers)
    if subnet.routes:
        # Who gets such routes looks for his default route among them, and nowhere else.
        way_out = [("0.0.0.0/0", subnet.gateway)] if subnet.gateway else []
        pairs = (f"{prefix},{hop}" for prefix, hop in (*subnet.routes, *way_out))
        options["classless_static_route"] = _set(pairs)
    return options


def _options_v6(subnet: SubnetSpec, resolvers: Iterable[str]) -> dict[str, str]:
    options = {"server_id": mac_of(subnet.id)}
    if subnet.ipv6_mode == "dhcpv6-stateless":
        options["dhcpv6_stateless"] = "true"
    if resolvers:
        options["dns_server"] = _set(resolvers)
    if subnet.domain:
        options["domain_search"] = f'"{subnet.domain}"'
    return options


def _set(values: Iterable[str]) -> str:
    return "{" + ", ".join(values) + "}"


def of_port(rows: Rows, spec: PortSpec) -> dict[str, list[Any]]:
    """The columns of a port that say which options it gets: for each family those of its first subnet."""
    found: dict[str, list[Any]] = {"dhcpv4_options": [], "dhcpv6_options": []}
    for subnet_id in reversed(spec.subnet_ids):
        options = rows.find("DHCP_Options", subnet_id)
        if options is not None:
            found["dhcpv6_options" if ":" in options.cidr else "dhcpv4_options"] = [options]
    return found
