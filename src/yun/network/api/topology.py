"""REST of the topology: networks and what hangs on them, as nodes and edges."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Query

from yun.network import service
from yun.network.topology.graph import Topology
from yun.web.api import Ctx, Route

router = APIRouter(route_class=Route, prefix="/network", tags=["networks"])


@router.get("/topology", summary="Show the topology")
def topology(
    ctx: Ctx,
    q: str = Query("", max_length=1000, description="Which networks: such as `external:no range:10.1. text`."),
    limit: int = Query(40, ge=1, le=200, description="At most so many networks, by name."),
) -> dict[str, Any]:
    """The project's networks, routers, machines, load balancers and floating IPs, and what joins them.

    Of each network up to 500 machines; `left_out` counts what is not among the nodes.
    """
    return show(service.topology(ctx, q=q, limit=limit, everything=True))


def show(found: Topology) -> dict[str, Any]:
    """A topology as JSON."""
    names = dict(found.groups)
    nodes: list[dict[str, Any]] = [
        {
            "id": n.id, "kind": "network", "name": n.name, "external": n.external, "shared": n.shared,
            "ranges": list(n.ranges), "machines": n.machines, "machines_left_out": found.hidden(n),
        }
        for n in found.networks
    ]  # fmt: skip
    nodes += [
        {"id": r.id, "kind": "router", "name": r.name, "snat": r.snat, "peerings": list(r.peers),
         "service_chains": list(r.chains)}
        for r in found.routers
    ]  # fmt: skip
    nodes += [
        {
            "id": t.id, "kind": t.kind, "name": t.name, "up": t.up, "listens_on": t.about.split(),
            "hop_of": list(t.chains),
            "floating_addresses": [text for _id, text in t.outside],
            "security_groups": [{"id": g, "name": names[g]} for g in t.groups if g in names],
        }
        for t in found.things
    ]  # fmt: skip
    places: list[tuple[str, str, str, str | None]] = []
    places += [(f, address, t.id, None) for t in found.things for f, address in t.floating]
    places += [(f, address, t.id, ports) for t in found.things for f, address, ports in t.forwarded]
    outside = {f: address for f, address, *_rest in (*places, *found.idle)}
    nodes += [{"id": f, "kind": "floating_ip", "name": address} for f, address in outside.items()]
    edges: list[dict[str, Any]] = [
        {"kind": "gateway", "source": r.id, "target": r.gateway, "addresses": [r.address]}
        for r in found.routers
        if r.gateway
    ]
    edges += [
        {"kind": "interface", "source": leg.router_id, "target": leg.network_id, "addresses": list(leg.addresses)}
        for leg in found.legs
    ]
    edges += [
        {
            "kind": "port", "source": t.id, "target": p.network_id, "addresses": list(p.addresses), "up": p.up,
            "port_id": p.port_id if p.port_id != t.id or t.kind == "port" else None,
            "bytes_in_per_second": round(p.rate[0], 1) if p.rate else None,
            "bytes_out_per_second": round(p.rate[1], 1) if p.rate else None,
        }
        for t in found.things
        for p in t.plugs
    ]  # fmt: skip
    edges += [
        {"kind": "floating_ip", "source": f, "target": where, "ports": ports}
        for f, _address, where, ports in (*places, *((*free, None) for free in found.idle))
    ]
    edges += [{"kind": b.kind, "source": b.source, "target": b.target, "up": b.up} for b in found.bonds]
    left = {"networks": found.networks_left, "routers": found.routers_left}
    return {"nodes": nodes, "edges": edges, "left_out": left}
