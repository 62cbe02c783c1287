"""The part of the hypervisor's port that changes the size of what runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Sizes(Protocol):
    """vCPUs and memory of a machine that runs."""

    def set_vcpus(self, uuid: str, count: int) -> None:
        """A running or paused domain has at least ``count`` vCPUs: more are plugged in, none is ever taken away.
        `DriverError` (not retryable) for more than its board allows."""
        ...

    def set_memory(self, uuid: str, memory_mib: int) -> None:
        """A running or paused domain is to have so much memory, as fast as its guest gives and takes it: from what it
        was started with up to its board's most, by whole blocks of 2 MiB; where it cannot grow, down from what it was
        started with. `DriverError` (not retryable) outside of that."""
        ...

    def pin_vcpus(self, uuid: str, pins: Sequence[str]) -> None:
        """The vCPUs of a running or paused domain run on these host processors: one set for all, one for each, or on
        any where there are none. `DriverError` (not retryable) for processors that the host has not."""
        ...
