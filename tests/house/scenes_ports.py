"""Scenes of ports as things of their own."""

from __future__ import annotations

from typing import Any

from tests.house.scenes_networks import BOTH
from tests.house.scenes_nics import first
from tests.house.story import MAKE_GROUP, MAKE_NET, Ask, Scene, first_port, instance
from yun.base.context import Context
from yun.compute import service as compute
from yun.network import service as network
from yun.network.model import Capture
from yun.operations.intent import Intent

LIMITS = network.PortChanges(name="p1", ingress_kbps=10_000, egress_kbps=20_000, egress_burst_kbit=5000, dscp=46)
NEW = network.NewPort(network="n1", addresses=["10.9.0.50", "10.9.0.51"], hostname="vip", changes=LIMITS)
MAKE_PORT: Ask = lambda ctx: network.create_port(ctx, NEW)  # noqa: E731


def port(ctx: Context) -> Any:
    """The port p1."""
    return network.get_port(ctx, "p1")


def change(ctx: Context) -> Intent:
    """Everything of p1 is another."""
    pairs = [{"cidr": "10.9.0.100"}, {"cidr": "10.9.0.101", "mac": "00:00:5e:00:01:07"}]
    changes = network.PortChanges(
        name="p2", security_groups=[], mac="52:54:00:00:99:01", address="10.9.0.60", allowed_pairs=pairs,
        ingress_kbps=0, egress_kbps=30_000, egress_burst_kbit=0, dscp=0,
    )  # fmt: skip
    return network.update_port(ctx, port(ctx), changes)


def join(ctx: Context) -> Intent:
    """Put p1 into m1."""
    return compute.add_nic(ctx, compute.get(ctx, "m1"), compute.Card(port="p1", model="e1000"))


def leave(ctx: Context) -> Intent:
    """Take m1's first card out, to which a floating IP leads, and keep its port."""
    return compute.remove_nic(ctx, compute.get(ctx, "m1"), first(ctx), keep_port=True)


RECORD: Ask = lambda ctx: network.capture(ctx, first_port(ctx), filter="tcp port 80")  # noqa: E731


def recording(ctx: Context) -> Any:
    """The recording."""
    return network.list_of(ctx, Capture).items[0]


SCENES: dict[str, Scene] = {
    "port.create": Scene(MAKE_PORT, (MAKE_NET,)),
    "port.update": Scene(change, (MAKE_NET, MAKE_PORT)),
    "port.delete": Scene(lambda ctx: network.delete_port(ctx, port(ctx)), (MAKE_NET, MAKE_PORT)),
    "port.add_address": Scene(lambda ctx: network.add_address(ctx, port(ctx)), (MAKE_NET, MAKE_PORT)),
    "port.remove_address": Scene(
        lambda ctx: network.remove_address(ctx, port(ctx), "10.9.0.51"), (MAKE_NET, MAKE_PORT)
    ),
    "port.capture": Scene(RECORD, (instance(),)),
    "capture.stop": Scene(lambda ctx: network.stop_capture(ctx, recording(ctx)), (instance(), RECORD), undoable=False),
    "capture.delete": Scene(
        lambda ctx: network.delete_capture(ctx, recording(ctx)), (instance(), RECORD), undoable=False
    ),
}
MORE: dict[str, Scene] = {
    "port.create of many with an address of each family": Scene(
        lambda ctx: network.create_port(ctx, network.NewPort(
            network="n1", count=3, hostname="h{n}", groups=["g1"],
            changes=network.PortChanges(name="p-{n:02d}", ingress_kbps=10_000),
        )),
        (MAKE_NET, BOTH, MAKE_GROUP),
    ),
    "port.update that opens it": Scene(
        lambda ctx: network.update_port(ctx, port(ctx), network.PortChanges(port_security=False)),
        (MAKE_NET, MAKE_PORT),
    ),
    "instance.add_nic of a port that was there": Scene(join, (instance(), MAKE_NET, MAKE_PORT)),
    "instance.remove_nic that keeps the port": Scene(leave, (instance(floating_ip=True),)),
}
"""Further scenes of the same kinds, walked by the same tests."""
