"""The part of the hypervisor's port that switches machines on and off."""

from __future__ import annotations

from typing import Literal, Protocol


class Switches(Protocol):
    """Power, as a person would press it."""

    def start(self, uuid: str) -> None:
        """Running afterwards. Paused domains are resumed."""
        ...

    def destroy(self, uuid: str) -> None:
        """Power cut: stopped afterwards; nothing happens to a stopped or missing domain."""
        ...

    def shutdown(self, uuid: str, how: Literal["agent", "acpi"]) -> None:
        """Ask the guest to power off; returns at once and promises nothing. Stopped domains: nothing happens.
        `DriverError` (not retryable) where ``agent`` is asked and none is connected."""
        ...

    def reboot(self, uuid: str, how: Literal["agent", "acpi", "reset"]) -> None:
        """Ask the guest to reboot, or reset it like the button on the case. Precondition: running, and for
        ``agent`` a connected agent (`DriverError`, not retryable)."""
        ...

    def suspend(self, uuid: str) -> None:
        """Paused afterwards: vCPUs stand still, memory stays. Precondition: running or paused."""
        ...

    def resume(self, uuid: str) -> None:
        """Running afterwards. Precondition: running or paused."""
        ...
