"""The part of the hypervisor's port that only looks."""

from __future__ import annotations

from typing import Literal, Protocol

from yun.drivers.hypervisor.port.answers import DomainState, DomainStats, HypervisorFacts


class Looks(Protocol):
    """The truth about a host and its machines."""

    def facts(self) -> HypervisorFacts:
        """Versions and size of the host; also the liveness probe of the daemon."""
        ...

    def cpu_models(self, accel: Literal["kvm", "tcg"]) -> dict[str, bool]:
        """Every processor model by name that a machine under this accelerator can have, and whether the host gives all
        that is in it; a machine with one that it does not give in full starts with the rest. ``host-passthrough``,
        ``host-model`` and ``maximum`` are ways to choose one, and not among them."""
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
