"""Scenes of network cards."""

from __future__ import annotations

from typing import Any

from tests.house.story import Scene, instance
from yun.base.context import Context
from yun.compute import service as compute
from yun.compute.service import Card
from yun.network import service as network
from yun.operations.intent import Intent

NET = network.NewNetwork(name="n2", subnet=network.NewSubnet(cidr="10.9.0.0/24"))


def make_net(ctx: Context) -> Intent:
    """A second network."""
    return network.create_network(ctx, NET)


def add(ctx: Context) -> Intent:
    """A second card for m1."""
    return compute.add_nic(ctx, compute.get(ctx, "m1"), Card(network="n2"))


def add_old(ctx: Context) -> Intent:
    """A second card for m1, of a model for which its board has no place while it runs."""
    return compute.add_nic(ctx, compute.get(ctx, "m1"), Card(network="n2", model="e1000"))


def remove_second(ctx: Context) -> Intent:
    """Take m1's second card out."""
    second = network.ports_of(ctx.session, compute.get(ctx, "m1").id)[1].id
    return compute.remove_nic(ctx, compute.get(ctx, "m1"), second)


def first(ctx: Context) -> Any:
    """The id of m1's first card."""
    return network.ports_of(ctx.session, compute.get(ctx, "m1").id)[0].id


def remove(ctx: Context) -> Intent:
    """Take m1's first card out, to which a floating IP leads."""
    return compute.remove_nic(ctx, compute.get(ctx, "m1"), first(ctx))


def move(ctx: Context) -> Intent:
    """Put m1's first card into the other network, in no group, with another model and its cable out."""
    wish = Card(network="n2", groups=[], model="e1000", link_up=False)
    return compute.change_nic(ctx, compute.get(ctx, "m1"), first(ctx), wish)


SCENES = {
    "instance.add_nic": Scene(add, (instance(), make_net)),
    "instance.remove_nic": Scene(remove, (instance(floating_ip=True),)),
    "instance.change_nic": Scene(move, (instance(floating_ip=True), make_net)),
}
MORE = {
    "instance.add_nic of an old model": Scene(add_old, (instance(), make_net)),
    "instance.remove_nic of one that waits": Scene(remove_second, (instance(), make_net, add_old)),
}
"""Further scenes of the same kinds, walked by the same tests."""
