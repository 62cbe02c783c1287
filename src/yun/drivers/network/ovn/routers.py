"""Logical routers: legs with their peers on the switches or on other routers, routes, address translation, forwarded
ports, service chains, the carrying chassis."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

from yun.base.messages import _
from yun.drivers.network.faults import missing
from yun.drivers.network.ovn import chains
from yun.drivers.network.ovn.advertising import ra_configs
from yun.drivers.network.ovn.rows import Rows, mac_of
from yun.drivers.network.port import PeerSpec, RouterInterfaceSpec, RouterSpec


def apply_router(rows: Rows, spec: RouterSpec) -> None:
    """Router, legs, routes, NAT and chains exactly as in ``spec``."""
    router = rows.upsert("Logical_Router", "router", spec.id, ids={"yun_name": spec.name}, name=spec.id)
    legs = [*spec.interfaces, *([spec.external] if spec.external else [])]
    wanted = {leg.id for leg in legs} | {peer.id for peer in spec.peers}
    for row in getattr(router, "ports", []):
        if row.external_ids.get("yun_id") not in wanted:
            _remove_leg(rows, router, row)
    for leg in legs:
        _leg(rows, router, leg, spec.gateway_chassis if leg is spec.external else None, leg is spec.external)
    rows.match(
        "Logical_Router_Static_Route",
        router,
        "static_routes",
        [
            *({"ip_prefix": prefix, "nexthop": hop, "output_port": []} for prefix, hop in spec.routes.items()),
            *(route for peer in spec.peers for route in _routes_to(peer)),
        ],
    )
    rows.match(
        "NAT",
        router,
        "nat",
        [{"type": n.kind, "external_ip": n.external, "logical_ip": n.internal} for n in spec.nat],
    )
    for peer in spec.peers:
        _peering(rows, router, peer)
    gates = [gate for peer in spec.peers for gate in _gate(peer)]
    rows.match("Logical_Router_Policy", router, "policies", [*gates, *chains.policies(spec)])
    _forwards(rows, router, spec)


def _routes_to(peer: PeerSpec) -> Iterator[dict[str, Any]]:
    for text in peer.remote:
        hop = peer.next_hops[ipaddress.ip_network(text).version]
        yield {"ip_prefix": text, "nexthop": hop, "output_port": [peer.id]}


def _peering(rows: Rows, router: Any, peer: PeerSpec) -> None:
    before = rows.find("Logical_Router_Port", peer.id)
    port = rows.upsert(
        "Logical_Router_Port",
        "leg",
        peer.id,
        ids={"yun_router": router.external_ids["yun_id"]},
        name=peer.id,
        mac=mac_of(peer.id, "0a:01"),
        networks=list(peer.addresses),
        peer=[peer.peer],
    )
    if before is None:
        rows.add(router, "ports", port)


def _gate(peer: PeerSpec) -> Iterator[dict[str, Any]]:
    """What comes in from the other router passes from its agreed ranges to ours; all else is dropped."""
    yield {"priority": 900, "match": f'inport == "{peer.id}"', "action": "drop", "nexthops": []}
    for family in ("ip4", "ip6"):
        if gate := chains.passage(peer, family):
            match = f'inport == "{peer.id}" && {gate}'
            yield {"priority": 1000, "match": match, "action": "allow", "nexthops": []}


def _forwards(rows: Rows, router: Any, spec: RouterSpec) -> None:
    """One balancer of a single member for each forwarded port. In OVN 23.03 the ports of a NAT row bound what a sender
    is translated to; they do not choose what is led in."""
    for protocol in ("tcp", "udp"):
        identifier = f"{spec.id}-{protocol}"
        vips = {
            f"{f.external}:{f.external_port}": f"{f.internal}:{f.internal_port}"
            for f in spec.forwards if f.protocol == protocol
        }  # fmt: skip
        before = rows.find("Load_Balancer", identifier)
        if vips:
            columns: dict[str, Any] = {"name": identifier, "protocol": [protocol], "vips": vips}
            row = rows.upsert("Load_Balancer", "forwarding", identifier, **columns)
            if before is None:
                rows.add(router, "load_balancer", row)
        elif before is not None:
            _drop_forwards(router, before)


def _drop_forwards(router: Any, row: Any) -> None:
    router.delvalue("load_balancer", row)
    row.delete()


def remove_router(rows: Rows, router_id: str) -> None:
    """The router is gone, and the peers of its legs on the switches."""
    router = rows.find("Logical_Router", router_id)
    if router is None:
        return
    for row in router.ports:
        _remove_leg(rows, router, row)
    for protocol in ("tcp", "udp"):
        if (row := rows.find("Load_Balancer", f"{router_id}-{protocol}")) is not None:
            _drop_forwards(router, row)
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
