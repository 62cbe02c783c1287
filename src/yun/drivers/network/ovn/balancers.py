"""Load balancers: a row for each listener, and a group of the backends' ports that lets the checks in.

A listener stands on the switches of all networks whose machines may call it, and on their routers: there the calls
from outside arrive, and there the inner address is answered for, which no port has.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from yun.drivers.network.ovn.groups import ALLOW_PRIORITY
from yun.drivers.network.ovn.rows import Rows
from yun.drivers.network.port import BalancerSpec, ListenerSpec

HOLDERS = {"yun_networks": "Logical_Switch", "yun_routers": "Logical_Router"}


def apply_balancer(rows: Rows, spec: BalancerSpec) -> None:
    """The listeners and the checks' way in, exactly as in ``spec``."""
    wanted = {listener.id for listener in spec.listeners}
    for row in _listeners(rows, spec.id):
        if row.external_ids["yun_id"] not in wanted:
            _remove_listener(rows, row)
    for listener in spec.listeners:
        _apply_listener(rows, spec, listener)
    _let_checks_in(rows, spec)


def remove_balancer(rows: Rows, balancer_id: str) -> None:
    """Listeners and group are gone."""
    for row in _listeners(rows, balancer_id):
        _remove_listener(rows, row)
    if group := rows.find("Port_Group", balancer_id):
        group.delete()


def _listeners(rows: Rows, balancer_id: str) -> list[Any]:
    group = rows.find("Port_Group", balancer_id)
    named = group.external_ids.get("yun_listeners", "").split() if group is not None else []
    return [row for i in named if (row := rows.find("Load_Balancer", i)) is not None]


def _apply_listener(rows: Rows, balancer: BalancerSpec, spec: ListenerSpec) -> None:
    before = rows.find("Load_Balancer", spec.id)
    old = dict(before.external_ids) if before is not None else {}
    row = rows.upsert(
        "Load_Balancer",
        "listener",
        spec.id,
        ids={
            "yun_balancer": balancer.id,
            "yun_networks": " ".join(balancer.network_ids),
            "yun_routers": " ".join(balancer.router_ids),
        },
        name=spec.id,
        protocol=[spec.protocol],
        vips=_vips(spec),
        options=_options(spec),
        ip_port_mappings=_mappings(rows, spec),
    )
    _checks(rows, row, spec)
    now = {"yun_networks": balancer.network_ids, "yun_routers": balancer.router_ids}
    for key, table in HOLDERS.items():
        for identifier in set(old.get(key, "").split()) - set(now[key]):
            if holder := rows.find(table, identifier):
                holder.delvalue("load_balancer", row)
        for identifier in now[key]:
            holder = rows.find(table, identifier)
            if holder is not None and row.uuid not in {r.uuid for r in getattr(holder, "load_balancer", [])}:
                rows.add(holder, "load_balancer", row)


def _vips(spec: ListenerSpec) -> dict[str, str]:
    backends = ",".join(joined(b.address, b.port) for b in spec.backends)
    return {joined(address, spec.port): backends for address in spec.addresses}


def joined(address: str, port: int) -> str:
    """Address and port as OVN writes them."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _options(spec: ListenerSpec) -> dict[str, str]:
    # Without this a listener whose backends are all away would let the call through to the address itself.
    return {"reject": "true"} | ({"affinity_timeout": str(spec.affinity)} if spec.affinity else {})


def _mappings(rows: Rows, spec: ListenerSpec) -> dict[str, str]:
    found: dict[str, str] = {}
    for backend in spec.backends:
        port = rows.find("Logical_Switch_Port", backend.port_id)
        if spec.check and backend.probe and port is not None:
            found[backend.address] = f"{port.name}:{backend.probe}"
    return found


def _checks(rows: Rows, row: Any, spec: ListenerSpec) -> None:
    wanted: list[dict[str, Any]] = []
    if spec.check is not None:
        options = {
            "interval": str(spec.check.interval), "timeout": str(spec.check.timeout), "success_count": "1",
            "failure_count": str(spec.check.failures),
        }  # fmt: skip
        wanted = [{"vip": joined(address, spec.port), "options": options} for address in spec.addresses]
    rows.match("Load_Balancer_Health_Check", row, "health_check", wanted)


def _remove_listener(rows: Rows, row: Any) -> None:
    ours = row.external_ids
    for key, table in HOLDERS.items():
        for identifier in ours.get(key, "").split():
            if holder := rows.find(table, identifier):
                holder.delvalue("load_balancer", row)
    row.delete()


def _let_checks_in(rows: Rows, spec: BalancerSpec) -> None:
    """The engine's own questions come through whatever the backends' security groups say."""
    checked = [(listener, b) for listener in spec.listeners if listener.check for b in listener.backends if b.probe]
    name = spec.id
    ids = {"yun_name": spec.name, "yun_listeners": " ".join(listener.id for listener in spec.listeners)}
    group = rows.upsert("Port_Group", "balancer", spec.id, ids=ids, name=name)
    ports = [row for _l, b in checked if (row := rows.find("Logical_Switch_Port", b.port_id)) is not None]
    wanted = {row.uuid: row for row in ports}
    have = {row.uuid: row for row in getattr(group, "ports", [])}
    for uuid in have.keys() - wanted.keys():
        group.delvalue("ports", have[uuid])
    for uuid in wanted.keys() - have.keys():
        rows.add(group, "ports", wanted[uuid])
    rows.match("ACL", group, "acls", [_acl(name, *a) for a in sorted(_asked(checked))])


def _asked(checked: Iterable[tuple[ListenerSpec, Any]]) -> set[tuple[str, str, int]]:
    return {(str(b.probe), listener.protocol, b.port) for listener, b in checked}


def _acl(name: str, probe: str, protocol: str, port: int) -> dict[str, Any]:
    match = f"outport == @{name} && ip4.src == {probe} && {protocol}.dst == {port}"
    return {"direction": "to-lport", "priority": ALLOW_PRIORITY, "match": match, "action": "allow-related"}
