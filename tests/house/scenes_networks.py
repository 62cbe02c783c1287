"""Scenes of networks and subnets that change."""

from __future__ import annotations

from typing import Any

from tests.house.story import MAKE_NET, Ask, Scene, first_port, instance, on
from yun.base.context import Context
from yun.compute import service as compute
from yun.compute.service import Card
from yun.identity import service as identity
from yun.network import service as network

CHANGE_NET: Ask = lambda ctx: network.update_network(  # noqa: E731
    ctx, network.get_network(ctx, "n1"), network.NetworkChanges(name="n9", mtu=1400, domain="lab.internal")
)
CHANGE_SUBNET: Ask = lambda ctx: network.update_subnet(  # noqa: E731
    ctx, network.get_subnet(ctx, "10.9.0.0-24"),
    network.SubnetChanges(
        pool_start="10.9.0.20", pool_end="10.9.0.99", dns_servers=["192.0.2.9"], ntp_servers=["192.0.2.7"],
        routes=[{"destination": "192.168.7.0/24", "nexthop": "10.9.0.9"}], domain="db.internal", lease_seconds=600,
    ),
)  # fmt: skip
LONE: Ask = lambda ctx: network.create_network(  # noqa: E731
    ctx, network.NewNetwork("n1", subnet=network.NewSubnet("10.9.0.0/24", routed=False))
)
WITH_GROUP: Ask = lambda ctx: network.create_network(  # noqa: E731
    ctx, network.NewNetwork("shop", subnet=network.NewSubnet("10.9.0.0/24"), group=network.NewGroup(
        allow=["ssh", "tcp:8000-8010", "own"],
        rules=[network.NewRule(protocol="udp", port_min=53, remote="group:shop")],
    )),
)  # fmt: skip
SIX: Ask = lambda ctx: network.create_subnet(  # noqa: E731
    ctx, network.get_network(ctx, "default"), network.NewSubnet("fd00:9::/64", name="six")
)
BOTH: Ask = lambda ctx: network.create_subnet(  # noqa: E731
    ctx, network.get_network(ctx, "n1"), network.NewSubnet("fd00:8::/64", name="both", ipv6_mode="dhcpv6-stateful")
)
KEEP: Ask = lambda ctx: network.reserve(  # noqa: E731
    ctx, network.get_subnet(ctx, "10.9.0.0-24"), "10.9.0.10-10.9.0.19", "打印机"
)
NAME: Ask = lambda ctx: network.create_record(ctx, network.get_network(ctx, "n1"), "db", "10.9.0.9")  # noqa: E731


SHARE: Ask = lambda ctx: network.share(ctx, network.get_network(ctx, "n1"), "p1")  # noqa: E731
OTHER: Ask = lambda ctx: identity.create_project(ctx, name="p1")  # noqa: E731


BEYOND: Ask = lambda ctx: network.create_physical(  # noqa: E731
    ctx, network.NewPhysical("lan", "br-lan", "eth1")
)


def first_record(ctx: Context) -> Any:
    """The first record of n1."""
    return network.records_of(ctx.session, network.get_network(ctx, "n1").id)[0]


SCENES: dict[str, Scene] = {
    "network.update": Scene(CHANGE_NET, (MAKE_NET,)),
    "subnet.update": Scene(CHANGE_SUBNET, (MAKE_NET,)),
    "physical_network.create": Scene(BEYOND),
    "physical_network.delete": Scene(
        lambda ctx: network.delete_physical(ctx, network.get_physical(ctx, "lan")), (BEYOND,)
    ),
    "network.share": Scene(SHARE, (MAKE_NET, OTHER)),
    "network.unshare": Scene(
        lambda ctx: network.unshare(ctx, network.get_network(ctx, "n1"), "p1"), (MAKE_NET, OTHER, SHARE)
    ),
    "dns_record.create": Scene(NAME, (MAKE_NET,)),
    "dns_record.delete": Scene(lambda ctx: network.delete_record(ctx, first_record(ctx)), (MAKE_NET, NAME)),
    "subnet.reserve": Scene(KEEP, (MAKE_NET,)),
    "subnet.unreserve": Scene(
        lambda ctx: network.unreserve(ctx, network.get_subnet(ctx, "10.9.0.0-24"), "10.9.0.15"), (MAKE_NET, KEEP)
    ),
}
MORE: dict[str, Scene] = {
    "subnet.update of the gateway": Scene(
        lambda ctx: network.update_subnet(
            ctx, network.get_subnet(ctx, "10.9.0.0-24"), network.SubnetChanges(gateway="10.9.0.254")
        ),
        (LONE,),
    ),
    "subnet.update of a subnet that stops serving DHCP": Scene(
        lambda ctx: network.update_subnet(
            ctx, network.get_subnet(ctx, "10.9.0.0-24"), network.SubnetChanges(gateway="none", dhcp=False)
        ),
        (LONE,),
    ),
    "network.create on a physical network": Scene(
        lambda ctx: network.create_network(ctx, network.NewNetwork(
            "dmz", subnet=network.NewSubnet("10.9.0.0/24", dhcp=False), physical="lan", vlan=42
        )),
        (BEYOND,),
    ),
    "network.create with its router's leg and a group of its own": Scene(WITH_GROUP),
    "network.create of a way out": Scene(
        lambda ctx: network.create_network(ctx, network.NewNetwork(
            "uplink", subnet=network.NewSubnet("203.0.113.0/24"), physical="lan", external=True
        )),
        (BEYOND,),
    ),
    "subnet.create of IPv6 where machines are": Scene(SIX, (instance(),)),
    "subnet.delete of IPv6 where machines are": Scene(
        lambda ctx: network.delete_subnet(ctx, network.get_subnet(ctx, "six")), (instance(), SIX)
    ),
    "instance.create with an address of each family": Scene(instance(), (SIX,)),
    "instance.clone with an address of each family": Scene(
        on(compute.clone, wish=compute.CloneWish("c{n}")), (SIX, instance())
    ),
    "instance.add_nic with an address of each family": Scene(
        on(compute.add_nic, card=Card(network="n1")), (instance(), MAKE_NET, BOTH)
    ),
    "instance.change_nic from one family into two": Scene(
        lambda ctx: compute.change_nic(ctx, compute.get(ctx, "m1"), first_port(ctx).id, Card(network="n1")),
        (instance(), MAKE_NET, BOTH),
    ),
}
"""Further scenes of the same kinds, walked by the same tests."""
