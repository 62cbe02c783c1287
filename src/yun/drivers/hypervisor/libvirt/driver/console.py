"""Screens, serial ports and keyboards of domains."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any, Literal

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.libvirt import files, look
from yun.drivers.hypervisor.libvirt.driver.domains import must_run
from yun.drivers.hypervisor.libvirt.driver.look import LooksAtDomains

SKIP_AUTH = 1
LINUX_KEYS = 0


class OpensConsoles(LooksAtDomains):
    """The part of the driver that a person sits in front of."""

    def screenshot(self, uuid: str) -> bytes:
        def shoot(domain: Any) -> bytes:
            must_run(domain)
            stream = domain.connect().newStream(0)
            domain.screenshot(stream, 0)
            parts = []
            while part := stream.recv(262120):
                parts.append(part)
            stream.finish()
            return b"".join(parts)

        return look.as_png(self._on(uuid, shoot))

    def open_graphics(self, uuid: str, kind: Literal["vnc", "spice"] = "vnc") -> socket.socket:
        def open_it(domain: Any) -> socket.socket:
            must_run(domain)
            screens = look.screens(domain.XMLDesc(0))
            if kind not in screens:
                raise DriverError(_("The machine has no {kind} screen.", kind=kind.upper()), private=uuid)
            return socket.socket(fileno=domain.openGraphicsFD(screens.index(kind), SKIP_AUTH))

        return self._on(uuid, open_it)

    def open_serial(self, uuid: str) -> socket.socket:
        def live_xml(domain: Any) -> str:
            must_run(domain)
            return str(domain.XMLDesc(0))

        return files.connect_serial(self._on(uuid, live_xml))

    def serial_log(self, uuid: str, tail: int = 65536) -> bytes:
        return files.read_serial_log(self.xml(uuid, live=False), tail)

    def send_keys(self, uuid: str, keycodes: Sequence[int], hold_ms: int = 50) -> None:
        def press(domain: Any) -> None:
            must_run(domain)
            domain.sendKey(LINUX_KEYS, hold_ms, list(keycodes), len(keycodes), 0)

        self._on(uuid, press)
