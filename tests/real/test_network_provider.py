"""A network on what is beyond a card, in a private host: its tag on the wire, machines of both sides, and its end."""

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
    host = PrivateHost("provbox", tmp_path_factory.mktemp("provbox"))
    try:
        said = host.run(sys.executable, "-m", "tests.real.network_provider", str(host.directory / "state"), timeout=120)
        yield json.loads(said)
    finally:
        host.close()


def test_a_card_by_which_the_host_itself_is_reached_is_refused(saw: dict[str, Any]) -> None:
    assert "198.51.100.1" in saw["own_address"]
    assert saw["left"] == ["physnet1:br-ex", False]


def test_machines_of_both_sides_reach_each_other_by_the_tag(saw: dict[str, Any]) -> None:
    assert saw["mapped"] == "physnet1:br-ex,lan:br-lan"
    assert saw["up"] is True
    assert saw["lease"].startswith("192.168.42.10 255.255.255.0 192.168.42.1 ")
    assert " 1500 " in saw["lease"]
    assert saw["tagged"] is True
    assert saw["untagged"] is False


def test_every_frame_on_the_wire_has_the_tag(saw: dict[str, Any]) -> None:
    assert saw["wire"] == "42"


def test_undo_takes_network_mapping_and_bridge_away(saw: dict[str, Any]) -> None:
    assert saw["after"] == ["physnet1:br-ex", False]
