"""What the machine room in memory says of itself and its machines."""

from __future__ import annotations

import math
import time
import zlib
from typing import Literal

from yun.drivers.hypervisor.fake.calls import Calls
from yun.drivers.hypervisor.fake.models import MODELS
from yun.drivers.hypervisor.fake.world import FakeDomain
from yun.drivers.hypervisor.libvirt.domain_xml import domain_xml
from yun.drivers.hypervisor.port import DomainState, DomainStats, HypervisorFacts, Power


class FakeLook(Calls):
    """The part of the driver in memory that only looks."""

    def facts(self) -> HypervisorFacts:
        with self._call("facts"):
            return HypervisorFacts("9.0.0", "7.2.0", "fake", self.world.cpus, self.world.memory_mib)

    def cpu_models(self, accel: Literal["kvm", "tcg"]) -> dict[str, bool]:
        with self._call("cpu_models"):
            return dict(MODELS)

    def state(self, uuid: str) -> DomainState:
        with self._call("state", uuid):
            domain = self.world.domains.get(uuid)
            return DomainState(Power.MISSING) if domain is None else self._state(domain)

    def states(self) -> dict[str, DomainState]:
        with self._call("states"):
            return {uuid: self._state(domain) for uuid, domain in self.world.domains.items()}

    def _state(self, domain: FakeDomain) -> DomainState:
        return DomainState(domain.power, domain.reason, self.world.agent_of(domain))

    def stats(self) -> dict[str, DomainStats]:
        with self._call("stats"):
            now = time.monotonic()
            return {u: _stats(d, now - d.started) for u, d in self.world.domains.items() if d.live is not None}

    def xml(self, uuid: str, *, live: bool) -> str:
        with self._call("xml", uuid):
            domain = self._get(uuid)
            return domain_xml(domain.live if live and domain.live else domain.spec)


def _stats(domain: FakeDomain, up: float) -> DomainStats:
    """Counters that move like a lightly used machine's, each machine with a rhythm of its own."""
    spec = domain.live or domain.spec
    seed = zlib.crc32(spec.uuid.encode())
    level, wave = 0.05 + seed % 40 / 100, 60 + seed % 240
    busy = up * level + level * wave / (2 * math.pi) * (1 - math.cos(2 * math.pi * up / wave))
    memory = spec.memory_mib * 1024
    used = int(memory * (0.3 + 0.1 * math.sin(up / 97 + seed % 7)))
    io = int(busy * (1 << 20) * (1 + seed % 5))
    return DomainStats(
        cpu_ns=int(busy * spec.vcpus * 0.5e9),
        vcpus=spec.vcpus,
        memory_kib=memory,
        memory_used_kib=used if domain.has_agent else None,
        disk_read_bytes=io,
        disk_write_bytes=io // 3,
        net_rx_bytes=io // 2 if spec.nics else 0,
        net_tx_bytes=io // 5 if spec.nics else 0,
    )
