"""What meddling with OVN and the death of each of its daemons do to a cloud of two hosts: nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.real.fabric import fabric

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def saw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the program on the first host saw."""
    with fabric(tmp_path_factory.mktemp("faults")) as made:
        yield made.see("tests.real.network_faults", timeout=280)


def test_all_is_well_before(saw: dict[str, Any]) -> None:
    assert saw["up"] is True
    assert saw["well"] is True


def test_what_somebody_changed_in_the_northbound_database_is_mended_and_told(saw: dict[str, Any]) -> None:
    seen = saw["drift"]
    assert seen["at_rest"] == {}
    mended = seen["told"]["network.mended"]
    words = {kind: columns for kind, _id, *columns in mended["mended"]}
    assert "Logical_Switch_Port.addresses" in words["port"]
    assert "Port_Group.acls" in words["group"]
    assert mended["counts"] == {"mended": 2, "removed": 0}
    assert seen["again"] == {}
    assert seen["notice"] is True
    assert seen["well"] is True


def test_a_strangers_rows_stay(saw: dict[str, Any]) -> None:
    assert saw["drift"]["strange"] == 1


def test_cards_that_a_dead_machine_left_in_the_switch_go_and_a_strangers_stay(saw: dict[str, Any]) -> None:
    assert len(saw["leftovers"]["told"]["network.swept"]["ports"]) == 1
    assert saw["leftovers"]["left"] == ["vnet8", "one"]


def test_changes_made_while_northd_was_dead_come_into_force(saw: dict[str, Any]) -> None:
    seen = saw["northd_away"]
    assert seen["traffic_meanwhile"] is True
    assert seen["down_meanwhile"] == "down"
    assert (seen["up"], seen["lease"], seen["reached"]) == (True, True, True)
    assert seen["told"] == {}


def test_operations_wait_for_the_northbound_database_and_say_so(saw: dict[str, Any]) -> None:
    seen = saw["northbound_away"]
    assert seen["state"] == seen["still"] == "running"
    assert "The network engine does not answer." in seen["says"]
    assert seen["traffic_meanwhile"] is True
    assert seen["ended"] == "succeeded"
    assert seen["cancelled"] == "cancelled"
    assert seen["groups"] == [True, False]
    assert seen["well"] is True


def test_a_lost_northbound_database_is_made_again_from_the_rows(saw: dict[str, Any]) -> None:
    seen = saw["northbound_lost"]
    assert seen["well"] is True
    assert seen["inventory"]["port"] == 3
    assert seen["told"]["mended"] == sum(seen["inventory"].values())
    assert seen["again"] == {}


def test_a_lost_southbound_database_fills_again(saw: dict[str, Any]) -> None:
    assert saw["southbound_lost"] == {"chassis": True, "well": True, "up": True}


def test_restarts_of_switches_and_controllers_are_survived(saw: dict[str, Any]) -> None:
    seen = saw["switches"]
    assert seen["after_switches"] is True
    assert seen["controller_away"] == "stopped"
    assert seen["after_controllers"] is True
    assert seen["told"] == {}


def test_a_host_with_another_name_keeps_its_ports(saw: dict[str, Any]) -> None:
    assert saw["names"] == {"well": True, "up": True, "chassis": ["h1", "h2"], "well_again": True}
