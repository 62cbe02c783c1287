"""Logical switches with their DHCP options and DNS records, and the machines' ports on them."""

from __future__ import annotations

import ipaddress
from typing import Any

from yun.base.messages import _
from yun.drivers.network.faults import missing
from yun.drivers.network.ovn.groups import drop_group, drop_name
from yun.drivers.network.ovn.rows import Rows, mac_of
from yun.drivers.network.port import NetworkSpec, PortSpec, SubnetSpec


def apply_network(rows: Rows, spec: NetworkSpec) -> None:
    """Switch, outside port, DHCP options and DNS records as in ``spec``."""
    domain = next((s.domain for s in spec.subnets if s.domain), "")
    before = rows.find("Logical_Switch", spec.id)
    renamed = before is not None and before.external_ids.get("yun_domain", "") != domain
    switch = rows.upsert(
        "Logical_Switch",
        "network",
        spec.id,
        ids={"yun_name": spec.name, "yun_domain": domain},
        name=spec.id,
        other_config={"mcast_snoop": "false"},
    )
    _physical(rows, switch, spec)
    _dhcp(rows, spec)
    _dns(rows, switch, spec)
    if renamed:
        _rename(rows, spec.id, domain)


def remove_network(rows: Rows, network_id: str) -> None:
    """Nothing of the network is left; the ports go with the switch that held them."""
    for table, kind in (("DHCP_Options", "subnet"), ("DNS", "name")):
        for row in rows.all(table, kind):
            if row.external_ids.get("yun_network") == network_id:
                row.delete()
    for table in ("DNS", "Logical_Switch"):
        if row := rows.find(table, network_id):
            row.delete()


def _physical(rows: Rows, switch: Any, spec: NetworkSpec) -> None:
    identifier = f"{spec.id}-physical"
    have = rows.find("Logical_Switch_Port", identifier)
    if spec.physical is None:
        if have is not None:
            switch.delvalue("ports", have)
        return
    port = rows.upsert(
        "Logical_Switch_Port",
        "physical",
        identifier,
        name=identifier,
        type="localnet",
        addresses=["unknown"],
        options={"network_name": spec.physical},
        tag=[spec.vlan] if spec.vlan is not None else [],
    )
    if have is None:
        rows.add(switch, "ports", port)


def _dhcp(rows: Rows, spec: NetworkSpec) -> None:
    served = {s.id: s for s in spec.subnets if s.dhcp}
    for row in list(rows.all("DHCP_Options", "subnet")):
        ours = row.external_ids
        if ours.get("yun_network") == spec.id and ours["yun_id"] not in served:
            row.delete()
    for subnet in served.values():
        rows.upsert(
            "DHCP_Options",
            "subnet",
            subnet.id,
            ids={"yun_network": spec.id},
            cidr=subnet.cidr,
            options=dhcp_options(subnet),
        )


def dhcp_options(subnet: SubnetSpec) -> dict[str, str]:
    """OVN's options of a subnet's DHCP service."""
    net = ipaddress.ip_network(subnet.cidr)
    server = subnet.gateway or str(net[1])
    mac = mac_of(subnet.id)
    if net.version == 6:
        options = {"server_id": mac}
        if subnet.dns_servers:
            options["dns_server"] = "{" + ", ".join(subnet.dns_servers) + "}"
        return options
    options = {
        "server_id": server,
        "server_mac": mac,
        "lease_time": str(subnet.lease_seconds),
        "mtu": str(subnet.mtu),
    }
    if subnet.gateway:
        options["router"] = subnet.gateway
    resolvers = [s for s in subnet.dns_servers if ipaddress.ip_address(s).version == 4]
    if resolvers:
        options["dns_server"] = "{" + ", ".join(resolvers) + "}"
    if subnet.domain:
        options["domain_name"] = f'"{subnet.domain}"'
    return options


def _dns(rows: Rows, switch: Any, spec: NetworkSpec) -> None:
    """The network's own names. Each port's name is a row of its own, so that a port costs the same in a crowd."""
    before = rows.find("DNS", spec.id)
    if spec.dns_records:
        records = {name.lower(): address for name, address in spec.dns_records.items()}
        row = rows.upsert("DNS", "dns", spec.id, records=records)
        if before is None:
            rows.add(switch, "dns_records", row)
    elif before is not None:
        _drop_name(switch, before)


def _drop_name(switch: Any, row: Any) -> None:
    # ovsdb forgets to clear a weak reference when its holder is changed in the same transaction: do it ourselves.
    switch.delvalue("dns_records", row)
    row.delete()


