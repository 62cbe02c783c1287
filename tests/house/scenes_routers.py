"""Scenes of routers, their legs and routes, and of floating IPs that are named and moved."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa

from tests.house.story import MAKE_IP, Scene, first_port, floating, instance
from yun.base.context import Context
from yun.compute import service as compute
from yun.identity import service as identity
from yun.identity.model import Project
from yun.network import service as network
from yun.network.model import PortForwarding, Router
from yun.operations.intent import Intent


def net(ctx: Context) -> Intent:
    """A network on no router."""
    subnet = network.NewSubnet(cidr="10.9.0.0/24", name="s1", routed=False)
    return network.create_network(ctx, network.NewNetwork(name="n1", subnet=subnet))


def island(ctx: Context) -> Intent:
    """A router without a way out."""
    return network.create_router(ctx, network.NewRouter("r1", external=False))


def edge(ctx: Context) -> Intent:
    """A router with a way out."""
    return network.create_router(ctx, network.NewRouter("r1", description="出口"))


def r1(ctx: Context) -> Router:
    """The router r1."""
    return network.get_router(ctx, "r1")


def connect(ctx: Context) -> Intent:
    """A leg in the subnet s1."""
    return network.add_interface(ctx, r1(ctx), network.get_subnet(ctx, "s1"))


def disconnect(ctx: Context) -> Intent:
    """No leg in the subnet s1."""
    return network.remove_interface(ctx, r1(ctx), network.interface_of(ctx.session, r1(ctx), "s1"))


def route(ctx: Context) -> Intent:
    """A static route."""
    return network.add_route(ctx, r1(ctx), "10.20.0.0/16", "10.9.0.77")


def second(ctx: Context) -> Intent:
    """A leg in the default subnet, whose gateway is another router."""
    return network.add_interface(ctx, r1(ctx), network.get_subnet(ctx, "default"))


def move(ctx: Context) -> Intent:
    """The floating IP from m1 to m2."""
    port = network.ports_of(ctx.session, compute.get(ctx, "m2").id)[0]
    return network.associate(ctx, floating(ctx), port, move=True)


SCENES = {
    "router.create": Scene(edge),
    "router.update": Scene(
        lambda ctx: network.update_router(ctx, r1(ctx), name="r2", description="x", snat=False), (edge,)
    ),
    "router.delete": Scene(lambda ctx: network.delete_router(ctx, r1(ctx)), (net, edge, connect, route)),
    "router.add_interface": Scene(connect, (net, island)),
    "router.remove_interface": Scene(disconnect, (net, edge, connect)),
    "router.set_gateway": Scene(lambda ctx: network.set_gateway(ctx, r1(ctx)), (net, island, connect)),
    "router.clear_gateway": Scene(lambda ctx: network.clear_gateway(ctx, r1(ctx)), (net, edge, connect)),
    "router.add_route": Scene(route, (net, island, connect)),
    "router.remove_route": Scene(
        lambda ctx: network.remove_route(ctx, r1(ctx), "10.20.0.0/16"), (net, island, connect, route)
    ),
    "floating_ip.update": Scene(
        lambda ctx: network.update_floating_ip(ctx, floating(ctx), name="门户", description="网站入口"), (MAKE_IP,)
    ),
}
MORE = {
    "router.create of an island": Scene(island),
    "router.add_interface of a second leg": Scene(second, (net, edge, connect)),
    "router.remove_interface of a second leg": Scene(
        lambda ctx: network.remove_interface(ctx, r1(ctx), network.interface_of(ctx.session, r1(ctx), "default")),
        (edge, second),
    ),
    "floating_ip.associate elsewhere": Scene(
        move, (instance(), instance("m2"), MAKE_IP, lambda ctx: network.associate(ctx, floating(ctx), first_port(ctx)))
    ),
}


def forward(ctx: Context) -> Intent:
    """A port of the router's own address to m1."""
    return network.create_forwarding(ctx, network.NewForwarding(first_port(ctx).id, 2222, inner_port=22))


def forward_floating(ctx: Context) -> Intent:
    """A range of ports of a floating IP to m1."""
    wish = network.NewForwarding(
        first_port(ctx).id, 8000, 8003, protocol="udp", floating_ip=floating(ctx).id, description="语音"
    )
    return network.create_forwarding(ctx, wish)


def forwarding(ctx: Context) -> PortForwarding:
    """The only forwarding."""
    return ctx.session.scalars(sa.select(PortForwarding)).one()


def other_project(ctx: Context) -> Intent:
    """Another project."""
    return identity.create_project(ctx, name="theirs")


def theirs(ctx: Context) -> Context:
    """The same actor in the other project."""
    project = ctx.session.scalars(sa.select(Project).where(Project.name == "theirs")).one()
    return replace(ctx, project_id=project.id)


def their_net(ctx: Context) -> Intent:
    """A network of the other project."""
    subnet = network.NewSubnet(cidr="10.19.0.0/24", name="s2", routed=False)
    return network.create_network(theirs(ctx), network.NewNetwork(name="n2", subnet=subnet))


def their_router(ctx: Context) -> Intent:
    """A router of the other project."""
    return network.create_router(theirs(ctx), network.NewRouter("r2", external=False))


def their_leg(ctx: Context) -> Intent:
    """It stands in the other project's network."""
    there = theirs(ctx)
    return network.add_interface(there, network.get_router(there, "r2"), network.get_subnet(there, "s2"))


def ask(ctx: Context) -> Intent:
    """Ask the other project for a peering."""
    return network.create_peering(
        ctx, network.NewPeering("p1", "r1", theirs(ctx).project_id or "", ["s1"], ["10.19.0.0/25"])
    )


def accept(ctx: Context) -> Intent:
    """The other project agrees."""
    there = theirs(ctx)
    return network.accept_peering(there, network.get_peering(there, "p1"), "r2")


def end(ctx: Context) -> Intent:
    """This side ends it."""
    return network.delete_peering(ctx, network.get_peering(ctx, "p1"))


def end_there(ctx: Context) -> Intent:
    """The other side ends it."""
    there = theirs(ctx)
    return network.delete_peering(there, network.get_peering(there, "p1"))


SIDES = (net, island, connect, other_project, their_net, their_router, their_leg)
SCENES |= {
    "port_forwarding.create": Scene(forward, (instance(),)),
    "port_forwarding.delete": Scene(
        lambda ctx: network.delete_forwarding(ctx, forwarding(ctx)), (instance(), forward)
    ),
    "network_peering.create": Scene(ask, SIDES),
    "network_peering.accept": Scene(accept, (*SIDES, ask)),
    "network_peering.delete": Scene(end, (*SIDES, ask, accept)),
}
MORE |= {
    "port_forwarding.create of a range": Scene(forward_floating, (instance(), MAKE_IP)),
    "network_peering.delete of a request": Scene(end, (*SIDES, ask)),
    "network_peering.delete by the other side": Scene(end_there, (*SIDES, ask, accept)),
}
