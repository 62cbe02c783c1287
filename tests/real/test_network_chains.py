"""Service chains on real OVN and two hosts: a firewall with two cards, one with one, and what happens without them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.real.fabric import fabric

pytestmark = pytest.mark.real

PASSED = [True, True]
AROUND = [False, False]


@pytest.fixture(scope="module")
def saw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the program on the first host saw."""
    with fabric(tmp_path_factory.mktemp("chains")) as made:
        yield made.see("tests.real.network_chains", timeout=280)


def test_without_a_chain_the_direct_way_is_taken(saw: dict[str, Any]) -> None:
    assert saw["up"] is True
    assert saw["direct"] == ["10.1.0.2", *AROUND]


@pytest.mark.parametrize("key", ["one_hop", "two_hops"])
def test_both_directions_pass_the_machines_on_both_hosts_in_and_out_of_the_cloud(saw: dict[str, Any], key: str) -> None:
    assert saw[key] == {
        "out": ["10.1.0.2", *PASSED],
        "from_the_other_host": ["10.1.0.3", *PASSED],
        "in": ["10.2.0.2", *PASSED],
        "in_to_the_other_host": ["10.2.0.2", *PASSED],
        "world": ["198.51.100.1", *PASSED],
        "world_by_floating": ["198.51.100.1", *PASSED],
        "floating": ["172.31.240.1", *PASSED],
        "ping": [True, *PASSED],
    }


def test_the_second_machine_sees_as_much_in_both_directions(saw: dict[str, Any]) -> None:
    out, back = saw["second_passed"]
    assert min(out, back) > 10
    assert abs(out - back) < 10, "one answers the other"


def test_neighbours_the_router_and_the_machine_itself_are_reached_without_it(saw: dict[str, Any]) -> None:
    assert saw["next_to_it"] == ["10.1.0.2", True, True]


def test_a_neighbour_of_the_machine_outside_passes_it_and_one_inside_is_reached_directly(saw: dict[str, Any]) -> None:
    for called, passed in (saw["outside_neighbour"][0], PASSED), (saw["inside_neighbour"][0], AROUND):
        assert called[0].startswith("10.1")
        assert called[1:] == passed
    assert saw["outside_neighbour"][1] == ["10.1.0.2", *PASSED]
    assert saw["inside_neighbour"][1] == ["10.1.0.2", *AROUND]


def test_what_the_machine_drops_does_not_arrive_and_nothing_goes_around_it(saw: dict[str, Any]) -> None:
    assert saw["dropped"] == ["", True, ""]
    assert saw["not_forwarding"] == ["", False, ""]


def test_other_hops_are_undone(saw: dict[str, Any]) -> None:
    assert saw["one_hop_by_undo"] == [["10.1.0.2", *AROUND], True]


def test_only_the_chains_ports_and_only_while_it_uses_them_may_write_any_sender(saw: dict[str, Any]) -> None:
    assert saw["spoofed"] == [True, False]
    assert saw["spoofed_without"] is False


def test_only_connections_to_certain_ports_pass_whoever_begins_them(saw: dict[str, Any]) -> None:
    to_80, from_outside, to_81, echo = saw["classified"]
    assert to_80 == ["10.1.0.2", *PASSED]
    assert from_outside == ["10.2.0.2", *PASSED]
    assert to_81 == ["10.1.0.2", *AROUND]
    assert echo == [True, *AROUND]


def test_while_the_machine_is_away_nothing_passes_unless_it_may_be_left_out(saw: dict[str, Any]) -> None:
    assert saw["blocked"] == ["", "", "blocking"]
    assert saw["bypassed"] == [["10.1.0.2", *AROUND], "bypassing"]
    assert saw["back_again"] == [["10.1.0.2", *PASSED], "working"]
    assert saw["bypassed_by_itself"] == [["10.1.0.2", *AROUND], "bypassing"]


def test_a_chain_that_is_deleted_comes_back_by_undo(saw: dict[str, Any]) -> None:
    assert saw["ended"] == ["10.1.0.2", *AROUND]
    assert saw["by_undo"] == ["10.1.0.2", *PASSED]


def test_yun_says_what_ovn_does(saw: dict[str, Any]) -> None:
    assert saw["judged"]["out"] == [[True, True, ""], True]
    assert saw["judged"]["in"] == [[True, True, ""], True]
    assert saw["judged"]["neighbours"] == [True, False, ""]
    assert saw["judged_blocked"] == [False, True, "chain"]


def test_ipv6_goes_through_too(saw: dict[str, Any]) -> None:
    assert saw["ipv6"] == [True, True, True]


def test_what_comes_from_a_peering_goes_through_and_only_what_was_agreed_comes_in(saw: dict[str, Any]) -> None:
    assert saw["peered"] == [True, True, []]
