"""Worker threads, each with a connection of its own, whose work may be abandoned.

One connection carries one call at a time: libvirt's client lets a call that hangs (one machine standing still) delay
all others of its connection by seconds. A call that never returns costs a thread, not the caller. The standard
library's executor joins its threads at exit and would hang there with the daemon; these are daemon threads.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from yun.base.log import logger
from yun.drivers.hypervisor.libvirt.errors import too_slow

log = logger(__name__)
MOST_ABANDONED = 32
IDLE_SECONDS = 60.0


class Job:
    """One piece of work on a connection: `wait` for it, or let the pool abandon it."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self._work = work
        self._done = threading.Event()
        self._result: Any = None
        self._error: BaseException | None = None
        self.abandoned = False

    def run(self, conn: Any) -> None:
        """Do the work, keep what it gave."""
        try:
            self._result = self._work(conn)
        except BaseException as error:
            self._error = error
        finally:
            self._done.set()

    def fail(self, error: BaseException) -> None:
        """There is no connection to work on."""
        self._error = error
        self._done.set()

    def wait(self, seconds: float) -> bool:
        """Whether it ended within ``seconds``."""
        return self._done.wait(max(0.0, seconds))

    def result(self) -> Any:
        """What the work returned, or its exception raised. Precondition: it ended."""
        if self._error is not None:
            raise self._error
        return self._result


class Pool:
    """At most ``size`` jobs at a time; each abandoned one gives its place back until it returns.

    ``connect`` opens a worker's connection, in the worker.
    """

    def __init__(self, size: int, connect: Callable[[], Any]) -> None:
        self._size, self._connect = size, connect
        self._jobs: deque[Job] = deque()
        self._change = threading.Condition()
        self._threads = self._waiting = self._abandoned = 0
        self._closed = False

    def submit(self, work: Callable[[Any], Any]) -> Job:
        """Queue ``work``. `DriverError` (retryable) while too many abandoned jobs have not returned."""
        job = Job(work)
        with self._change:
            if self._abandoned >= MOST_ABANDONED:
                raise too_slow(0, "too many calls never returned")
            self._jobs.append(job)
            if self._waiting >= len(self._jobs):
                self._change.notify()
            elif self._threads - self._abandoned < self._size:
                self._threads += 1
                threading.Thread(target=self._loop, name="libvirt-call", daemon=True).start()
        return job

    def abandon(self, job: Job) -> None:
        """Nobody waits for ``job`` any more; if it has not begun, it never will."""
        with self._change:
            if job in self._jobs:
                self._jobs.remove(job)
            elif not job.wait(0):
                job.abandoned = True
                self._abandoned += 1

    def close(self) -> None:
        """Let idle workers end; busy ones end after their job."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    def _loop(self) -> None:
        conn: Any = None
        while (job := self._next()) is not None:
            try:
                conn = conn if conn is not None else self._connect()
            except Exception as error:
                job.fail(error)
            else:
                job.run(conn)
            with self._change:
                self._abandoned -= job.abandoned
        if conn is not None:
            _close(conn)

    def _next(self) -> Job | None:
        """The next job; None where this worker is no longer needed."""
        with self._change:
            while not self._jobs:
                crowded = self._threads - self._abandoned > self._size
                self._waiting += 1
                woken = not self._closed and not crowded and self._change.wait(IDLE_SECONDS)
                self._waiting -= 1
                if not woken and not self._jobs:
                    self._threads -= 1
                    return None
            return self._jobs.popleft()


def _close(conn: Any) -> None:
    try:
        conn.close()
    except Exception as error:
        log.debug("closing a worker's connection: %s", error)
