"""The part of the hypervisor's port that only looks."""

from __future__ import annotations

from typing import Protocol

from yun.drivers.hypervisor.port.answers import DomainState, DomainStats, HypervisorFacts


class Looks(Protocol):
    """The truth about a host and its machines."""

    def facts(self) -> HypervisorFacts:
        """Versions and size of the host; also the liveness probe of the daemon."""
        ...

    def state(self, uuid: str) -> DomainState:
        """The truth about one domain; `Power.MISSING` where it is not defined."""
        ...

    def states(self) -> dict[str, DomainState]:
        """The truth about all domains, ours and strangers', in one call."""
        ...

    def stats(self) -> dict[str, DomainStats]:
        """Counters of all running domains in one call that never waits for a busy domain."""
        ...

    def xml(self, uuid: str, *, live: bool) -> str:
        """The domain's XML, secrets left out: the running one, or what the next start will use."""
        ...
