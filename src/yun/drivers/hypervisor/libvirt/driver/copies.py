"""New files below the disks of running domains: frozen, copied and pulled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yun.drivers.hypervisor.disk import DiskFormat
from yun.drivers.hypervisor.libvirt import copying, disks, pulling
from yun.drivers.hypervisor.libvirt.driver.domains import Domains, must_run
from yun.drivers.hypervisor.libvirt.events import agent_connected
from yun.drivers.hypervisor.port import BlockCopy


class RewritesDisks(Domains):
    """The part of the driver that gives running machines new files."""

    def freeze_disks(self, uuid: str, heads: Mapping[str, str], *, quiesce: bool) -> bool:
        def freeze(domain: Any) -> bool:
            must_run(domain)
            rests = quiesce and agent_connected(domain.XMLDesc(0))
            return disks.freeze(domain, heads, quiesce=rests)

        return self._on(uuid, freeze)

    def begin_copy(self, uuid: str, slot: str, path: str, *, format: DiskFormat = "qcow2") -> None:
        self._on_running(uuid, lambda domain: copying.begin(domain, slot, path, format))

    def copy_state(self, uuid: str, slot: str) -> BlockCopy | None:
        return self._on(
            uuid, lambda domain: copying.state(domain, slot) if domain.isActive() else None, missing=lambda: None
        )

    def finish_copy(self, uuid: str, slot: str) -> None:
        self._on_running(uuid, lambda domain: copying.finish(domain, slot))

    def abandon_copy(self, uuid: str, slot: str) -> None:
        self._on(
            uuid, lambda domain: copying.abandon(domain, slot) if domain.isActive() else None, missing=lambda: None
        )

    def begin_pull(self, uuid: str, slot: str, base: str) -> None:
        self._on_running(uuid, lambda domain: pulling.begin(domain, slot, base))

    def begin_commit(self, uuid: str, slot: str, top: str, base: str) -> None:
        self._on_running(uuid, lambda domain: pulling.commit(domain, slot, top, base))

    def pull_state(self, uuid: str, slot: str) -> float | None:
        return self._on(
            uuid, lambda domain: pulling.state(domain, slot) if domain.isActive() else None, missing=lambda: None
        )

    def flush_disk(self, uuid: str, slot: str) -> None:
        self._on_running(uuid, lambda domain: pulling.flush(domain, slot))

    def abandon_pull(self, uuid: str, slot: str) -> None:
        def abandon(domain: Any) -> None:
            if domain.isActive():
                pulling.abandon(domain, slot)

        self._on(uuid, abandon, missing=lambda: None)
