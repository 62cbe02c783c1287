"""Ports that come up at once are looked at together: a thousand machines that start are not a thousand operations."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Crowd:
    """Hands ports on to ``look``: one that comes by itself at once, those that come right after it together."""

    SECONDS, MOST = 0.1, 500

    def __init__(self, look: Callable[[list[str]], None]) -> None:
        self._look = look
        self._waiting: dict[str, None] = {}
        self._open = False
        self._lock = threading.Lock()

    def add(self, port_id: str) -> None:
        """One more. From any thread."""
        with self._lock:
            if self._open:
                self._waiting[port_id] = None
                return
            self._open = True
        self._look([port_id])
        self._later()

    def _later(self) -> None:
        timer = threading.Timer(self.SECONDS, self._close)
        timer.daemon = True
        timer.start()

    def _close(self) -> None:
        with self._lock:
            ports, self._waiting = list(self._waiting)[: self.MOST], dict.fromkeys(list(self._waiting)[self.MOST :])
            self._open = bool(ports)
        if ports:
            self._look(ports)
            self._later()
