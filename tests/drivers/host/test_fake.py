"""The fake host obeys the contract and breaks on command."""

from __future__ import annotations

import pytest

from tests.drivers.host.contract import HostContract
from yun.base.errors import DriverError
from yun.drivers.host.fake import FakeMachine


class TestFake(HostContract):
    @pytest.fixture
    def machine(self) -> FakeMachine:
        return FakeMachine()


def test_a_service_that_refuses_to_start_says_so_and_stays_down() -> None:
    machine = FakeMachine()
    machine.break_service("libvirt")
    machine.refuse.add("libvirt")
    with pytest.raises(DriverError) as caught:
        machine.start_service("libvirt")
    assert caught.value.retryable
    assert {s.name: s.state for s in machine.services()}["libvirt"] == "stopped"


def test_a_missing_service_cannot_be_started() -> None:
    machine = FakeMachine()
    machine.break_service("ovn-central", "missing")
    with pytest.raises(DriverError, match="not installed"):
        machine.start_service("ovn-central")


def test_only_ports_without_a_tap_are_stale() -> None:
    machine = FakeMachine()
    machine.ports = {"a": True, "b": False, "c": False}
    assert machine.remove_stale_ports(["c"]) == ["b"]
    assert machine.ports == {"a": True, "c": False}
