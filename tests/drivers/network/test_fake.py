"""The network engine in memory keeps the contract, outlives a restart, and fails when told to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.drivers.network.contract import NETWORK, PORT, NetworkEngineContract, build
from yun.base.errors import DriverError
from yun.drivers.network.fake import FakeNetworkEngine, World


class TestFake(NetworkEngineContract):
    @pytest.fixture
    def engine(self) -> FakeNetworkEngine:
        return FakeNetworkEngine()


def test_the_world_outlives_the_engine() -> None:
    world = World()
    first = FakeNetworkEngine(world)
    build(first)
    first.close()
    assert FakeNetworkEngine(world).inventory()["port"] == {"prt_1"}


def test_an_engine_that_is_away_fails_retryably_and_comes_back() -> None:
    engine = FakeNetworkEngine()
    engine.world.away = True
    with pytest.raises(DriverError) as caught:
        engine.apply_network(NETWORK)
    assert caught.value.retryable
    engine.world.away = False
    engine.apply_network(NETWORK)
    assert engine.inventory()["network"] == {"net_1"}


def test_a_fault_hits_as_many_calls_as_ordered() -> None:
    engine = FakeNetworkEngine()
    engine.world.fail("apply_network", times=2, retryable=True)
    for _again in range(2):
        with pytest.raises(DriverError):
            engine.apply_network(NETWORK)
    engine.apply_network(NETWORK)
    assert engine.world.calls["apply_network"] == 1


def test_a_port_with_a_host_comes_up_unless_it_is_dark() -> None:
    engine = FakeNetworkEngine()
    build(engine)
    assert engine.ports_up(["prt_1"]) == {"prt_1": True}
    engine.world.dark.add("prt_1")
    assert engine.ports_up(["prt_1"]) == {"prt_1": False}
    engine.apply_port(replace(PORT, id="prt_2", host=None))
    assert engine.ports_up(["prt_2"]) == {"prt_2": False}


def test_a_closed_engine_hears_nothing_more() -> None:
    world = World()
    engine, heard = FakeNetworkEngine(world), []
    engine.subscribe(heard.append)
    engine.close()
    world.nudge("prt_1")
    assert heard == []


def test_equal_worlds_have_equal_snapshots() -> None:
    one, two = FakeNetworkEngine(), FakeNetworkEngine()
    build(one)
    build(two)
    assert one.world.snapshot() == two.world.snapshot()
    two.remove_port("prt_1")
    assert one.world.snapshot() != two.world.snapshot()


def test_what_another_cloud_made_is_neither_listed_nor_removed() -> None:
    world = World()
    one, two = FakeNetworkEngine(world), FakeNetworkEngine(world)
    one.own("prj_one")
    two.own("prj_two")
    build(one)
    assert not any(two.inventory().values())
    for remove, thing in (
        (two.remove_router, "rtr_1"), (two.remove_port, "prt_1"), (two.remove_network, "net_1"),
        (two.remove_group, "sgr_1"),
    ):  # fmt: skip
        remove(thing)
    assert one.inventory() == FakeNetworkEngine(world).inventory()
    assert one.inventory()["port"] == {"prt_1"}


def test_what_carries_no_mark_becomes_the_clouds_that_applies_it() -> None:
    world = World()
    build(FakeNetworkEngine(world))
    engine = FakeNetworkEngine(world)
    engine.own("prj_one")
    assert not any(engine.inventory().values())
    build(engine)
    assert engine.inventory() == FakeNetworkEngine(world).inventory()
