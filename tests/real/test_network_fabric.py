"""Networks across hosts, in a fabric of two: isolation, DHCP and names far away, sizes of packets, ways out and in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.real.fabric import fabric

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def saw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the program on the first host saw."""
    with fabric(tmp_path_factory.mktemp("fabric")) as made:
        yield made.see("tests.real.network_fabric")


def test_ports_on_both_hosts_come_up(saw: dict[str, Any]) -> None:
    assert saw["up"] is True


def test_two_networks_give_out_the_same_addresses(saw: dict[str, Any]) -> None:
    assert saw["addresses"]["near"] == saw["addresses"]["blue1"]


def test_dhcp_serves_the_far_host_as_the_near_one(saw: dict[str, Any]) -> None:
    assert {name: lease.split()[0] for name, lease in saw["leases"].items()} == saw["addresses"]
    assert saw["leases"]["out"].split()[2:5] == ["10.77.0.1", "198.51.100.2", "1442"]


def test_tcp_crosses_the_tunnel_both_ways(saw: dict[str, Any]) -> None:
    assert saw["ping_across"] is True
    assert saw["tcp_across"] == saw["addresses"]["near"]
    assert saw["tcp_back"] == saw["addresses"]["far1"]
    assert saw["rate_across"] > 5.0


def test_a_network_neither_reaches_nor_hears_another_one_with_the_same_range(saw: dict[str, Any]) -> None:
    assert saw["blue_reaches_red"] is False
    assert saw["blue_hears_red"] == 0
    assert saw["far_hears_near"] is True


def test_the_largest_packet_crosses_the_tunnel_uncut_and_a_larger_one_does_not(saw: dict[str, Any]) -> None:
    assert (saw["whole"], saw["larger"]) == ("yes", "too big")
    assert (saw["whole_from_a_liar"], saw["larger_from_a_liar"]) == ("yes", "no")


def test_the_far_host_goes_out_through_the_first_one(saw: dict[str, Any]) -> None:
    assert saw["gateway"] is True
    assert saw["neighbour"] is True
    assert saw["world_sees"] == "198.51.100.1"


def test_a_floating_ip_leads_to_the_far_host_and_keeps_its_groups_rules(saw: dict[str, Any]) -> None:
    assert saw["ssh_from_host"] == "172.31.240.1"
    assert saw["ping_from_host"] is True
    assert saw["closed"] == ""


def test_names_are_answered_on_the_far_host(saw: dict[str, Any]) -> None:
    assert saw["name"] == saw["addresses"]["home"]
