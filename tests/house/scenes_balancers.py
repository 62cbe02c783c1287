"""Scenes of load balancers."""

from __future__ import annotations

from typing import Any

from tests.house.story import MAKE_IP, Ask, Scene, floating, instance
from yun.base.context import Context
from yun.compute import service as compute
from yun.network import service as network
from yun.operations.intent import Intent

WEB = network.NewListener(80, member_port=8080)


def make(ctx: Context) -> Intent:
    """A load balancer before the instance m1."""
    new = network.NewBalancer("shop", listeners=(WEB,), members=(("instance", compute.get(ctx, "m1").id),))
    return network.create_balancer(ctx, new)


def plain(ctx: Context) -> Intent:
    """A load balancer without anything."""
    return network.create_balancer(ctx, network.NewBalancer("bare", listeners=(network.NewListener(443),)))


def whole(ctx: Context) -> Intent:
    """A load balancer with a floating IP of its own, of all instances with a tag."""
    new = network.NewBalancer("front", floating_ip="new", listeners=(WEB,), members=(("tag", "web"),))
    return network.create_balancer(ctx, new)


def on(verb: Any, *words: Any, name: str = "shop", **rest: Any) -> Ask:
    """Ask a verb of a load balancer."""
    return lambda ctx: verb(ctx, network.get_balancer(ctx, name), *words, **rest)


def listener(ctx: Context) -> str:
    """The id of the first listener."""
    return network.listeners_of(ctx.session, network.get_balancer(ctx, "shop").id)[0].id


def change(ctx: Context) -> Intent:
    """Another port of the members, and no checks."""
    new = network.NewListener(80, member_port=9090, check_seconds=0, affinity_seconds=60)
    return network.change_listener(ctx, network.get_balancer(ctx, "shop"), listener(ctx), new)


def remove_listener(ctx: Context) -> Intent:
    """Take the first listener away."""
    return network.remove_listener(ctx, network.get_balancer(ctx, "shop"), listener(ctx))


def remove_member(ctx: Context) -> Intent:
    """Take the first member away."""
    balancer = network.get_balancer(ctx, "shop")
    return network.remove_member(ctx, balancer, network.members_of(ctx.session, balancer.id)[0].id)


def outside(ctx: Context) -> Intent:
    """Let the floating IP lead to it."""
    balancer = network.get_balancer(ctx, "shop")
    return network.update_balancer(ctx, balancer, name="store", floating_ip=floating(ctx).id)


FIRST = (instance(), make)
SCENES: dict[str, Scene] = {
    "load_balancer.create": Scene(whole, (instance(tags=["web"]),)),
    "load_balancer.update": Scene(outside, (*FIRST, MAKE_IP)),
    "load_balancer.delete": Scene(on(network.delete_balancer), FIRST),
    "load_balancer.add_listener": Scene(on(network.add_listener, network.NewListener(53, "udp")), FIRST),
    "load_balancer.change_listener": Scene(change, FIRST),
    "load_balancer.remove_listener": Scene(remove_listener, FIRST),
    "load_balancer.add_member": Scene(
        on(network.add_member, "tag", "web", name="bare"), (instance(tags=["web"]), plain)
    ),
    "load_balancer.remove_member": Scene(remove_member, FIRST),
}
MORE: dict[str, Scene] = {
    "instance.tag behind a load balancer": Scene(
        lambda ctx: compute.tag(ctx, compute.get(ctx, "m1"), ["db"]), (instance(tags=["web"]), whole)
    ),
    "instance.delete behind a load balancer": Scene(
        lambda ctx: compute.delete(ctx, compute.get(ctx, "m1")), (instance(tags=["web"]), whole)
    ),
}
"""Further scenes of the same kinds, walked by the same tests."""
