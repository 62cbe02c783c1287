"""What every network engine does, run on the one in memory always and on OVN's database in `tests/real`."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from yun.base.errors import DriverError
from yun.drivers.network.port import (
    AddressSetSpec,
    BackendSpec,
    BalancerSpec,
    ChainHopSpec,
    ChainSpec,
    CheckSpec,
    ForwardSpec,
    GroupSpec,
    ListenerSpec,
    NatSpec,
    NetworkEngine,
    NetworkSpec,
    PeerSpec,
    PortSpec,
    RateSpec,
    RouterInterfaceSpec,
    RouterSpec,
    RuleSpec,
    SubnetSpec,
)

SUBNET = SubnetSpec("sub_1", "10.0.0.0/24", "10.0.0.1", ("192.0.2.53",), domain="yun.internal")
NETWORK = NetworkSpec("net_1", "inside", (SUBNET,))
OUTSIDE = NetworkSpec(
    "net_2", "outside", (SubnetSpec("sub_2", "203.0.113.0/24", "203.0.113.1", dhcp=False),), "physnet1"
)
GROUP = GroupSpec(
    "sgr_1", "default", (RuleSpec("egress"), RuleSpec("ingress", protocol="tcp", port_min=22, port_max=22))
)
PORT = PortSpec(
    "prt_1",
    "8a2c0d61-57fc-4d1b-8ac7-0b40f13fb1c5",
    "net_1",
    "52:54:00:00:00:01",
    ("10.0.0.11",),
    ("sub_1",),
    ("sgr_1",),
    host="h1",
    hostname="hello",
)
INNER = RouterInterfaceSpec("rif_1", "net_1", "0a:00:00:00:00:01", "10.0.0.1/24")
OUTER = RouterInterfaceSpec("rif_2", "net_2", "0a:00:00:00:00:02", "203.0.113.10/24")
ROUTER = RouterSpec(
    "rtr_1",
    "default",
    (INNER,),
    OUTER,
    {"0.0.0.0/0": "203.0.113.1"},
    (NatSpec("snat", "203.0.113.10", "10.0.0.0/24"), NatSpec("dnat_and_snat", "203.0.113.50", "10.0.0.11")),
    "h1",
)
NOTHING: dict[str, set[str]] = {
    "network": set(), "router": set(), "group": set(), "set": set(), "port": set(), "balancer": set(),
}  # fmt: skip
OFFICE = AddressSetSpec("ads_1", "office", ("192.0.2.0/24", "2001:db8::/32"))


BALANCER = BalancerSpec(
    "lba_1", "shop", ("net_1",), ("rtr_1",),
    (
        ListenerSpec(
            "lis_1", "tcp", ("10.0.0.80", "203.0.113.80"), 80,
            (BackendSpec("prt_1", "10.0.0.11", 8080, "10.0.0.254"), BackendSpec("prt_9", "10.0.0.19", 8080)),
            affinity=60, check=CheckSpec(2, 1, 2),
        ),
        ListenerSpec("lis_2", "udp", ("10.0.0.80",), 53),
    ),
)  # fmt: skip
SPECS: dict[str, dict[str, Any]] = {
    "network": {"net_1": NETWORK, "net_2": OUTSIDE},
    "group": {"sgr_1": GROUP},
    "router": {"rtr_1": ROUTER},
    "port": {"prt_1": PORT},
    "balancer": {"lba_1": BALANCER},
}
CHANGED: dict[str, Any] = {
    "network": replace(NETWORK, subnets=(replace(SUBNET, mtu=1400),)),
    "group": replace(GROUP, rules=GROUP.rules[:1]),
    "router": replace(ROUTER, nat=ROUTER.nat[:1]),
    "port": replace(PORT, groups=()),
    "balancer": replace(BALANCER, listeners=BALANCER.listeners[:1]),
}


def peers() -> tuple[PeerSpec, PeerSpec]:
    """The two ends of one peering."""
    addresses = ("169.254.0.5", "fd59:756e:6c6b:1::1"), ("169.254.0.6", "fd59:756e:6c6b:1::2")
    ranges = ("10.0.0.0/24", "2001:db8:1::/64"), ("10.19.0.0/25", "2001:db8:2::/64")

    def end(name: str, other: str, mine: int) -> PeerSpec:
        four, six = addresses[mine]
        hops = {4: addresses[1 - mine][0], 6: addresses[1 - mine][1]}
        return PeerSpec(name, other, (f"{four}/30", f"{six}/64"), hops, ranges[mine], ranges[1 - mine])

    return end("pee_1-a", "pee_1-b", 0), end("pee_1-b", "pee_1-a", 1)


def build(engine: NetworkEngine) -> None:
    """A whole small cloud."""
    engine.apply_network(NETWORK)
    engine.apply_network(OUTSIDE)
    engine.apply_group(GROUP)
    engine.apply_router(ROUTER)
    engine.apply_port(PORT)


class NetworkEngineContract:
    """Subclasses give the fixture ``engine``."""

    def test_it_says_its_version(self, engine: NetworkEngine) -> None:
        assert engine.alive()

    def test_a_new_engine_is_empty(self, engine: NetworkEngine) -> None:
        assert engine.inventory() == NOTHING

    def test_what_was_applied_is_in_the_inventory(self, engine: NetworkEngine) -> None:
        build(engine)
        assert engine.inventory() == {
            "network": {"net_1", "net_2"},
            "router": {"rtr_1"},
            "group": {"sgr_1"},
            "set": set(),
            "port": {"prt_1"},
            "balancer": set(),
        }

    def test_applying_again_changes_nothing(self, engine: NetworkEngine) -> None:
        build(engine)
        before = engine.inventory()
        build(engine)
        assert engine.inventory() == before

    def test_what_is_as_its_spec_says_does_not_differ_and_comparing_changes_nothing(
        self, engine: NetworkEngine
    ) -> None:
        build(engine)
        engine.apply_balancer(BALANCER)
        for kind, specs in SPECS.items():
            assert engine.differing(kind, specs) == {}, kind
        before = engine.inventory()
        engine.differing("port", {"prt_9": replace(PORT, id="prt_9", uuid="a6b1c0b1-6a94-4a30-9b88-57b0b81f0e09")})
        assert engine.inventory() == before

    def test_what_differs_from_its_spec_is_told_with_what_of_it(self, engine: NetworkEngine) -> None:
        build(engine)
        engine.apply_balancer(BALANCER)
        for kind, changed in CHANGED.items():
            found = engine.differing(kind, {**SPECS[kind], changed.id: changed})
            assert set(found) == {changed.id}, kind
            assert all(found[changed.id]), kind
            getattr(engine, f"apply_{kind}")(changed)
            assert engine.differing(kind, {changed.id: changed}) == {}, kind

    def test_things_that_stand_on_each_other_are_made_at_once_or_not_at_all(self, engine: NetworkEngine) -> None:
        things = [("network", NETWORK), ("network", OUTSIDE), ("group", GROUP), ("router", ROUTER), ("port", PORT)]
        second = replace(
            PORT, id="prt_2", uuid="a6b1c0b1-6a94-4a30-9b88-57b0b81f0e09", mac="52:54:00:00:00:02",
            addresses=("10.0.0.12",), hostname="second",
        )  # fmt: skip
        with pytest.raises(DriverError):
            engine.apply([*things, ("port", replace(second, network_id="net_9"))])
        assert not any(engine.inventory().values())
        engine.apply([*things, ("port", second)])
        for kind, spec in (*things, ("port", second)):
            assert engine.differing(kind, {spec.id: spec}) == {}, spec.id
        engine.apply([("port", replace(second, groups=())), ("network", replace(NETWORK, name="renamed"))])
        assert engine.differing("port", {"prt_2": second})
        assert not engine.differing("network", {"net_1": replace(NETWORK, name="renamed")})

    def test_what_is_missing_or_stands_on_something_missing_differs(self, engine: NetworkEngine) -> None:
        for kind, specs in SPECS.items():
            assert set(engine.differing(kind, specs)) == set(specs), kind

    def test_what_was_written_to_is_suspect_once_or_everything_always_is(self, engine: NetworkEngine) -> None:
        build(engine)
        assert engine.suspects() is None
        again = engine.suspects()
        assert again is None or again == set()
        engine.apply_network(replace(NETWORK, name="renamed"))
        end = time.monotonic() + 5
        while (found := engine.suspects()) == set() and time.monotonic() < end:
            time.sleep(0.01)
        assert found is None or found == {("network", "net_1")}

    def test_removing_everything_leaves_nothing_and_may_be_repeated(self, engine: NetworkEngine) -> None:
        build(engine)
        for _again in range(2):
            engine.remove_port("prt_1")
            engine.remove_router("rtr_1")
            engine.remove_group("sgr_1")
            engine.remove_network("net_1")
            engine.remove_network("net_2")
        assert engine.inventory() == NOTHING

    def test_removing_a_network_takes_its_ports_along(self, engine: NetworkEngine) -> None:
        build(engine)
        engine.remove_router("rtr_1")
        engine.remove_network("net_1")
        assert engine.inventory()["port"] == set()
        assert engine.inventory()["network"] == {"net_2"}

    def test_a_set_of_addresses_comes_changes_and_goes(self, engine: NetworkEngine) -> None:
        engine.apply_set(OFFICE)
        engine.apply_set(replace(OFFICE, ranges=("198.51.100.7/32",)))
        rule = RuleSpec("ingress", protocol="tcp", remote="set:ads_1")
        engine.apply_group(replace(GROUP, rules=(rule,), stateless=True))
        assert engine.inventory()["set"] == {"ads_1"}
        for _again in range(2):
            engine.remove_set("ads_1")
        assert engine.inventory()["set"] == set()

    def test_a_port_needs_its_network(self, engine: NetworkEngine) -> None:
        engine.apply_group(GROUP)
        with pytest.raises(DriverError) as caught:
            engine.apply_port(PORT)
        assert not caught.value.retryable
        assert engine.inventory()["port"] == set()

    def test_a_port_needs_its_groups_and_nothing_is_written_without_them(self, engine: NetworkEngine) -> None:
        engine.apply_network(NETWORK)
        with pytest.raises(DriverError):
            engine.apply_port(PORT)
        assert engine.inventory()["port"] == set()

    def test_a_router_needs_the_networks_of_its_legs(self, engine: NetworkEngine) -> None:
        with pytest.raises(DriverError):
            engine.apply_router(ROUTER)
        assert engine.inventory()["router"] == set()

    def test_a_port_moves_between_networks_and_groups(self, engine: NetworkEngine) -> None:
        build(engine)
        engine.apply_group(GroupSpec("sgr_2", "web"))
        engine.apply_port(replace(PORT, network_id="net_2", groups=("sgr_2",), subnet_ids=()))
        assert engine.inventory()["port"] == {"prt_1"}
        engine.remove_router("rtr_1")
        engine.remove_network("net_1")
        assert engine.inventory()["port"] == {"prt_1"}
        engine.remove_network("net_2")
        assert engine.inventory()["port"] == set()

    def test_a_network_can_lose_a_subnet_and_a_router_its_outside(self, engine: NetworkEngine) -> None:
        build(engine)
        engine.apply_network(replace(NETWORK, subnets=()))
        engine.apply_router(replace(ROUTER, external=None, nat=(), routes={}, gateway_chassis=None))
        engine.remove_network("net_2")
        assert engine.inventory()["network"] == {"net_1"}

    def test_a_load_balancer_comes_changes_and_goes(self, engine: NetworkEngine) -> None:
        build(engine)
        for _again in range(2):
            engine.apply_balancer(BALANCER)
            assert engine.inventory()["balancer"] == {"lba_1"}
        engine.apply_balancer(replace(BALANCER, listeners=BALANCER.listeners[1:], router_ids=()))
        engine.apply_balancer(replace(BALANCER, listeners=()))
        assert engine.inventory()["balancer"] == {"lba_1"}
        for _again in range(2):
            engine.remove_balancer("lba_1")
        assert engine.inventory()["balancer"] == set()
        assert engine.inventory()["port"] == {"prt_1"}

    def test_a_load_balancer_outlives_its_networks_and_ports(self, engine: NetworkEngine) -> None:
        build(engine)
        engine.apply_balancer(BALANCER)
        engine.remove_port("prt_1")
        engine.remove_router("rtr_1")
        engine.remove_network("net_1")
        assert engine.inventory()["balancer"] == {"lba_1"}
        engine.apply_balancer(BALANCER)
        engine.remove_balancer("lba_1")
        assert engine.inventory()["balancer"] == set()

    def test_nobody_knows_how_unchecked_backends_are(self, engine: NetworkEngine) -> None:
        build(engine)
        engine.apply_balancer(replace(BALANCER, listeners=BALANCER.listeners[1:]))
        assert engine.backend_health() == []

    def test_a_router_forwards_ports_peers_and_lets_go_of_both(self, engine: NetworkEngine) -> None:
        build(engine)
        here, there = peers()
        forwards = (
            ForwardSpec("tcp", "203.0.113.10", 2222, "10.0.0.11", 22),
            ForwardSpec("udp", "203.0.113.60", 53, "10.0.0.11", 5353),
        )
        engine.apply_router(replace(ROUTER, routes={"0.0.0.0/0": "203.0.113.1", "10.20.0.0/16": "10.0.0.9"}))
        for _again in range(2):
            engine.apply_router(replace(ROUTER, forwards=forwards, peers=(here,)))
            engine.apply_router(RouterSpec("rtr_2", "theirs", peers=(there,)))
        engine.apply_router(ROUTER)
        engine.remove_router("rtr_2")
        engine.remove_router("rtr_1")
        assert engine.inventory()["router"] == set()

    def test_a_router_hands_traffic_to_machines_and_lets_go_of_them(self, engine: NetworkEngine) -> None:
        build(engine)
        legs = []
        for number in (1, 2, 3):
            engine.apply_network(NetworkSpec(f"net_9{number}", f"n{number}"))
            mac, address = f"0a:00:00:00:09:0{number}", f"10.9.{number}.1/24"
            legs.append(RouterInterfaceSpec(f"rif_9{number}", f"net_9{number}", mac, address))
        hops = (
            ChainHopSpec("rif_91", "10.9.1.5", "rif_92", "10.9.2.5"),
            ChainHopSpec("rif_93", "10.9.3.5", "rif_93", "10.9.3.5"),
        )  # fmt: skip
        whole = ChainSpec("chn_1", ROUTER.interfaces[0].id, "10.0.0.0/24", hops, "tcp", (80, 90))
        router = replace(ROUTER, interfaces=(*ROUTER.interfaces, *legs), peers=(peers()[0],))
        everything = replace(whole, protocol=None, ports=None)
        for chain in (whole, replace(whole, ports=(80, 80)), everything, replace(whole, hops=())):
            spec = replace(router, chains=(chain,))
            assert engine.differing("router", {"rtr_1": spec}) != {}
            engine.apply_router(spec)
            assert engine.differing("router", {"rtr_1": spec}) == {}
        engine.apply_router(ROUTER)
        assert engine.differing("router", {"rtr_1": ROUTER}) == {}

    def test_a_port_passes_on_what_others_send_only_while_it_is_to(self, engine: NetworkEngine) -> None:
        build(engine)
        open_to_all = replace(PORT, groups=(), port_security=False)
        for spec in (replace(PORT, passes_on=True), open_to_all, replace(open_to_all, passes_on=True)):
            engine.apply_port(spec)
            assert engine.differing("port", {"prt_1": spec}) == {}
            assert engine.differing("port", {"prt_1": PORT}) != {}
        engine.apply_port(PORT)
        assert engine.differing("port", {"prt_1": PORT}) == {}

    def test_only_ports_that_exist_are_up_or_down(self, engine: NetworkEngine) -> None:
        build(engine)
        engine.apply_port(
            replace(
                PORT, id="prt_2", uuid="a6b1c0b1-6a94-4a30-9b88-57b0b81f0e01", mac="52:54:00:00:00:02", enabled=False
            )
        )
        up = engine.ports_up(["prt_1", "prt_2", "prt_3"])
        assert set(up) == {"prt_1", "prt_2"}
        assert up["prt_2"] is False

    def test_further_senders_limits_and_marks_of_a_port_come_and_go(self, engine: NetworkEngine) -> None:
        build(engine)
        before = engine.inventory()
        talking = replace(
            PORT, addresses=("10.0.0.11", "10.0.0.12"),
            pairs=(("", "10.0.0.100"), ("00:00:5e:00:01:07", "10.0.1.0/24")),
            ingress=RateSpec(10_000, 4000), egress=RateSpec(20_000, 8000), dscp=46,
        )  # fmt: skip
        for spec in (talking, talking, replace(talking, egress=None, dscp=None), replace(talking, port_security=False)):
            engine.apply_port(spec)
            assert engine.inventory() == before
        engine.apply_port(PORT)
        engine.remove_port("prt_1")
        assert engine.inventory()["port"] == set()

    def test_names_may_be_any_text(self, engine: NetworkEngine) -> None:
        for number, name in enumerate(("默认网络", "a/b c", "<b>&\"'$(x);`y`", "n" * 300)):
            engine.apply_network(NetworkSpec(f"net_{number}", name))
            engine.apply_group(GroupSpec(f"sgr_{number}", name))
            engine.apply_router(RouterSpec(f"rtr_{number}", name))
        assert len(engine.inventory()["network"]) == 4

    def test_many_callers_at_once_all_get_through(self, engine: NetworkEngine) -> None:
        engine.apply_network(NETWORK)
        engine.apply_group(GROUP)
        failed: list[BaseException] = []

        def plug(number: int) -> None:
            try:
                for k in range(5):
                    n = number * 10 + k
                    engine.apply_port(
                        replace(
                            PORT,
                            id=f"prt_x{n}",
                            uuid=f"00000000-0000-4000-8000-{n:012d}",
                            mac=f"52:54:00:00:01:{n:02x}",
                            addresses=(f"10.0.0.{20 + n}",),
                            hostname=f"m{n}",
                        )
                    )
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=plug, args=(i,)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed
        assert len(engine.inventory()["port"]) == 30

    def test_a_port_that_goes_away_nudges(self, engine: NetworkEngine) -> None:
        build(engine)
        heard: list[str] = []
        engine.subscribe(heard.append)
        engine.remove_port("prt_1")
        end = time.monotonic() + 5
        while "prt_1" not in heard and time.monotonic() < end:
            time.sleep(0.01)
        assert "prt_1" in heard
