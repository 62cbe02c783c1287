"""The truth about the host and its domains."""

from __future__ import annotations

from typing import Any, Literal

from yun.drivers.hypervisor.libvirt import look, models
from yun.drivers.hypervisor.libvirt.driver.domains import Domains
from yun.drivers.hypervisor.libvirt.events import agent_connected
from yun.drivers.hypervisor.port import DomainState, DomainStats, HypervisorFacts, Power

STATE_ONLY = 1
COUNTERS = 1 | 2 | 4 | 8 | 16 | 32
"""State, CPU, balloon, vCPU, interface, block."""
ACTIVE_ONLY, NEVER_WAIT = 1, 1 << 29


class LooksAtDomains(Domains):
    """The part of the driver that only looks."""

    def facts(self) -> HypervisorFacts:
        def ask(conn: Any) -> HypervisorFacts:
            model, memory_mib, cpus = conn.getInfo()[:3]
            return HypervisorFacts(_version(conn.getLibVersion()), _version(conn.getVersion()), model, cpus, memory_mib)

        return self._connection.call(ask)

    def cpu_models(self, accel: Literal["kvm", "tcg"]) -> dict[str, bool]:
        return self._connection.call(lambda conn: models.offered(conn, accel))

    def state(self, uuid: str) -> DomainState:
        def look_at(domain: Any) -> DomainState:
            state, reason = domain.state()
            agent = bool(domain.isActive()) and agent_connected(domain.XMLDesc(0))
            return look.read_state(state, reason, agent)

        return self._on(uuid, look_at, missing=lambda: DomainState(Power.MISSING))

    def states(self) -> dict[str, DomainState]:
        def look_at_all(conn: Any) -> dict[str, DomainState]:
            found = {}
            for domain, record in conn.getAllDomainStats(STATE_ONLY, NEVER_WAIT):
                uuid = domain.UUIDString()
                state, reason = record.get("state.state", 0), record.get("state.reason", 0)
                found[uuid] = look.read_state(state, reason, self._events.agent(uuid))
            return found

        return self._connection.call(look_at_all)

    def stats(self) -> dict[str, DomainStats]:
        def count(conn: Any) -> dict[str, DomainStats]:
            records = conn.getAllDomainStats(COUNTERS, ACTIVE_ONLY | NEVER_WAIT)
            return {domain.UUIDString(): look.read_stats(record) for domain, record in records}

        return self._connection.call(count)

    def xml(self, uuid: str, *, live: bool) -> str:
        inactive = 2
        return self._on(uuid, lambda domain: str(domain.XMLDesc(0 if live else inactive)))


def _version(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
