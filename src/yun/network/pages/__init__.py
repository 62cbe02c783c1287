"""Pages of the networks: networks and subnets, routers, ports, floating IPs, security groups."""

from fastapi import APIRouter

from yun.base.messages import _
from yun.network.pages import (
    balancers,
    chains,
    changes,
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
from yun.web.pages import PageRoute, command, nav

nav("networks", _("Networks"), "/networks", icon="network", order=50, permission="network.list", more=("/subnets",))
command(
    "load_balancer.create", _("Create a load balancer"), "/networks/load-balancers/new", icon="arrows-split",
    permission="load_balancer.create",
)
command(
    "network.topology", _("Network topology"), "/networks/topology", icon="network", permission="network.topology"
)
command("network.create", _("Create a network"), "/networks/new", icon="network", permission="network.create")
command(
    "port_forwarding.create", _("Forward a port"), "/networks/port-forwardings/new", icon="arrows-right-left",
    permission="port_forwarding.create",
)  # fmt: skip
command("router.create", _("Create a router"), "/networks/routers/new", icon="router", permission="router.create")

command(
    "service_chain.create", _("Create a service chain"), "/networks/service-chains/new", icon="arrows-split",
    permission="service_chain.create",
)  # fmt: skip

router = APIRouter(route_class=PageRoute, include_in_schema=False)
# Fixed addresses first: /networks/ports is not a network named "ports".
PARTS = (
    topology, groups, balancers, sets, floating, forwarding, peering, chains, ports, reach, routing, changes,
    records, reserving, sharing, physical, networks,
)  # fmt: skip
for part in PARTS:
    router.include_router(part.router)
