"""Ports on real OVN in a private host: several addresses, addresses that move, false senders, limits, counters,
recordings."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.real.private_host import PrivateHost

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def saw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the program inside the private host saw."""
    host = PrivateHost("portbox", tmp_path_factory.mktemp("portbox"))
    try:
        said = host.run(sys.executable, "-m", "tests.real.ports_room", str(host.directory / "state"), timeout=220)
        yield json.loads(said)
    finally:
        host.close()


def test_each_gets_its_first_address_and_answers_at_a_second_one(saw: dict[str, Any]) -> None:
    assert saw["up"] is True
    assert saw["leases"] == saw["addresses"]
    assert saw["second"] is True
    assert f"one={saw['addresses'][0]} 10.77.0.77" in saw["named"].replace('"', ""), "the network's DNS has both"
    assert saw["second_after_undo"] is False


def test_an_address_moves_between_ports_that_may_both_speak_as_it(saw: dict[str, Any]) -> None:
    assert saw["not_allowed"] is False
    assert (saw["at_one"], saw["at_two"]) == (True, True)
    assert saw["moved_in"] < 3


def test_so_does_one_with_a_mac_of_its_own(saw: dict[str, Any]) -> None:
    assert (saw["virtual_mac_at_one"], saw["virtual_mac_at_two"]) == (True, True)
    assert saw["themselves_again"] == [True, True]


def test_a_false_sender_gets_through_without_port_security_only(saw: dict[str, Any]) -> None:
    assert (saw["spoofed"], saw["spoofed_without"], saw["spoofed_again"]) == (False, True, True)


@pytest.mark.parametrize("side", ["ingress", "egress"])
@pytest.mark.parametrize("kbps", [10_000, 40_000])
def test_tcp_gets_what_a_limit_says(saw: dict[str, Any], side: str, kbps: int) -> None:
    assert saw["free"] > 60
    assert saw[f"{side}_{kbps}"] == pytest.approx(kbps / 1000, rel=0.25)


def test_undone_limits_leave_nothing_and_marks_reach_the_other_side(saw: dict[str, Any]) -> None:
    assert saw["free_again"] > 60
    assert saw["rules_left"] == ""
    assert saw["marks"] == [46]


def test_a_recording_has_what_fits_of_its_port_and_nothing_of_another(saw: dict[str, Any]) -> None:
    one, two, _three = saw["addresses"]
    assert saw["pairs"] == sorted([f"{one}>{two}", f"{two}>{one}"])
    assert saw["count"] == 8
    assert saw["kinds"] == [1]


def test_it_ends_by_time_and_by_size_with_whole_packets(saw: dict[str, Any]) -> None:
    size, some, whole = saw["small"]
    assert 32 * 1024 < size <= 64 * 1024
    assert (some, whole) == (True, True)
    assert saw["short_ended"] is True
    assert saw["short_took"] < 4


def test_it_goes_on_when_whoever_began_it_is_killed_and_nothing_is_left_behind(saw: dict[str, Any]) -> None:
    assert saw["goes_on"] is True
    assert saw["orphan_ended"] is True
    assert saw["orphan_packets"] == 2
    assert saw["left"] == []
    assert saw["mirrors"] == ""


def test_counters_tell_what_went_through_either_end(saw: dict[str, Any]) -> None:
    poured = saw["poured"]
    assert poured > 1_000_000
    assert saw["sent"] >= saw["received"] * 0.99 >= poured * 0.9
    assert saw["acknowledged"] < saw["sent"] / 5
