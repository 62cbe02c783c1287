"""The size of the running machines in memory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.fake.calls import Calls


class FakeSize(Calls):
    """The part of the driver in memory that changes vCPUs and memory of what runs."""

    def set_vcpus(self, uuid: str, count: int) -> None:
        with self._call("set_vcpus", uuid):
            domain = self._active(uuid)
            assert domain.live is not None
            most = max(domain.live.board.max_vcpus, domain.live.vcpus)
            if count > most:
                raise DriverError(_("The machine can have {most} vCPUs at most.", most=most))
            domain.live = replace(domain.live, vcpus=max(count, domain.live.vcpus))

    def set_memory(self, uuid: str, memory_mib: int) -> None:
        with self._call("set_memory", uuid):
            domain = self._active(uuid)
            assert domain.live is not None
            least, most = domain.begun_mib, domain.live.board.memory_max_mib
            if most <= least:
                least, most = 1, domain.begun_mib
            if not least <= memory_mib <= most or (most > domain.begun_mib and (memory_mib - least) % 2):
                text = _("The machine can have from {least} to {most} MiB of memory.", least=least, most=most)
                raise DriverError(text)
            domain.live = replace(domain.live, memory_mib=memory_mib)

    def pin_vcpus(self, uuid: str, pins: Sequence[str]) -> None:
        with self._call("pin_vcpus", uuid):
            domain = self._active(uuid)
            assert domain.live is not None
            if any(int(n) >= self.world.cpus for pin in pins for n in re.findall(r"\d+", pin)):
                raise DriverError(_("The host has {count} processors.", count=self.world.cpus))
            domain.live = replace(domain.live, board=replace(domain.live.board, pins=tuple(pins)))
