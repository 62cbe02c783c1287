"""The way to libvirt: opened, kept alive and reopened by a thread of its own; calls end in time.

A daemon that was killed is noticed at once (end of file), one that stands still by unanswered calls: then further
calls are refused at once until it answers again. Nothing of the caller ever waits longer than its time-out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from yun.base.errors import DriverError
from yun.base.log import logger
from yun.drivers.hypervisor.libvirt.errors import away, lost_connection, not_installed, too_slow, translate
from yun.drivers.hypervisor.libvirt.pool import Job, Pool

log = logger(__name__)
T = TypeVar("T")

CALLS = 16
KEEPALIVE_SECONDS, KEEPALIVE_COUNT = 5, 3
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
SUSPICIOUS = 3.0
"""Seconds after which a call that has not returned makes us ask whether the daemon lives at all."""
_loop_lock = threading.Lock()
_loop: threading.Thread | None = None


def binding() -> Any:
    """The libvirt module with its event loop running. `DriverError` where it is not installed."""
    global _loop
    try:
        import libvirt
    except ImportError as error:
        raise not_installed() from error
    with _loop_lock:
        if _loop is None:
            libvirt.registerErrorHandler(lambda *_ignored: None, None)
            libvirt.virEventRegisterDefaultImpl()
            _loop = threading.Thread(target=_run_events, args=(libvirt,), name="libvirt-events", daemon=True)
            _loop.start()
    return libvirt


def _run_events(libvirt: Any) -> None:
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except Exception:
            log.exception("libvirt's event loop stumbled")
            time.sleep(1)


class Link:
    """An open connection for events and signs of life, and workers with connections of their own for the calls.

    A link is never repaired, only replaced.
    """

    def __init__(self, conn: Any, connect: Callable[[], Any]) -> None:
        self.conn = conn
        self.pool = Pool(CALLS, connect)
        self.lost = threading.Event()
        self._lock = threading.Lock()
        self._asked: float | None = None

    def ask_for_life(self) -> None:
        """Ask the daemon something small, unless such a question is already open."""
        with self._lock:
            if self._asked is not None:
                return
            self._asked = time.monotonic()
        threading.Thread(target=self._ask, name="libvirt-ping", daemon=True).start()

    def _ask(self) -> None:
        try:
            self.conn.getLibVersion()
        except Exception:
            self.lost.set()
        with self._lock:
            self._asked = None

    def silent_for(self) -> float:
        """Seconds since a question for life is unanswered; 0 where none is."""
        with self._lock:
            return 0.0 if self._asked is None else time.monotonic() - self._asked


class Connection:
    """A lasting connection to ``uri``; each call may take ``timeout`` seconds.

    ``greet(conn, again)`` is called in the connection's own thread for every fresh connection, before any call uses
    it: the place to register events. ``again`` is true for a reconnection.
    """

    def __init__(self, uri: str, *, timeout: float, greet: Callable[[Any, bool], None]) -> None:
        self.uri, self.timeout = uri, timeout
        self._greet = greet
        self._link: Link | None = None
        self._error: DriverError = away("not yet connected")
        self._tried = threading.Event()
        self._wake = threading.Event()
        self._closed = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def call(self, work: Callable[[Any], T], *, uuid: str = "", timeout: float | None = None) -> T:
        """``work(connection)`` in a worker thread; its result.

        Raises what ``work`` raises, ``libvirtError`` translated to `DriverError`; retryable, too, where no answer
        came within ``timeout`` (then the work may still happen later) or there is no connection.
        """
        limit = self.timeout if timeout is None else timeout
        end = time.monotonic() + limit
        link = self._ready_link(limit)
        job = link.pool.submit(work)
        if not job.wait(min(SUSPICIOUS, limit / 2)):
            link.ask_for_life()
            if not job.wait(end - time.monotonic()):
                link.pool.abandon(job)
                raise too_slow(limit, uuid)
        return self._result(link, job, uuid)

    def _result(self, link: Link, job: Job, uuid: str) -> Any:
        try:
            return job.result()
        except DriverError:
            raise
        except Exception as error:
            if not hasattr(error, "get_error_code"):
                raise
            if lost_connection(error):
                link.lost.set()
            raise translate(error, uuid) from error

    def _ready_link(self, limit: float) -> Link:
        self.begin()
        link = self._link
        if link is None or link.lost.is_set():
            if not self._tried.wait(limit):
                raise too_slow(limit, "connecting")
            link = self._link
            if link is None or link.lost.is_set():
                self._wake.set()
                raise self._error
        if link.silent_for() > min(SUSPICIOUS, self.timeout / 2):
            raise away("the daemon stands still")
        return link

    def begin(self) -> None:
        """Open the connection in the background, if that has not begun."""
        with self._lock:
            if self._closed:
                raise away("closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._supervise, name="libvirt-connection", daemon=True)
                self._thread.start()

    def _supervise(self) -> None:
        pause, again = FIRST_PAUSE, False
        while not self._closed:
            try:
                link = self._open()
                self._greet(link.conn, again)
            except Exception as error:
                self._failed(error)
                self._wake.wait(pause)
                # A caller in need shortens one pause, but an unreachable daemon is not asked without end.
                time.sleep(FIRST_PAUSE)
                self._wake.clear()
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            self._link = link
            self._tried.set()
            if again:
                log.info("connected to libvirt again")
            pause, again = FIRST_PAUSE, True
            link.lost.wait()
            self._drop(link)

    def _open(self) -> Link:
        libvirt = binding()
        conn = libvirt.open(self.uri)
        link = Link(conn, lambda: libvirt.open(self.uri))
        conn.registerCloseCallback(lambda *_reason: link.lost.set(), None)
        conn.setKeepAlive(KEEPALIVE_SECONDS, KEEPALIVE_COUNT)
        return link

    def _failed(self, error: Exception) -> None:
        if isinstance(error, DriverError):
            self._error = error
        else:
            self._error = away(str(error))
        self._tried.set()

    def _drop(self, link: Link) -> None:
        self._link = None
        self._error = away("the connection was lost")
        link.pool.close()
        try:
            link.conn.close()
        except Exception as error:
            log.debug("closing a lost connection: %s", error)

    def close(self) -> None:
        """Let the connection go; later calls are refused."""
        with self._lock:
            self._closed = True
        if (link := self._link) is not None:
            link.lost.set()
        self._wake.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(2)
