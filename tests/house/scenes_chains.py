"""Scenes of service chains: m1 is a firewall between the subnet s1 and the world, with a card on each side."""

from __future__ import annotations

from functools import partial

from tests.house.story import Scene, instance
from yun.base.context import Context
from yun.compute import service as compute
from yun.network import service as network
from yun.network.model import Port
from yun.operations.intent import Intent


def net(ctx: Context, number: int, name: str) -> Intent:
    """A network on the project's router."""
    subnet = network.NewSubnet(cidr=f"10.{number}.0.0/24", name=name)
    return network.create_network(ctx, network.NewNetwork(name=name, subnet=subnet))


def card(ctx: Context, name: str) -> Intent:
    """One more card of m1."""
    return compute.add_nic(ctx, compute.get(ctx, "m1"), compute.Card(network=name))


def arm(ctx: Context, number: int) -> Port:
    """A port of m1."""
    return network.ports_of(ctx.session, compute.get(ctx, "m1").id)[number]


def create(ctx: Context) -> Intent:
    """Whatever s1 sends to the web goes through m1."""
    return network.create_chain(ctx, network.NewChain(
        "c1", "s1", [network.NewHop(arm(ctx, 0).id, arm(ctx, 1).id)], description="防火墙", protocol="tcp", port_min=80,
    ))  # fmt: skip


def update(ctx: Context) -> Intent:
    """Everything, through one card alone."""
    changes = network.ChainChanges("c2", "x", [network.NewHop(arm(ctx, 1).id)], "any", on_failure="bypass")
    return network.update_chain(ctx, network.get_chain(ctx, "c1"), changes)


def delete(ctx: Context) -> Intent:
    """The direct way."""
    return network.delete_chain(ctx, network.get_chain(ctx, "c1"))


BEFORE = (instance(), partial(net, number=9, name="s1"), partial(net, number=12, name="out"), partial(card, name="out"))
SCENES = {
    "service_chain.create": Scene(create, BEFORE),
    "service_chain.update": Scene(update, (*BEFORE, create)),
    "service_chain.delete": Scene(delete, (*BEFORE, create)),
}
MORE = {
    "instance.delete of a function": Scene(
        lambda ctx: compute.delete(ctx, compute.get(ctx, "m1")), (*BEFORE, create)
    ),
}
