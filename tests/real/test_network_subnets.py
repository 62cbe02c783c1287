"""Subnets as guests live in them, in a private host: IPv6 in three ways, what DHCP tells and tells anew, names."""

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
    host = PrivateHost("subbox", tmp_path_factory.mktemp("subbox"))
    try:
        said = host.run(sys.executable, "-m", "tests.real.network_subnets", str(host.directory / "state"), timeout=150)
        yield json.loads(said)
    finally:
        host.close()


def test_guests_make_the_addresses_that_the_rows_say(saw: dict[str, Any]) -> None:
    assert saw["up"] is True
    assert saw["made"] == saw["planned"]
    assert saw["routers"] == [True, True, True]


def test_dhcpv6_gives_the_address_and_tells_servers_and_domain(saw: dict[str, Any]) -> None:
    assert saw["not_made"] == ""
    assert saw["given_row"] == "fd00:b::2"
    assert saw["given"] == "fd00:b::2 fd00:a::53 given.internal"
    assert saw["told"] == "- fd00:a::53 default.internal"


def test_two_subnets_reach_each_other_with_packets_of_full_size(saw: dict[str, Any]) -> None:
    assert saw["across"] is True
    assert saw["across_full"] is True
    assert saw["both_ways"] is True


def test_an_address_that_is_not_its_own_does_not_get_through(saw: dict[str, Any]) -> None:
    assert saw["spoofed"] is False


def test_ipv6_comes_to_machines_that_are_there_and_goes_by_undo(saw: dict[str, Any]) -> None:
    assert saw["late"] == ["", True]
    assert saw["late_speaks"] is True
    assert saw["late_undone"] == ["10.3.0.2"]


def test_what_guests_are_told_changes_while_their_ports_go_on(saw: dict[str, Any]) -> None:
    assert saw["options"] == "1442 told.internal 198.51.100.2 - 3600 -"
    routes = "192.168.7.0/24>10.4.0.9,0.0.0.0/0>10.4.0.1"
    assert saw["changed"] == f"1400 new 10.4.0.8 10.4.0.7 600 {routes}"
    assert saw["undone"] == f"1442 told.internal 10.4.0.8 10.4.0.7 600 {routes}"
    assert saw["silent"] is True
    assert saw["serves_again"] is True


def test_names_are_answered_inside_the_network_and_the_rest_by_the_resolver(saw: dict[str, Any]) -> None:
    names = saw["names"]
    assert names["own only4 A"].startswith("0 10.1.0.")
    assert names["own ONLY4.default.internal AAAA"].startswith("0 fd00:a::5054:")
    assert names["asker web4 A"] == names["asker web4.default.internal A"] == f"0 {saw['web4']}"
    assert names["asker 2.0.5.10.in-addr.arpa PTR"] == "0 web4.default.internal"
    assert names["own given A"] == "3", "names end at their network"
    assert names["asker example.org A"] == "0 192.0.2.80"
    assert names["asker nowhere.example A"] == "3"


def test_a_networks_own_records_are_answered_until_they_are_deleted(saw: dict[str, Any]) -> None:
    assert saw["record"] == ["0 192.0.2.33", "0 192.0.2.33", "0 fd00::33"]
    assert saw["record_gone"] is True


def test_a_name_without_ipv6_is_found_without_a_stall(saw: dict[str, Any]) -> None:
    assert saw["names"]["asker web4.default.internal AAAA"] == "3"
    seconds, _space, found = saw["quick"].partition(" ")
    assert found == saw["web4"]
    assert float(seconds) < 1.0
