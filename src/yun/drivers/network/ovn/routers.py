"""Logical routers: legs with their peers on the switches, routes, address translation, the carrying chassis."""

from __future__ import annotations

from typing import Any

from yun.base.messages import _
from yun.drivers.network.faults import missing
from yun.drivers.network.ovn.advertising import ra_configs
from yun.drivers.network.ovn.rows import Rows
from yun.drivers.network.port import RouterInterfaceSpec, RouterSpec


def apply_router(rows: Rows, spec: RouterSpec) -> None:
    """Router, legs, routes and NAT exactly as in ``spec``."""
    router = rows.upsert("Logical_Router", "router", spec.id, ids={"yun_name": spec.name}, name=spec.id)
    legs = [*spec.interfaces, *([spec.external] if spec.external else [])]
    wanted = {leg.id for leg in legs}
    for row in getattr(router, "ports", []):
        if row.external_ids.get("yun_id") not in wanted:
            _remove_leg(rows, router, row)
    for leg in legs:
        _leg(rows, router, leg, spec.gateway_chassis if leg is spec.external else None, leg is spec.external)
    rows.match(
        "Logical_Router_Static_Route",
        router,
        "static_routes",
        [{"ip_prefix": prefix, "nexthop": hop} for prefix, hop in spec.routes.items()],
    )
    rows.match(
        "NAT",
        router,
        "nat",
        [{"type": n.kind, "external_ip": n.external, "logical_ip": n.internal} for n in spec.nat],
    )


def remove_router(rows: Rows, router_id: str) -> None:
    """The router is gone, and the peers of its legs on the switches."""
    router = rows.find("Logical_Router", router_id)
    if router is None:
        return
    for row in router.ports:
        _remove_leg(rows, router, row)
    router.delete()


def _leg(rows: Rows, router: Any, leg: RouterInterfaceSpec, chassis: str | None, outside: bool) -> None:
    switch = rows.find("Logical_Switch", leg.network_id)
    if switch is None:
        raise missing(_("network"), leg.network_id)
    before = rows.find("Logical_Router_Port", leg.id)
    port = rows.upsert(
        "Logical_Router_Port",
        "leg",
        leg.id,
        ids={"yun_router": router.external_ids["yun_id"], "yun_network": leg.network_id},
        name=leg.id,
        mac=leg.mac,
        networks=[leg.address],
        ipv6_ra_configs=ra_configs(leg.advertises),
    )
    if before is None:
        rows.add(router, "ports", port)
    carriers = [{"name": f"{leg.id}_{chassis}", "chassis_name": chassis, "priority": 20}] if chassis else []
    rows.match("Gateway_Chassis", port, "gateway_chassis", carriers)
    _peer(rows, switch, leg, outside)


def _peer(rows: Rows, switch: Any, leg: RouterInterfaceSpec, outside: bool) -> None:
    identifier = f"{leg.id}-peer"
    before = rows.find("Logical_Switch_Port", identifier)
    if before is not None and before.external_ids.get("yun_network") != leg.network_id:
        _remove_peer(rows, before)
        before = None
    options = {"router-port": leg.id} | ({"nat-addresses": "router"} if outside else {})
    peer = rows.upsert(
        "Logical_Switch_Port",
        "peer",
        identifier,
        ids={"yun_network": leg.network_id},
        name=identifier,
        type="router",
        addresses=["router"],
        options=options,
    )
    if before is None:
        rows.add(switch, "ports", peer)


def _remove_leg(rows: Rows, router: Any, row: Any) -> None:
    if peer := rows.find("Logical_Switch_Port", f"{row.external_ids.get('yun_id', '')}-peer"):
        _remove_peer(rows, peer)
    router.delvalue("ports", row)


def _remove_peer(rows: Rows, peer: Any) -> None:
    if switch := rows.find("Logical_Switch", peer.external_ids.get("yun_network", "")):
        switch.delvalue("ports", peer)
    peer.delete()
