"""Security groups as port groups: one group of ours drops everything, the others only allow."""

from __future__ import annotations

from typing import Any

from yun.drivers.network.ovn.rows import Rows
from yun.drivers.network.port import AddressSetSpec, GroupSpec, RuleSpec

DROP = "yun_drop"
ALLOW_PRIORITY, LOGGED_PRIORITY, DROP_PRIORITY = 1004, 1003, 1001
"""A logged group drops by itself what the others' group would drop next."""
METER = "yun_log"
LOG_RATE, LOG_BURST = 20, 100
"""Packets a second that are noted of each rule, so that a flood fills no disk."""


def drop_name(rows: Rows) -> str:
    """The cloud's group of all filtered ports: names of port groups are unique in the database. One that was made
    before clouds marked their rows keeps its name."""
    name = f"{DROP}_{rows.cloud}" if rows.cloud else DROP
    return name if rows.find("Port_Group", name) or not rows.find("Port_Group", DROP) else DROP


def drop_acls(name: str) -> tuple[tuple[str, int, str, str], ...]:
    """The rules of the group ``name`` of all filtered ports."""
    return (
        ("from-lport", DROP_PRIORITY, f"inport == @{name} && ip", "drop"),
        ("to-lport", DROP_PRIORITY, f"outport == @{name} && ip", "drop"),
        # A port asks for its address before anybody can have written a rule for it.
        ("from-lport", ALLOW_PRIORITY, f"inport == @{name} && ip4 && udp.src == 68 && udp.dst == 67", "allow"),
        ("from-lport", ALLOW_PRIORITY, f"inport == @{name} && ip6 && udp.src == 546 && udp.dst == 547", "allow"),
        # Without these there is no IPv6 at all: neighbours, routers, and who listens to which group.
        ("from-lport", ALLOW_PRIORITY, f"inport == @{name} && (nd || nd_rs || mldv1 || mldv2)", "allow"),
        ("to-lport", ALLOW_PRIORITY, f"outport == @{name} && (nd || nd_ra || mldv1 || mldv2)", "allow"),
    )


def drop_group(rows: Rows) -> Any:
    """The group of all filtered ports; made when first needed."""
    name = drop_name(rows)
    row = rows.upsert("Port_Group", "drop", name, name=name)
    rows.match("ACL", row, "acls", [_acl(*a) for a in drop_acls(name)])
    return row


def apply_group(rows: Rows, spec: GroupSpec) -> None:
    """Port group and its ACLs exactly as in ``spec``."""
    row = rows.upsert("Port_Group", "group", spec.id, ids={"yun_name": spec.name}, name=spec.id)
    action = "allow-stateless" if spec.stateless else "allow-related"
    meter = _meter(rows) if spec.logged else ""
    wanted = [_acl(*_direction(r), acl_match(spec.id, r), action, r.id, meter) for r in spec.rules]
    if spec.logged:
        for direction, port in (("from-lport", "inport"), ("to-lport", "outport")):
            wanted.append(_acl(direction, LOGGED_PRIORITY, f"{port} == @{spec.id} && ip", "drop", spec.id, meter))
    rows.match("ACL", row, "acls", wanted)


def _meter(rows: Rows) -> str:
    """The name of the cloud's meter that bounds what is noted of each rule; made when first needed."""
    name = f"{METER}_{rows.cloud}" if rows.cloud else METER
    if rows.find("Meter", name) is None:
        band = rows.insert("Meter_Band", action="drop", rate=LOG_RATE, burst_size=LOG_BURST)
        rows.upsert("Meter", "meter", name, name=name, unit="pktps", fair=[True], bands=[band])
    return name


def apply_set(rows: Rows, spec: AddressSetSpec) -> None:
    """Two address sets, one of each family: a match cannot compare an address with those of the other."""
    for kind, identifier, family in _families(spec.id):
        name = f"{spec.id}_{family}"
        mine = sorted({r for r in spec.ranges if (":" in r) == (family == "ip6")})
        ids = {"yun_name": spec.name}
        rows.upsert("Address_Set", kind, identifier, ids=ids, name=name, addresses=mine)


def remove_set(rows: Rows, set_id: str) -> None:
    """Both are gone."""
    for _kind, identifier, _family in _families(set_id):
        if row := rows.find("Address_Set", identifier):
            row.delete()


def _families(set_id: str) -> tuple[tuple[str, str, str], ...]:
    """Kind, id and family of a set's rows; that of IPv4 stands for the set."""
    return (("set", set_id, "ip4"), ("set6", f"{set_id}_ip6", "ip6"))


def remove_group(rows: Rows, group_id: str) -> None:
    """The port group is gone; its ports go on without its rules. With our last group and port goes the drop group."""
    if row := rows.find("Port_Group", group_id):
        row.delete()
    dropping = rows.find("Port_Group", drop_name(rows))
    if dropping is not None and not dropping.ports and not any(rows.all("Port_Group", "group")):
        dropping.delete()


def _acl(
    direction: str, priority: int, match: str, action: str, name: str = "", meter: str = ""
) -> dict[str, Any]:
    noted: dict[str, Any] = {
        "log": bool(name), "name": [name] if name else [], "severity": ["info"] if name else [],
        "meter": [meter] if name and meter else [],
    }  # fmt: skip
    return {"direction": direction, "priority": priority, "match": match, "action": action, **noted}


def _direction(rule: RuleSpec) -> tuple[str, int]:
    return ("to-lport" if rule.direction == "ingress" else "from-lport"), ALLOW_PRIORITY


def acl_match(group_id: str, rule: RuleSpec) -> str:
    """OVN's match expression of a rule."""
    inward, v4 = rule.direction == "ingress", rule.family == "ipv4"
    ip = "ip4" if v4 else "ip6"
    parts = [f"{'outport' if inward else 'inport'} == @{group_id}", ip]
    if rule.remote:
        side = f"{ip}.{'src' if inward else 'dst'}"
        if rule.remote.startswith("group:"):
            # The address set of a port group is kept by northd, under the group's name and the family.
            parts.append(f"{side} == ${rule.remote[6:]}_{ip}")
        elif rule.remote.startswith("set:"):
            parts.append(f"{side} == ${rule.remote[4:]}_{ip}")
        else:
            parts.append(f"{side} == {rule.remote}")
    if rule.protocol == "icmp":
        icmp = "icmp4" if v4 else "icmp6"
        parts.append(icmp)
        if rule.icmp_type is not None:
            parts.append(f"{icmp}.type == {rule.icmp_type}")
        if rule.icmp_code is not None:
            parts.append(f"{icmp}.code == {rule.icmp_code}")
    elif rule.protocol != "any":
        parts.append(rule.protocol)
        low, high = rule.port_min, rule.port_max
        if low is not None and low == high:
            parts.append(f"{rule.protocol}.dst == {low}")
        else:
            if low is not None:
                parts.append(f"{rule.protocol}.dst >= {low}")
            if high is not None:
                parts.append(f"{rule.protocol}.dst <= {high}")
    return " && ".join(parts)
