"""Worker threads whose work may be abandoned: a call that never returns costs a thread, not the caller.

The standard library's executor joins its threads at exit and would hang there with the daemon; these are daemon
threads.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from yun.drivers.hypervisor.libvirt.errors import too_slow

MOST_ABANDONED = 32


class Job:
    """One piece of work: `wait` for it, or `abandon` it."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._done = threading.Event()
        self._result: Any = None
        self._error: BaseException | None = None
        self.abandoned = False

    def run(self) -> None:
        """Do the work, keep what it gave."""
        try:
            self._result = self._work()
        except BaseException as error:
            self._error = error
        finally:
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
    """At most ``size`` jobs at a time; each abandoned one gives its place back until it returns."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = self._idle = self._abandoned = 0

    def submit(self, work: Callable[[], Any]) -> Job:
        """Queue ``work``. `DriverError` (retryable) while too many abandoned jobs have not returned."""
        job = Job(work)
        with self._lock:
            if self._abandoned >= MOST_ABANDONED:
                raise too_slow(0, "too many calls never returned")
            self._jobs.put(job)
            if self._idle == 0 and self._threads - self._abandoned < self._size:
                self._threads += 1
                threading.Thread(target=self._loop, name="libvirt-call", daemon=True).start()
            elif self._idle:
                self._idle -= 1
        return job

    def abandon(self, job: Job) -> None:
        """Nobody waits for ``job`` any more; if it has not begun, it never will."""
        with self._lock:
            if not job.wait(0):
                job.abandoned = True
                self._abandoned += 1

    def close(self) -> None:
        """Let idle workers end; busy ones end after their job."""
        with self._lock:
            for _n in range(self._threads):
                self._jobs.put(None)

    def _loop(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            if not job.abandoned:
                job.run()
            with self._lock:
                if job.abandoned:
                    self._abandoned -= 1
                if self._threads - self._abandoned > self._size and self._jobs.empty():
                    self._threads -= 1
                    return
                self._idle += 1
