"""Logical switches and the machines' ports on them."""

from __future__ import annotations

from typing import Any

from yun.base.messages import _
from yun.drivers.network.faults import missing
from yun.drivers.network.ovn import dhcp, dns, talk
from yun.drivers.network.ovn.groups import drop_group, drop_name
from yun.drivers.network.ovn.rows import Rows
from yun.drivers.network.port import NetworkSpec, PortSpec


def apply_network(rows: Rows, spec: NetworkSpec) -> None:
    """Switch, outside port, DHCP options and DNS records as in ``spec``."""
    domains = dns.domains_of(spec)
    before = rows.find("Logical_Switch", spec.id)
    renamed = before is not None and before.external_ids.get(dns.DOMAINS, "") != domains
    switch = rows.upsert(
        "Logical_Switch",
        "network",
        spec.id,
        ids={"yun_name": spec.name, dns.DOMAINS: domains},
        name=spec.id,
        other_config={"mcast_snoop": "false"},
    )
    _physical(rows, switch, spec)
    dhcp.apply(rows, switch, spec)
    dns.apply(rows, switch, spec)
    if renamed:
        dns.rename(rows, spec.id, domains)


def remove_network(rows: Rows, network_id: str) -> None:
    """Nothing of the network is left; the ports go with the switch that held them."""
    for table, kind in (("DHCP_Options", "subnet"), ("DNS", "name")):
        for row in rows.under(table, kind, network_id):
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


def apply_port(rows: Rows, spec: PortSpec) -> None:
    """The logical port as in ``spec``, on its switch, in its groups, with its name in the DNS."""
    switch = rows.find("Logical_Switch", spec.network_id)
    if switch is None:
        raise missing(_("network"), spec.network_id)
    joins = () if spec.passes_on else spec.groups
    groups = {g: rows.find("Port_Group", g) for g in joins}
    for name, group in groups.items():
        if group is None:
            raise missing(_("security group"), name)
    row = rows.find("Logical_Switch_Port", spec.id)
    if row is not None and (row.name != spec.uuid or row.external_ids.get("yun_network") != spec.network_id):
        remove_port(rows, spec.id)  # moved to another network: ports are not handed over, they are made anew
        row = None
    old = dict(row.external_ids) if row is not None else {}
    columns: dict[str, Any] = {
        "name": spec.uuid,
        "addresses": talk.receivers(spec),
        "port_security": talk.senders(spec),
        "enabled": [spec.enabled],
        "options": {"requested-chassis": spec.host} if spec.host else {},
        **dhcp.of_port(rows, spec),
    }
    ids = {
        "yun_network": spec.network_id,
        "yun_groups": " ".join(joins),
    }
    port = rows.upsert("Logical_Switch_Port", "port", spec.id, ids=ids, **columns)
    if row is None:
        rows.add(switch, "ports", port)
    _join(rows, port, old, spec)
    talk.limits(rows, switch, spec)
    dns.name(rows, switch, spec)


def _join(rows: Rows, port: Any, old: dict[str, str], spec: PortSpec) -> None:
    filtered = (spec.port_security or bool(spec.groups)) and not spec.passes_on
    joins = () if spec.passes_on else spec.groups
    wanted = [g for g in (rows.find("Port_Group", name) for name in joins) if g is not None]
    if filtered:
        wanted.append(drop_group(rows))
    dropping = drop_name(rows)
    for name in (*old.get("yun_groups", "").split(), dropping):
        if name in joins or (name == dropping and filtered):
            continue
        if old and (group := rows.find("Port_Group", name)):
            rows.drop(group, "ports", port)
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
        talk.unlimited(rows, switch, port_id)
        if named is not None:
            dns.drop(switch, named)
    for name in (*ours.get("yun_groups", "").split(), drop_name(rows)):
        if group := rows.find("Port_Group", name):
            group.delvalue("ports", row)
    row.delete()
