"""Names that OVN answers inside a network: of its ports, forward and reverse, and records of its own.

Each port's names are a row of their own, so that a port costs the same in a crowd.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from yun.drivers.network.ovn.rows import Rows
from yun.drivers.network.port import NetworkSpec, PortSpec

DOMAINS = "yun_domains"
NONE = "."  # told apart from a switch of a time when names had no reverse


def domains_of(spec: NetworkSpec) -> str:
    """The domains in which the network's ports have names, as the switch keeps them: its own first."""
    listed = (spec.domain, *(s.domain for s in spec.subnets))
    return " ".join(dict.fromkeys(d.lower() for d in listed if d)) or NONE


def apply(rows: Rows, switch: Any, spec: NetworkSpec) -> None:
    """The network's own records are as in ``spec``."""
    before = rows.find("DNS", spec.id)
    if spec.dns_records:
        records = {name.lower(): address for name, address in spec.dns_records.items()}
        row = rows.upsert("DNS", "dns", spec.id, records=records)
        if before is None:
            rows.add(switch, "dns_records", row)
    elif before is not None:
        drop(switch, before)


def drop(switch: Any, row: Any) -> None:
    """The switch answers this row's names no more."""
    # ovsdb forgets to clear a weak reference when its holder is changed in the same transaction: do it ourselves.
    switch.delvalue("dns_records", row)
    row.delete()


def rename(rows: Rows, network_id: str, domains: str) -> None:
    """The ports' names end in other domains."""
    for row in rows.under("DNS", "name", network_id):
        ours = row.external_ids
        rows.put(row, records=records_of(ours["yun_hostname"], domains, ours["yun_addresses"]))


def records_of(hostname: str, domains: str, addresses: str) -> dict[str, str]:
    """Name → addresses, alone and in each domain; reverse name of each address → the name in the first domain."""
    if not hostname or not addresses:
        return {}
    host = hostname.lower()
    full = [f"{host}.{d}" for d in domains.split() if d != NONE]
    backward = {ipaddress.ip_address(a).reverse_pointer: (full or [host])[0] for a in addresses.split()}
    return {**dict.fromkeys([host, *full], addresses), **backward}


def name(rows: Rows, switch: Any, spec: PortSpec) -> None:
    """The DNS of the network knows the port by its host name."""
    addresses = " ".join(spec.addresses)
    before = rows.find("DNS", spec.id)
    records = records_of(spec.hostname, switch.external_ids.get(DOMAINS, NONE), addresses)
    if not records:
        if before is not None:
            drop(switch, before)
        return
    ids = {"yun_network": spec.network_id, "yun_hostname": spec.hostname, "yun_addresses": addresses}
    row = rows.upsert("DNS", "name", spec.id, ids=ids, records=records)
    if before is None:
        rows.add(switch, "dns_records", row)
