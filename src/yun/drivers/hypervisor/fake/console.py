"""Screens, serial ports and keyboards of the machines in memory."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Literal

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.fake.calls import Calls


class FakeConsole(Calls):
    """The part of the driver in memory that a person sits in front of."""

    def screenshot(self, uuid: str) -> bytes:
        with self._call("screenshot", uuid):
            return self._active(uuid).guest.screenshot()

    def open_graphics(self, uuid: str, kind: Literal["vnc", "spice"] = "vnc") -> socket.socket:
        with self._call("open_graphics", uuid):
            domain = self._active(uuid)
            assert domain.live is not None
            if domain.live.board.display not in (kind, "both"):
                raise DriverError(_("The machine has no {kind} screen.", kind=kind.upper()), private=uuid)
            return domain.guest.open_graphics() if kind == "vnc" else domain.guest.open_spice()

    def open_serial(self, uuid: str) -> socket.socket:
        with self._call("open_serial", uuid):
            return self._active(uuid).guest.open_serial()

    def serial_log(self, uuid: str, tail: int = 65536) -> bytes:
        with self._call("serial_log", uuid):
            return self._get(uuid).guest.log(tail)

    def send_keys(self, uuid: str, keycodes: Sequence[int], hold_ms: int = 50) -> None:
        with self._call("send_keys", uuid):
            self._active(uuid).guest.press(keycodes)
