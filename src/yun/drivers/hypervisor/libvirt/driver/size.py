"""The size of running domains."""

from __future__ import annotations

from collections.abc import Sequence

from yun.drivers.hypervisor.libvirt import size
from yun.drivers.hypervisor.libvirt.driver.domains import Domains


class SizesDomains(Domains):
    """The part of the driver that changes vCPUs and memory."""

    def set_vcpus(self, uuid: str, count: int) -> None:
        self._on_running(uuid, lambda domain: size.set_vcpus(domain, count))

    def set_memory(self, uuid: str, memory_mib: int) -> None:
        self._on_running(uuid, lambda domain: size.set_memory(domain, memory_mib))

    def pin_vcpus(self, uuid: str, pins: Sequence[str]) -> None:
        self._on_running(uuid, lambda domain: size.pin_vcpus(domain, tuple(pins)))
