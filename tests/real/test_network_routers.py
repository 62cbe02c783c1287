"""Routers as machines live behind them, in a private host: NAT, forwarded ports, floating IPs that move, static routes,
and peerings of two projects with a capture of what crosses."""

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
    host = PrivateHost("routers", tmp_path_factory.mktemp("routers"))
    try:
        words = (sys.executable, "-m", "tests.real.network_routers_room", str(host.directory / "state"))
        yield json.loads(host.run(*words, timeout=240))
    finally:
        host.close()


def test_what_leaves_has_the_routers_address_unless_it_is_to_keep_its_own(saw: dict[str, Any]) -> None:
    assert saw["up"] is True
    assert saw["world"] == "198.51.100.1"
    assert saw["translated"] == saw["own"] == saw["again"]
    assert saw["untranslated"] == "10.1.0.2"


def test_a_way_out_that_was_taken_comes_back_by_undo_with_its_address(saw: dict[str, Any]) -> None:
    assert saw["cleared"] is True
    assert saw["way_out_by_undo"] == saw["own"]


def test_two_machines_are_reached_at_one_address_port_by_port(saw: dict[str, Any]) -> None:
    assert saw["forwarded"] == ["172.31.240.1", "172.31.240.1", ""]
    assert saw["out_beside_it"] == "198.51.100.1"
    assert saw["forwarded_floating"][:2] == ["172.31.240.1", "172.31.240.1"]


def test_a_forwarding_ends_alone_and_comes_back_by_undo(saw: dict[str, Any]) -> None:
    assert saw["ended"] is True
    assert saw["forwarded_by_undo"] == "172.31.240.1"


def test_a_floating_ip_moves_from_one_machine_to_the_other_and_back(saw: dict[str, Any]) -> None:
    assert saw["floating_one"] == ["172.31.240.1", ""]
    assert saw["floating_two"] == ["172.31.240.1", ""]
    assert saw["from_floating"] == "172.31.240.91"
    assert saw["floating_back"] == ["172.31.240.1", ""]


def test_a_static_route_leads_through_a_second_router(saw: dict[str, Any]) -> None:
    assert saw["without_route"] is False
    assert saw["with_route"] is True
    assert saw["route_undone"] is True
    assert saw["routed_again"] is True


NOTHING = [False] * 6
ONLY_AGREED = [True, False, False, True, False, False]


def test_nothing_crosses_to_another_project_before_it_agrees(saw: dict[str, Any]) -> None:
    assert saw["theirs_up"] is True
    assert saw["before_asking"] == saw["before_consent"] == NOTHING
    assert saw["crossed_before_consent"] == 0


def test_with_consent_only_the_agreed_networks_reach_each_other(saw: dict[str, Any]) -> None:
    assert saw["with_consent"] == ONLY_AGREED
    assert saw["crossed_with_consent"] >= 2
    assert saw["crossed_from_elsewhere"] == 0
    assert saw["way_out_through_peer"] == ""


def test_nothing_crosses_after_the_other_side_ended_it(saw: dict[str, Any]) -> None:
    assert saw["after_end"] == NOTHING
    assert saw["crossed_after_end"] == 0
    assert saw["peered_by_undo"] is True


def test_a_peering_carries_ipv6_between_the_agreed_ranges_alone(saw: dict[str, Any]) -> None:
    assert saw["six_up"] is True
    assert saw["six_apart"] is False
    assert saw["six_peered"] == [True, True, False, False]
    assert saw["six_ended"] is True
    assert saw["six_by_undo"] is True
