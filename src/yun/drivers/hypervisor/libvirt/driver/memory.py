"""Keeping what a guest has in memory, and waking it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yun.base.errors import DriverError
from yun.base.messages import Message, _
from yun.drivers.hypervisor.libvirt import files
from yun.drivers.hypervisor.libvirt.driver.domains import Domains, must_run
from yun.drivers.hypervisor.libvirt.memory import freezing, image, waking
from yun.drivers.hypervisor.port import DomainSpec, MemoryFacts


class RemembersDomains(Domains):
    """The part of the driver that keeps memory."""

    def freeze_with_memory(self, uuid: str, heads: Mapping[str, str], memory: str) -> float | None:
        def freeze(domain: Any) -> float | None:
            must_run(domain)
            return freezing.freeze(domain, heads, memory)

        most = self._on(uuid, lambda domain: int(domain.info()[1]) / 1024)
        # Whoever takes too long is stopped inside: the call itself has time to tell of it.
        return self._on(uuid, freeze, timeout=self._connection.timeout + 2 * freezing.seconds(most))

    def memory_facts(self, memory: str) -> MemoryFacts | None:
        return image.facts(memory)

    def unfit(self, spec: DomainSpec, memory: str) -> Message | None:
        return self._connection.call(lambda conn: waking.unfit(conn, spec, memory))

    def wake(self, spec: DomainSpec, memory: str, *, paused: bool = False) -> None:
        files.prepare(spec)
        self._connection.call(
            lambda conn: waking.wake(conn, spec, memory, paused=paused), uuid=spec.uuid,
            timeout=self._connection.timeout + freezing.seconds(spec.memory_mib),
        )  # fmt: skip

    def discard_memory(self, memory: str) -> None:
        try:
            image.discard(memory)
        except OSError as error:
            reason = error.strerror or str(error)
            raise DriverError(_("The memory image cannot be removed: {reason}", reason=reason)) from error
