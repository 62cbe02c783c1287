"""The part of the hypervisor's port that a person sits in front of."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Literal, Protocol


class Consoles(Protocol):
    """Screen, serial port and keyboard of a machine that runs."""

    def screenshot(self, uuid: str) -> bytes:
        """The screen as PNG. Precondition: running."""
        ...

    def open_graphics(self, uuid: str, kind: Literal["vnc", "spice"] = "vnc") -> socket.socket:
        """A connected, authenticated socket of the running domain's screen; the caller closes it. ``vnc`` speaks RFB;
        ``spice`` is one channel's link, of which a viewer opens several. `DriverError` (not retryable) where the
        machine has no screen of this kind."""
        ...

    def open_serial(self, uuid: str) -> socket.socket:
        """A connected stream socket of the running domain's serial port, raw bytes; the caller closes it. The port
        has room for one: whoever opens it while another holds it waits without a byte until the other leaves."""
        ...

    def serial_log(self, uuid: str, tail: int = 65536) -> bytes:
        """The last ``tail`` bytes that the serial port ever printed, over all boots; empty where nothing was."""
        ...

    def send_keys(self, uuid: str, keycodes: Sequence[int], hold_ms: int = 50) -> None:
        """Press Linux key codes together and release them. Precondition: running."""
        ...
