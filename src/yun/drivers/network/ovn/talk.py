"""What a machine's port may say and hear: senders that pass its port security, and its limits.

An address that moves between machines is not among the ``addresses`` of any of their ports: two ports would answer for
it. Its holder's own MAC is known; where it brings a MAC of its own (VRRP's), frames for MACs that nobody has go to the
ports that ask for ``unknown`` ones.
"""

from __future__ import annotations

from typing import Any

from yun.drivers.network.ovn.rows import Rows
from yun.drivers.network.port import PortSpec

PRIORITY = 1000


def senders(spec: PortSpec) -> list[str]:
    """The entries of ``port_security``, one for each MAC; none where anybody may speak."""
    if not spec.port_security:
        return []
    ranges: dict[str, list[str]] = {spec.mac: list(spec.addresses)}
    for mac, cidr in spec.pairs:
        ranges.setdefault(mac or spec.mac, []).append(cidr)
    if spec.passes_on:
        return sorted(ranges)
    return [" ".join([mac, *dict.fromkeys(listed)]) for mac, listed in ranges.items()]


def receivers(spec: PortSpec) -> list[str]:
    """The entries of ``addresses``."""
    own = " ".join([spec.mac, *spec.addresses])
    foreign = any(mac and mac != spec.mac for mac, _cidr in spec.pairs)
    return [own, "unknown"] if foreign or not spec.port_security else [own]


def limits(rows: Rows, switch: Any, spec: PortSpec) -> None:
    """The port's rows of QoS on its switch are as in ``spec``."""
    inward: dict[str, Any] = {"direction": "to-lport", "match": f'outport == "{spec.uuid}"'}
    outward: dict[str, Any] = {"direction": "from-lport", "match": f'inport == "{spec.uuid}"'}
    for side, rate in ((inward, spec.ingress), (outward, spec.egress)):
        side["bandwidth"] = {"rate": rate.kbps, "burst": rate.burst} if rate else {}
    inward["action"] = {}
    outward["action"] = {"dscp": spec.dscp} if spec.dscp is not None else {}
    for end, columns in (("in", inward), ("out", outward)):
        identifier = f"{spec.id}-{end}"
        before = rows.find("QoS", identifier)
        if not columns["bandwidth"] and not columns["action"]:
            if before is not None:
                switch.delvalue("qos_rules", before)
                before.delete()
            continue
        row = rows.upsert("QoS", "qos", identifier, priority=PRIORITY, **columns)
        if before is None:
            rows.add(switch, "qos_rules", row)


def unlimited(rows: Rows, switch: Any, port_id: str) -> None:
    """The port's rows of QoS are gone from its switch."""
    for end in ("in", "out"):
        if row := rows.find("QoS", f"{port_id}-{end}"):
            switch.delvalue("qos_rules", row)
            row.delete()
