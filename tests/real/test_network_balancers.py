"""Load balancers as callers see them, in a private host with real OVN: shares, checks, affinity, hairpins, undo."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.real.private_host import PrivateHost

pytestmark = pytest.mark.real
BOTH = ["web1", "web2"]


@pytest.fixture(scope="module")
def saw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the program inside the private host saw."""
    host = PrivateHost("balancebox", tmp_path_factory.mktemp("balancebox"))
    try:
        said = host.run(sys.executable, "-m", "tests.real.balancer_room", str(host.directory / "state"), timeout=200)
        yield json.loads(said)
    finally:
        host.close()


def test_members_are_checked_though_no_rule_lets_the_checks_in(saw: dict[str, Any]) -> None:
    assert saw["healthy"] == {"web1": "online", "web2": "online"}
    assert saw["outside_closed"] == "", "the security groups still decide who gets through"


def test_neighbours_the_host_the_world_and_members_themselves_reach_both_members(saw: dict[str, Any]) -> None:
    assert [saw["same_group"], saw["outside"], saw["world"], saw["itself"]] == [BOTH] * 4


def test_a_dead_member_gets_nothing_until_it_answers_again(saw: dict[str, Any]) -> None:
    assert saw["dying"] == {"web1": "offline", "web2": "online"}
    assert saw["without_the_dead"] == [["web2"], ["web2"]]
    assert saw["back"] == BOTH


def test_with_affinity_a_caller_keeps_its_member_and_undo_takes_that_back(saw: dict[str, Any]) -> None:
    assert saw["sticky"] == 1
    assert saw["loose_by_undo"] is True


def test_a_removed_member_gets_nothing(saw: dict[str, Any]) -> None:
    assert saw["one_less"] == ["web2"]


def test_a_deleted_load_balancer_answers_nobody_leaves_nothing_and_comes_back_by_undo(saw: dict[str, Any]) -> None:
    assert saw["deleted"] == ["", ""]
    assert saw["back_by_undo"] is True
    assert saw["left"] == ""
