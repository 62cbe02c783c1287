"""The part of the hypervisor's port that plugs network cards."""

from __future__ import annotations

from typing import Protocol

from yun.drivers.hypervisor.port.answers import PluggedNic
from yun.drivers.hypervisor.port.spec import NicSpec


class PlugsNics(Protocol):
    """Network cards of a machine that runs, and their cables."""

    def attach_nic(self, uuid: str, nic: NicSpec) -> None:
        """Plug a network card into a running or paused domain (`DriverError` otherwise); its definition stays as it is.

        Nothing happens where a card of this MAC and this port is there already. `DriverError` (not retryable) where
        another card has the MAC, or the machine has no free place for one more.
        """
        ...

    def detach_nic(self, uuid: str, mac: str) -> None:
        """Ask the guest of a running or paused domain to let a card go; its definition stays as it is.

        Returns when it was asked and promises nothing: only `nics` tells whether the card has gone. A paused guest
        answers when it goes on; asking again is fine, also for a card that has gone.
        """
        ...

    def set_link(self, uuid: str, mac: str, up: bool) -> None:
        """Put the cable of a running or paused domain's card in, or pull it; its definition stays as it is.
        `DriverError` (not retryable) where no card has the MAC."""
        ...

    def nics(self, uuid: str) -> dict[str, PluggedNic]:
        """What cards are really plugged into a running or paused domain, by MAC in lower case; empty where none
        runs."""
        ...
