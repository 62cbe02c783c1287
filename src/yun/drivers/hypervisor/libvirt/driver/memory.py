"""Keeping what a guest has in memory, and waking it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yun.base.messages import Message
from yun.drivers.hypervisor import memory as rules
from yun.drivers.hypervisor.libvirt import files, strangers
from yun.drivers.hypervisor.libvirt import memory as images
from yun.drivers.hypervisor.libvirt.domain_xml import mark
from yun.drivers.hypervisor.libvirt.driver.definitions import DefinesDomains
from yun.drivers.hypervisor.libvirt.driver.domains import must_run
from yun.drivers.hypervisor.libvirt.errors import NO_DOMAIN
from yun.drivers.hypervisor.port import DomainSpec, MemoryFacts

SECONDS_PER_GIB = 60.0
"""How long writing or reading a gigabyte of memory may take, beyond what every call may."""


class RemembersDomains(DefinesDomains):
    """The part of the driver that keeps memory."""

    def freeze_with_memory(self, uuid: str, heads: Mapping[str, str], memory: str) -> float | None:
        def freeze(domain: Any) -> float | None:
            must_run(domain)
            return images.freeze(domain, heads, memory)

        return self._on(uuid, freeze, timeout=self._patience(self._mib(uuid)))

    def memory_facts(self, memory: str) -> MemoryFacts | None:
        return images.facts(memory)

    def unfit(self, spec: DomainSpec, memory: str) -> Message | None:
        seen = images.facts(memory)
        here = self._connection.call(lambda conn: (images.emulator(conn), images.host_cpu(conn)))
        return rules.unfit(spec, seen, *here)

    def wake(self, spec: DomainSpec, memory: str, *, paused: bool = False) -> None:
        files.prepare(spec)

        def wake(conn: Any) -> None:
            try:
                if conn.lookupByUUIDString(spec.uuid).isActive():
                    return
            except Exception as error:
                if getattr(error, "get_error_code", lambda: None)() != NO_DOMAIN:
                    raise
            images.wake(conn, spec, memory, paused=paused)
            domain = conn.lookupByUUIDString(spec.uuid)
            if spec.metadata:
                strangers.write_mark(domain, mark(spec.metadata))

        self._connection.call(wake, uuid=spec.uuid, timeout=self._patience(spec.memory_mib))
        self.define(spec)

    def discard_memory(self, memory: str) -> None:
        images.discard(memory)

    def _mib(self, uuid: str) -> int:
        return self._on(uuid, lambda domain: int(domain.info()[1]) // 1024)

    def _patience(self, mib: int) -> float:
        return self._connection.timeout + mib / 1024 * SECONDS_PER_GIB
