"""Delivery of nudges: a thread of the driver's tells subscribers which domain to look at again.

The daemon's own event loop must never wait for a subscriber (who may be writing to the database), so it only puts the
UUID here. A domain that is already waiting to be told is not queued twice.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable

from yun.base.log import logger

log = logger(__name__)


class Nudges:
    """A queue of UUIDs and the thread that empties it; the thread starts with the first subscriber."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._subscribers: list[tuple[object, Callable[[str], None]]] = []
        self._waiting: list[tuple[float, str]] = []
        self._due_now: set[str] = set()
        self._busy = False
        self._thread: threading.Thread | None = None
        self._closed = False

    def subscribe(self, owner: object, nudge: Callable[[str], None]) -> None:
        """Call ``nudge`` for everything put from now on, until `unsubscribe` of the same ``owner``."""
        with self._change:
            self._subscribers.append((owner, nudge))
            if self._thread is None:
                self._thread = threading.Thread(target=self._deliver, name="nudges", daemon=True)
                self._thread.start()

    def unsubscribe(self, owner: object) -> None:
        """Forget all subscriptions of ``owner``."""
        with self._change:
            self._subscribers = [(o, n) for o, n in self._subscribers if o is not owner]

    def put(self, uuid: str, *, delay: float = 0.0) -> None:
        """Tell subscribers about ``uuid`` (empty: about everything) after ``delay`` seconds. Never blocks."""
        with self._change:
            if not self._subscribers or self._closed:
                return
            if not delay:
                if uuid in self._due_now:
                    return
                self._due_now.add(uuid)
            heapq.heappush(self._waiting, (time.monotonic() + delay, uuid))
            self._change.notify_all()

    def flush(self, timeout: float) -> None:
        """Return when everything due now was delivered, or after ``timeout`` seconds."""
        end = time.monotonic() + timeout
        with self._change:
            while (self._busy or self._due()) and time.monotonic() < end:
                self._change.wait(0.02)

    def close(self) -> None:
        """Deliver no more."""
        with self._change:
            self._closed = True
            self._subscribers.clear()
            self._waiting.clear()
            self._due_now.clear()
            self._change.notify_all()

    def _due(self) -> bool:
        return bool(self._waiting) and self._waiting[0][0] <= time.monotonic()

    def _deliver(self) -> None:
        while True:
            with self._change:
                self._busy = False
                self._change.notify_all()
                while not self._due():
                    if self._closed:
                        return
                    self._change.wait(self._waiting[0][0] - time.monotonic() if self._waiting else None)
                _time, uuid = heapq.heappop(self._waiting)
                self._due_now.discard(uuid)
                subscribers = list(self._subscribers)
                self._busy = True
            for _owner, nudge in subscribers:
                try:
                    nudge(uuid)
                except Exception:
                    log.exception("a nudge for %s failed", uuid or "everything")
