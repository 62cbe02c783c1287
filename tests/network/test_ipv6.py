"""IPv6: ranges and modes, an address of each family, guests that make their own, subnets that come and go."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.network.conftest import Asking, Do
from yun.base.errors import Conflict, Invalid, NoCapacity
from yun.compute.cloud_init import GuestNic, Six, network_config
from yun.drivers.network.fake import World
from yun.network import addresses, cards, checks, service
from yun.network.model import Port, PortAddress, Reservation, Subnet
from yun.network.service import NetworkChanges, NewNetwork, NewSubnet
from yun.operations import service as operations

pytestmark = pytest.mark.usefixtures("cloud")
SIX = "fd00:1::/64"


@pytest.fixture
def lab(do: Do) -> str:
    return do(lambda ctx: service.create_network(ctx, NewNetwork("lab", subnet=NewSubnet("10.9.0.0/24")))).subject_id


def add(do: Do, cidr: str = SIX, mode: str | None = None, **rest: Any) -> Any:
    new = NewSubnet(cidr, ipv6_mode=mode, **rest)
    return do(lambda ctx: service.create_subnet(ctx, service.get_network(ctx, "lab"), new))


def leg_of(world: World, network_id: str) -> Any:
    legs = [leg for r in world.routers.values() for leg in r.interfaces if leg.network_id == network_id]
    return next(leg for leg in legs if ":" in leg.address)


WRONG = [
    ("cidr", NewSubnet("fd00:1::/63", ipv6_mode="dhcpv6-stateful")),
    ("cidr", NewSubnet("fd00:1::/121", ipv6_mode="dhcpv6-stateful")),
    ("cidr", NewSubnet("fd00:1::/80")),
    ("cidr", NewSubnet("fd00:1::/80", ipv6_mode="dhcpv6-stateless")),
    ("cidr", NewSubnet("fd00:1::/129")),
    ("cidr", NewSubnet("fd00:1::1/64")),
    ("cidr", NewSubnet("::/0")),
    ("cidr", NewSubnet("fe80::/64")),
    ("cidr", NewSubnet("ff02::/64")),
    ("ipv6_mode", NewSubnet(SIX, ipv6_mode="radvd")),
    ("ipv6_mode", NewSubnet("10.8.0.0/24", ipv6_mode="slaac")),
    ("gateway", NewSubnet(SIX, gateway="fd00:2::1")),
    ("gateway", NewSubnet(SIX, gateway="10.9.0.1")),
    ("pool_end", NewSubnet(SIX, ipv6_mode="dhcpv6-stateful", pool_end="fd00:1::ffff:ffff:ffff:ffff")),
    ("dns_servers", NewSubnet(SIX, dns_servers=["192.0.2.1"])),
    ("ntp_servers", NewSubnet(SIX, ntp_servers=["fd00::1"])),
    ("routes", NewSubnet(SIX, routes=[{"destination": "fd00:7::/64", "nexthop": "fd00:1::9"}])),
]


def test_a_wrong_range_or_mode_names_its_field(asking: Asking, lab: str) -> None:
    with asking() as ctx:
        network = service.get_network(ctx, lab)
        for field, new in WRONG:
            with pytest.raises(Invalid) as caught:
                service.create_subnet(ctx, network, new)
            assert field in caught.value.fields, new


def test_ipv6_needs_larger_packets_and_keeps_them(do: Do, asking: Asking, lab: str) -> None:
    do(lambda ctx: service.create_network(ctx, NewNetwork("small", mtu=1279)))
    with asking() as ctx, pytest.raises(Invalid) as caught:
        service.create_subnet(ctx, service.get_network(ctx, "small"), NewSubnet(SIX))
    assert "1279" in caught.value.message.render()
    add(do)
    with asking() as ctx, pytest.raises(Invalid):
        service.update_network(ctx, service.get_network(ctx, lab), NetworkChanges(mtu=1279))


@pytest.mark.parametrize("mode", checks.IPV6_MODES)
def test_the_routers_leg_says_how_guests_get_their_addresses(do: Do, world: World, lab: str, mode: str) -> None:
    add(do, mode=mode, dns_servers=["fd00::53"])
    said = leg_of(world, lab).advertises
    assert (said.mode, said.mtu, said.dns_server, said.domain) == (mode, 1442, "fd00::53", "default.internal")
    do(lambda ctx: service.update_network(ctx, service.get_network(ctx, lab), NetworkChanges(mtu=1400, domain="x")))
    said = leg_of(world, lab).advertises
    assert (said.mtu, said.domain) == (1400, "x")


def test_a_port_gets_an_address_of_each_family_ipv4_first(
    do: Do, world: World, lab: str, plugged: Callable[..., Port], asking: Asking
) -> None:
    add(do)
    port = plugged(network="lab")
    own = checks.eui64(ipaddress.ip_network(SIX), port.mac)
    assert port.address == "10.9.0.2"
    assert world.ports[port.id].addresses == ("10.9.0.2", own)
    assert ipaddress.ip_address(own) in ipaddress.ip_network(SIX)
    with asking() as ctx:
        assert service.places_of(ctx.session, ctx.session.get_one(Port, port.id))[1][1] == own


def test_addresses_are_given_out_in_order_where_dhcp_gives_them(do: Do, lab: str, plugged: Any, world: World) -> None:
    add(do, mode="dhcpv6-stateful", cidr="fd00:1::/120")
    ports = [plugged(network="lab") for _n in range(2)]
    assert [world.ports[p.id].addresses[1] for p in ports] == ["fd00:1::2", "fd00:1::3"]
    wanted = plugged(network="lab", address="fd00:1::77")
    assert world.ports[wanted.id].addresses == ("10.9.0.4", "fd00:1::77")


def test_a_wished_address_of_a_guest_that_makes_its_own_is_refused(do: Do, lab: str, asking: Asking) -> None:
    add(do)
    with asking() as ctx, pytest.raises(Invalid) as caught:
        service.plan_port(ctx, network="lab", address="fd00:1::77")
    assert "address" in caught.value.fields
    with asking() as ctx:
        mac = "fa:54:00:00:00:01"
        own = checks.eui64(ipaddress.ip_network(SIX), mac)
        assert service.plan_port(ctx, network="lab", address=own, mac=mac).more[0].address == own


def test_the_upper_half_of_a_range_is_kept_as_it_is(do: Do, lab: str, plugged: Any, asking: Asking) -> None:
    add(do)
    port = plugged(network="lab", mac="fa:54:00:00:00:01")  # f854:00ff:… is beyond the middle
    with asking() as ctx:
        places = ctx.session.query(Reservation.place).where(Reservation.owner_id == port.id).all()
    assert max(p for (p,) in places) == 0xF85400FFFE000001
    with asking() as ctx:
        subnet = service.get_subnet(ctx, SIX)
        with pytest.raises(Conflict):
            addresses.own(ctx.session, subnet, port.mac)


def test_a_network_of_ipv6_alone(do: Do, world: World, plugged: Any) -> None:
    new = NewNetwork("six", subnet=NewSubnet(SIX, ipv6_mode="dhcpv6-stateful"))
    do(lambda ctx: service.create_network(ctx, new))
    assert world.ports[plugged(network="six").id].addresses == ("fd00:1::2",)


def test_a_full_family_is_told_with_its_numbers(do: Do, lab: str, plugged: Any, asking: Asking) -> None:
    add(do, mode="dhcpv6-stateful", pool_start="fd00:1::5", pool_end="fd00:1::5")
    plugged(network="lab")
    with asking() as ctx, pytest.raises(NoCapacity) as caught:
        service.plan_port(ctx, network="lab")
    assert caught.value.details["total"] == 1


def test_a_subnet_of_the_other_family_reaches_the_ports_that_are_there(
    do: Do, lab: str, plugged: Any, world: World, asking: Asking
) -> None:
    port = plugged(network="lab")
    before = world.snapshot()
    with asking() as ctx:
        intent = service.create_subnet(ctx, service.get_network(ctx, lab), NewSubnet(SIX))
        assert any("hello" in m.render() for m in intent.effects)
    made = add(do, name="six")
    own = checks.eui64(ipaddress.ip_network(SIX), port.mac)
    assert world.ports[port.id].addresses == ("10.9.0.2", own)
    both = world.snapshot()
    gone = do(lambda ctx: service.delete_subnet(ctx, service.get_subnet(ctx, "six")))
    assert world.ports[port.id].addresses == ("10.9.0.2",)
    do(lambda ctx: operations.undo(ctx, gone.id))
    assert world.snapshot() == both
    do(lambda ctx: operations.undo(ctx, made.id))
    assert world.snapshot() == before
    with asking() as ctx:
        assert ctx.session.query(PortAddress).count() == 0


def test_what_still_has_first_addresses_of_a_subnet_is_named(do: Do, lab: str, plugged: Any, asking: Asking) -> None:
    plugged("web1", network="lab")
    with asking() as ctx, pytest.raises(Conflict) as caught:
        service.delete_subnet(ctx, service.get_subnet(ctx, "10.9.0.0-24"))
    assert "web1" in caught.value.message.render()


def test_an_address_of_ones_own_follows_the_mac_and_moves_with_the_card(
    do: Do, lab: str, plugged: Any, asking: Asking
) -> None:
    add(do)
    do(lambda ctx: service.create_network(ctx, NewNetwork("other", subnet=NewSubnet("10.8.0.0/24"))))
    port = plugged(network="lab")
    with asking() as ctx:
        row = ctx.session.get_one(Port, port.id)
        net = ipaddress.ip_network(SIX)
        old = cards._change(ctx.session, row.id, {"mac": "52:54:00:99:99:99"})
        assert [a for _s, a in service.places_of(ctx.session, row)] == [
            "10.9.0.2", checks.eui64(net, "52:54:00:99:99:99")
        ]  # fmt: skip
        cards._change(ctx.session, row.id, old)
        assert [a for _s, a in service.places_of(ctx.session, row)] == ["10.9.0.2", checks.eui64(net, port.mac)]
        plan = service.plan_port(ctx, network="other", groups=[])
        place = {
            "network_id": plan.network.id, "subnet_id": plan.subnet.id, "address": plan.port.address, "fixed": False,
            "more": [part.to_json() for part in plan.more],
        }  # fmt: skip
        old = cards._change(ctx.session, row.id, {"place": place})
        assert [a for _s, a in service.places_of(ctx.session, row)] == ["10.8.0.2"]
        cards._change(ctx.session, row.id, old)
        assert [a for _s, a in service.places_of(ctx.session, row)] == ["10.9.0.2", checks.eui64(net, port.mac)]
        stay = {**place, "network_id": row.network_id, "subnet_id": row.subnet_id, "address": "10.9.0.9"}
        cards._change(ctx.session, row.id, {"place": stay})
        assert [a for _s, a in service.places_of(ctx.session, row)] == ["10.9.0.9", checks.eui64(net, port.mac)]
        kept = {(r.subnet_id, r.place) for r in ctx.session.query(Reservation).where(Reservation.owner_id == row.id)}
        assert len(kept) == 2


def test_a_guest_is_told_how_to_set_up_each_family() -> None:
    four = GuestNic(
        "52:54:00:00:00:01", dhcp=False, address="10.1.0.5/24", gateway="10.1.0.1", dns_servers=("1.1.1.1",)
    )
    told = {}
    for mode in ("", *checks.IPV6_MODES):
        both = replace(four, six=Six(mode, "fd00::5/64", "fd00::1", ("fd00::53",)))
        told[mode] = network_config((both,))["ethernets"]["eth0"]
    assert told[""]["addresses"] == ["10.1.0.5/24", "fd00::5/64"]
    assert (told[""]["gateway4"], told[""]["gateway6"], told[""]["accept-ra"]) == ("10.1.0.1", "fd00::1", False)
    assert told[""]["nameservers"] == {"addresses": ["1.1.1.1", "fd00::53"]}
    assert [told[m]["dhcp6"] for m in checks.IPV6_MODES] == [False, True, False]
    assert all(told[m]["accept-ra"] and told[m]["addresses"] == ["10.1.0.5/24"] for m in checks.IPV6_MODES)
    alone = network_config((GuestNic("52:54:00:00:00:01", four=False, six=Six("slaac")),))["ethernets"]["eth0"]
    assert "dhcp4" not in alone
    assert "addresses" not in alone


def test_ranges_may_overlap_between_networks_and_not_within_one(do: Do, asking: Asking, lab: str) -> None:
    add(do)
    with asking() as ctx, pytest.raises(Invalid):
        service.create_subnet(ctx, service.get_network(ctx, lab), NewSubnet("fd00:1::/65", ipv6_mode="dhcpv6-stateful"))
    with asking() as ctx, pytest.raises(Invalid) as caught:  # the project's router is in the first one already
        service.create_network(ctx, NewNetwork("twin", subnet=NewSubnet(SIX)))
    assert "cidr" in caught.value.fields
    do(lambda ctx: service.create_network(ctx, NewNetwork("twin", subnet=NewSubnet(SIX, routed=False))))
    with asking() as ctx:
        assert ctx.session.query(Subnet).where(Subnet.cidr == SIX).count() == 2
