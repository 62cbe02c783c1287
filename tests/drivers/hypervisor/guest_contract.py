"""What every hypervisor driver tells of the inside of machines; joined to the contract of machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from yun.base.errors import DriverError

if TYPE_CHECKING:
    from tests.drivers.hypervisor.contract import Room


class GuestContract:
    """The booted guest tells of itself; machines without an agent do not."""

    def test_a_guest_tells_what_it_is(self, room: Room) -> None:
        from tests.drivers.hypervisor.contract import until

        until(lambda: room.driver.state(room.booted).agent, 240)
        facts = room.driver.guest(room.booted)
        assert facts.os_id
        assert facts.os_name
        assert facts.hostname
        (root,) = [f for f in facts.file_systems if f.mount == "/"]
        assert root.slots == ("vda",)
        assert root.type == "ext4"
        assert root.device.startswith("/dev/vda")
        assert root.total_bytes is not None
        assert root.used_bytes is not None
        assert 0 < root.used_bytes < root.total_bytes

    def test_a_guest_without_agent_tells_nothing(self, room: Room) -> None:
        uuid = room.machine()
        with pytest.raises(DriverError) as caught:
            room.driver.guest(uuid)
        assert not caught.value.retryable
        room.driver.start(uuid)
        self._silence(room, uuid)
        with pytest.raises(DriverError) as caught:
            room.driver.guest(uuid)
        assert caught.value.retryable
        room.driver.destroy(uuid)

    def _silence(self, room: Room, uuid: str) -> None:
        """Make sure that the guest has no agent, as `Contract` and its rooms do."""
