"""The default networks as guests live in them, in a private host: DHCP, names, groups, NAT, floating IP, undo."""

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
    host = PrivateHost("netbox", tmp_path_factory.mktemp("netbox"))
    try:
        said = host.run(sys.executable, "-m", "tests.real.network_room", str(host.directory / "state"), timeout=150)
        yield json.loads(said)
    finally:
        host.close()


def test_ports_come_up_and_are_told_so(saw: dict[str, Any]) -> None:
    assert saw["up"] is True


def test_dhcp_gives_each_port_its_own_address_router_resolver_and_mtu(saw: dict[str, Any]) -> None:
    assert saw["addresses"] == ["10.77.0.2", "10.77.0.3"]
    told = "255.255.240.0 10.77.0.1 198.51.100.2 1442 default.internal"
    assert saw["leases"] == [f"{a} {told}" for a in saw["addresses"]]


def test_neighbours_reach_each_other_and_know_their_names(saw: dict[str, Any]) -> None:
    assert saw["ping"] is True
    assert saw["group_member"] == "10.77.0.3"
    assert saw["name"] == "10.77.0.3"


def test_a_false_sender_does_not_get_through(saw: dict[str, Any]) -> None:
    assert saw["spoofed"] is False


def test_the_floating_ip_answers_ssh_and_ping_and_nothing_else(saw: dict[str, Any]) -> None:
    assert saw["ssh_from_host"] == "172.31.240.1"
    assert saw["ping_from_host"] is True
    assert saw["closed"] == ""


def test_a_rule_opens_a_port_and_undo_closes_it(saw: dict[str, Any]) -> None:
    assert saw["opened"] == "172.31.240.1"
    assert saw["closed_by_undo"] is True


def test_the_world_sees_the_host_whoever_calls(saw: dict[str, Any]) -> None:
    assert saw["world_sees"] == ["198.51.100.1", "198.51.100.1"]


def test_taking_the_floating_ip_off_is_undone(saw: dict[str, Any]) -> None:
    assert saw["floating_off"] is True
    assert saw["floating_on_by_undo"] is True


def test_an_unplugged_port_comes_back_as_it_was(saw: dict[str, Any]) -> None:
    assert saw["unplugged"] is True
    assert saw["plugged_by_undo"] is True
