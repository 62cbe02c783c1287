"""What consoles need of the cloud's drivers, and the long-lived things one process keeps for them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from starlette.requests import HTTPConnection

from yun.compute.console.pictures import Pictures
from yun.compute.console.serial import Switchboard
from yun.compute.console.tickets import Seat

T = TypeVar("T")
CALLS = 16
PICTURES = 4


class Machine(Protocol):
    """The part of a hypervisor driver that consoles use; every method names a machine by its UUID."""

    def screenshot(self, uuid: str) -> bytes:
        """The screen as PNG."""
        ...

    def open_graphics(self, uuid: str, kind: Literal["vnc", "spice"] = "vnc") -> socket.socket:
        """A connected socket of the screen."""
        ...

    def open_serial(self, uuid: str) -> socket.socket:
        """A connected socket of the serial port."""
        ...

    def serial_log(self, uuid: str, tail: int = 65536) -> bytes:
        """The end of what the serial port printed."""
        ...

    def send_keys(self, uuid: str, keycodes: Sequence[int], hold_ms: int = 50) -> None:
        """Press keys together."""
        ...


class Consoles:
    """What a web process keeps of consoles: open serial lines, recent pictures, and threads of its own for calls.

    Own threads, because a hypervisor that stands still must not use up those that answer pages.
    """

    def __init__(self, drivers: Any) -> None:
        self._drivers = drivers
        self._calls = CapacityLimiter(CALLS)
        self.lines = Switchboard(self.call)
        self.pictures = Pictures(CapacityLimiter(PICTURES))

    def machine(self, seat: Seat) -> Machine:
        """The driver of the seat's host. `DriverError` where the host cannot be reached."""
        found: Machine = self._drivers.on(seat.host_id).hypervisor
        return found

    async def call(self, work: Callable[[], T]) -> T:
        """``work()`` in a thread of the consoles' own."""
        return await anyio.to_thread.run_sync(work, limiter=self._calls)


def consoles_of(connection: HTTPConnection) -> Consoles:
    """The consoles of the application that serves this connection, made on first use."""
    state = connection.app.state
    if not hasattr(state, "consoles"):
        state.consoles = Consoles(state.cloud.drivers)
    found: Consoles = state.consoles
    return found
