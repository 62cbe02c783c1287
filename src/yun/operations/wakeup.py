"""How a commit wakes the dispatchers of this process: callables, called after the commit."""

from __future__ import annotations

import threading
from collections.abc import Callable

CHANNEL = "yun_operations"
_DISPATCHERS: list[Callable[[], None]] = []
_LOCK = threading.Lock()


def register(dispatcher: Callable[[], None]) -> None:
    """Call ``dispatcher`` at each wake-up."""
    with _LOCK:
        _DISPATCHERS.append(dispatcher)


def unregister(dispatcher: Callable[[], None]) -> None:
    """No longer."""
    with _LOCK:
        if dispatcher in _DISPATCHERS:
            _DISPATCHERS.remove(dispatcher)


def wake() -> None:
    """Wake them all; from any thread."""
    with _LOCK:
        dispatchers = list(_DISPATCHERS)
    for dispatcher in dispatchers:
        dispatcher()
