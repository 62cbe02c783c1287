"""Security groups as machines live with them, in a private host with real OVN, and our judge against `ovn-trace`."""

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
    host = PrivateHost("groupbox", tmp_path_factory.mktemp("groupbox"))
    try:
        said = host.run(sys.executable, "-m", "tests.real.groups_room", str(host.directory / "state"), timeout=280)
        yield json.loads(said)
    finally:
        host.close()


def test_what_a_rule_allows_passes_with_its_answers_and_nothing_else(saw: dict[str, Any]) -> None:
    today = saw["everyday"]
    assert today["up"] is True
    assert today["allowed"] is True
    assert today["denied"] == ""
    assert today["from_outside"] == [True, False]


def test_a_rule_for_another_group_lets_in_its_ports_alone(saw: dict[str, Any]) -> None:
    assert saw["everyday"]["other_group"] == [True, False]
    assert saw["everyday"]["judged"] == [True, False, True, False]


def test_a_machine_inside_reaches_another_by_its_floating_ip_as_the_judge_says(saw: dict[str, Any]) -> None:
    assert saw["everyday"]["loop"] == [True, True]


def test_a_rule_follows_its_address_set(saw: dict[str, Any]) -> None:
    assert saw["everyday"]["set"] == [False, True, True, True]


def test_a_stateless_group_needs_a_rule_for_the_answers(saw: dict[str, Any]) -> None:
    assert saw["everyday"]["stateless"] == [True, True, True, True, True]


def test_a_standing_connection_stops_with_its_rule_and_goes_on_when_it_is_back(saw: dict[str, Any]) -> None:
    assert saw["everyday"]["standing"] == {"before": "yes", "stopped": True, "new": "", "again": True}


def test_what_a_rule_lets_in_and_what_is_dropped_is_noted_by_the_controller(saw: dict[str, Any]) -> None:
    told = saw["noted"]["told"]
    assert told["TCP 80 from anybody"][0] >= 1
    assert told["TCP 80 from anybody"][1] == 80
    assert told["dropped: no rule allows it"][0] >= 1
    assert told["dropped: no rule allows it"][1] == 443
    assert saw["noted"]["still"] == 0


def test_the_judge_and_ovn_say_the_same_of_a_hundred_random_questions(saw: dict[str, Any]) -> None:
    found = saw["compared"]
    assert found["wrong"] == []
    assert found["same"] == found["cases"] == 100
    assert 15 <= found["yes"] <= 85, "the questions are not all alike"


def test_the_judge_and_real_packets_say_the_same(saw: dict[str, Any]) -> None:
    found = saw["compared"]["packets"]
    assert len(found) >= 20
    assert [f for f in found if f[4] != f[5]] == []
