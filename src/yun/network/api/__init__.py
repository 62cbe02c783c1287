"""REST of the networks."""

from __future__ import annotations

from fastapi import APIRouter

from yun.network.api import balancers, floating, groups, networks, ports, routing
from yun.web.api import Route

router = APIRouter(route_class=Route)
for part in (networks.router, routing.router, ports.router, groups.router, floating.router, balancers.router):
    router.include_router(part)

__all__ = ["router"]
