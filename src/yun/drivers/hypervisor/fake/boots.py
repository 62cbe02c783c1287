"""From what the machines in memory boot: at their start, and when their guests restart."""

from __future__ import annotations

from yun.drivers.hypervisor.fake.calls import Calls
from yun.drivers.hypervisor.fake.world import ACTIVE, tried


class FakeBoots(Calls):
    """The part of the driver in memory that concerns what is booted from."""

    def restart_order(self, uuid: str) -> tuple[str, ...]:
        with self._call("restart_order", uuid):
            domain = self.world.domains.get(uuid)
            return domain.restarts_from if domain is not None and domain.power in ACTIVE else ()

    def restart_as_defined(self, uuid: str) -> None:
        with self._call("restart_as_defined", uuid):
            domain = self._active(uuid)
            assert domain.live is not None
            there = {*(d.slot for d in domain.live.disks), *(n.mac for n in domain.live.nics)}
            domain.restarts_from = tuple(name for name in tried(domain.spec) if name in there)
