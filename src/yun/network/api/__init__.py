"""REST of the networks."""

from __future__ import annotations

from fastapi import APIRouter

from yun.network.api import (
    balancers,
    captures,
    chains,
    floating,
    forwarding,
    groups,
    networks,
    peering,
    physical,
    ports,
    reach,
    records,
    reserving,
    routing,
    sets,
    sharing,
    topology,
)
from yun.web.api import Route

router = APIRouter(route_class=Route)
PARTS = (
    networks, routing, ports, captures, groups, sets, floating, forwarding, peering, chains, balancers, reach,
    topology, records, reserving, sharing, physical,
)  # fmt: skip
for part in PARTS:
    router.include_router(part.router)

__all__ = ["router"]
