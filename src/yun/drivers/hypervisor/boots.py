"""The part of the hypervisor's port that tells from what the guest of a running machine boots when it restarts."""

from __future__ import annotations

from typing import Protocol


class Boots(Protocol):
    """What a restart of a guest by itself boots from: the machine goes on, so its definition does not count then."""

    def restart_order(self, uuid: str) -> tuple[str, ...]:
        """The devices (slots, MACs) that a restart of the guest of a running or paused domain tries, in this order;
        empty where none runs."""
        ...

    def restart_as_defined(self, uuid: str) -> None:
        """A restart of the guest of a running or paused domain tries the devices in the order of its definition, as far
        as it has them now; `DriverError` (not retryable) where none runs."""
        ...