def _rename(rows: Rows, network_id: str, domain: str) -> None:
    """The ports' names end in another domain."""
    for row in rows.all("DNS", "name"):
        ours = row.external_ids
        if ours.get("yun_network") == network_id:
            rows.put(row, records=_records(ours["yun_hostname"], domain, ours["yun_addresses"]))


def _records(hostname: str, domain: str, addresses: str) -> dict[str, str]:
    if not hostname or not addresses:
        return {}
    names = [hostname.lower()] + ([f"{hostname}.{domain}".lower()] if domain else [])
    return dict.fromkeys(names, addresses)


def apply_port(rows: Rows, spec: PortSpec) -> None:
    """The logical port as in ``spec``, on its switch, in its groups, with its name in the DNS."""
    switch = rows.find("Logical_Switch", spec.network_id)
    if switch is None:
        raise missing(_("network"), spec.network_id)
    groups = {g: rows.find("Port_Group", g) for g in spec.groups}
    for name, group in groups.items():
        if group is None:
            raise missing(_("security group"), name)
    row = rows.find("Logical_Switch_Port", spec.id)
    if row is not None and (row.name != spec.uuid or row.external_ids.get("yun_network") != spec.network_id):
        remove_port(rows, spec.id)  # moved to another network: ports are not handed over, they are made anew
        row = None
    old = dict(row.external_ids) if row is not None else {}
    addresses = " ".join(spec.addresses)
    pair = f"{spec.mac} {addresses}".strip()
    columns: dict[str, Any] = {
        "name": spec.uuid,
        "addresses": [pair],
        "port_security": [pair] if spec.port_security else [],
        "enabled": [spec.enabled],
        "options": {"requested-chassis": spec.host} if spec.host else {},
        **_dhcp_of(rows, spec),
    }
    ids = {
        "yun_network": spec.network_id,
        "yun_groups": " ".join(spec.groups),
    }
    port = rows.upsert("Logical_Switch_Port", "port", spec.id, ids=ids, **columns)
    if row is None:
        rows.add(switch, "ports", port)
    _join(rows, port, old, spec)
    _name(rows, switch, spec, addresses)


def _dhcp_of(rows: Rows, spec: PortSpec) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {"dhcpv4_options": [], "dhcpv6_options": []}
    for subnet_id in spec.subnet_ids:
        options = rows.find("DHCP_Options", subnet_id)
        if options is not None:
            found["dhcpv6_options" if ":" in options.cidr else "dhcpv4_options"] = [options]
    return found


def _join(rows: Rows, port: Any, old: dict[str, str], spec: PortSpec) -> None:
    filtered = spec.port_security or bool(spec.groups)
    wanted = [g for g in (rows.find("Port_Group", name) for name in spec.groups) if g is not None]
    if filtered:
        wanted.append(drop_group(rows))
    dropping = drop_name(rows)
    for name in (*old.get("yun_groups", "").split(), dropping):
        if name in spec.groups or (name == dropping and filtered):
            continue
        if old and (group := rows.find("Port_Group", name)):
            group.delvalue("ports", port)
    for group in wanted:
        rows.add(group, "ports", port)


def remove_port(rows: Rows, port_id: str) -> None:
    """The port leaves its switch (and so its groups: their references are weak) and the DNS."""
    row = rows.find("Logical_Switch_Port", port_id)
    if row is None:
        return
    ours = dict(row.external_ids)
    switch = rows.find("Logical_Switch", ours.get("yun_network", ""))
    named = rows.find("DNS", port_id)
    if switch is not None:
        switch.delvalue("ports", row)
        if named is not None:
            _drop_name(switch, named)
    for name in (*ours.get("yun_groups", "").split(), drop_name(rows)):
        if group := rows.find("Port_Group", name):
            group.delvalue("ports", row)
    row.delete()


def _name(rows: Rows, switch: Any, spec: PortSpec, addresses: str) -> None:
    """The DNS of the network knows the port by its host name, alone and in the network's domain."""
    before = rows.find("DNS", spec.id)
    records = _records(spec.hostname, switch.external_ids.get("yun_domain", ""), addresses)
    if not records:
        if before is not None:
            _drop_name(switch, before)
        return
    ids = {"yun_network": spec.network_id, "yun_hostname": spec.hostname, "yun_addresses": addresses}
    row = rows.upsert("DNS", "name", spec.id, ids=ids, records=records)
    if before is None:
        rows.add(switch, "dns_records", row)
