"""The part of the hypervisor's port that asks guests through their agents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from yun.drivers.hypervisor.port.answers import GuestFacts


class AsksGuests(Protocol):
    """Questions to the agent inside a machine that runs."""

    def agent(
        self, uuid: str, command: str, arguments: Mapping[str, object] | None = None, timeout: float = 5
    ) -> object:
        """One guest-agent command, its ``return`` value. `DriverError` where no agent answers within ``timeout`` s."""
        ...

    def guest(self, uuid: str) -> GuestFacts:
        """What the guest tells of itself. `DriverError` where no agent answers, retryable."""
        ...

    def addresses(self, uuid: str) -> dict[str, list[str]]:
        """MAC → addresses as the guest's agent tells them; empty without an agent."""
        ...
