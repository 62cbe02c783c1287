"""The engine of one process: claims operations, runs them, proves that it lives, submits periodic work."""

from __future__ import annotations

import fcntl
import os
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.clock import Clock, SystemClock
from yun.base.config import Settings
from yun.base.context import SYSTEM, Context
from yun.base.db import Database, epoch
from yun.base.errors import Conflict, YunError
from yun.base.ids import new_id
from yun.base.log import logger
from yun.base.messages import Message, _
from yun.operations import service, wakeup
from yun.operations.claims import Claimant, claim, glance, review
from yun.operations.events import raise_notice
from yun.operations.flow import REGISTRY, Op
from yun.operations.intent import Intent, Subject
from yun.operations.journal import Journal
from yun.operations.model import CLAIMABLE, Node, Operation, Periodic
from yun.operations.runner import Runner

if TYPE_CHECKING:
    from yun.drivers.bundle import Drivers

log = logger(__name__)
POLL_SECONDS = 0.5
REVIEW_SECONDS = 5.0
QUIET_WORKERS = 4
STEPS_AT_ONCE = 8
"""How many steps of one operation that do not depend on each other are walked at a time."""
SILENT_SHARE = 0.8
"""The share of ``node_timeout`` after which a process that could not prove its life lets go, before others come."""


Taken = list[tuple[Operation, bool]]
"""Claimed operations, and whether each is quiet work."""


class Engine:
    """One control-plane process's hands. `start` and `stop` for a server, `drain` for tests and tools."""

    def __init__(self, database: Database, drivers: Drivers, settings: Settings, clock: Clock | None = None) -> None:
        self.database = database
        self.drivers = drivers
        self.settings = settings
        self.clock = clock or SystemClock()
        self.node_id = new_id("nod")
        self.active: dict[int, bool] = {}
        """What this process works on: sequence number, and whether it is quiet work."""
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._pools: dict[bool, ThreadPoolExecutor] = {}
        self._file: IO[str] | None = None
        self._reviewed = 0.0
        self._beaten = time.monotonic()
        self._beating = False
        self._known: list[str] = []

    # ── life ──

    def start(self) -> None:
        """Begin to work. Raises `Conflict` where another process holds this SQLite database."""
        self._own_database()
        self.beat()
        self._beating = not self.database.sqlite
        # Quiet work has threads of its own: what happens to machines is noticed while others wait for slow guests.
        self._pools = {
            False: ThreadPoolExecutor(self.settings.workers, thread_name_prefix="yun-op"),
            True: ThreadPoolExecutor(QUIET_WORKERS, thread_name_prefix="yun-quiet"),
        }
        wakeup.register(self._wake.set)
        loops: list[tuple[str, Callable[[], None]]] = [("dispatch", self._dispatch), ("heartbeat", self._heartbeat)]
        if not self.database.sqlite:
            loops.append(("listen", self._listen))
        for name, loop in loops:
            thread = threading.Thread(target=self._surviving, args=(loop,), name=f"yun-{name}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self, seconds: float = 10.0) -> None:
        """Claim nothing more, let running steps notice it, give what is unfinished back for the next start."""
        self._stop.set()
        self._wake.set()
        wakeup.unregister(self._wake.set)
        for thread in self._threads:
            thread.join(timeout=seconds)
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        end = time.monotonic() + seconds
        while self._pools and self.active and time.monotonic() < end:
            time.sleep(0.02)
        try:
            with self.database.write() as session:
                session.execute(sa.delete(Node).where(Node.id == self.node_id))
        except YunError as error:
            log.warning("node %s could not sign off: %s", self.node_id, error)
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def running(self) -> bool:
        """Whether it works by itself, and does not only drain."""
        return bool(self._threads)

    @property
    def stopping(self) -> threading.Event:
        """Set once this engine has been told to stop."""
        return self._stop

    def _own_database(self) -> None:
        if not self.database.sqlite:
            return
        path = Path(f"{self.database.url.database}.lock")
        self._file = path.open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            self._file = None
            raise Conflict(
                _("Another yun serve already works on {path}.", path=str(self.database.url.database)),
                hint=_("Stop it first (yun down), or use PostgreSQL for several processes."),
            ) from error

    def _surviving(self, loop: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                loop()
            except Exception:
                log.exception("%s failed; going on", getattr(loop, "__name__", "loop"))
                self._stop.wait(0.5)

    # ── dispatching ──

    def _dispatch(self) -> None:
        self._wake.wait(POLL_SECONDS)
        self._wake.clear()
        if self._stop.is_set() or self.silent:
            return
        seen = glance(self.database, list(self.active), self._known)
        if seen.due or not self._known:
            self.submit_periodic()
            seen = glance(self.database, list(self.active), self._known)
        if seen.waiting and time.monotonic() - self._reviewed > REVIEW_SECONDS:
            self._reviewed = time.monotonic()
            with self.database.write() as session:
                review(session)
        while seen.claimable and not self._stop.is_set():
            if not self._fill():
                return
            seen = glance(self.database, list(self.active), self._known)

    def _fill(self) -> int:
        """Give the free threads work; how many got some."""
        with self._lock:
            busy = list(self.active.values())
        loud, quiet = self.settings.workers - busy.count(False), QUIET_WORKERS - busy.count(True)
        if loud <= 0 and quiet <= 0:
            return 0
        only = None if loud > 0 and quiet > 0 else quiet > 0
        room = min(loud, quiet) if only is None else max(loud, quiet)
        taken = self._claimed(lambda session, me: [(o, o.quiet) for o in claim(session, me, room, quiet=only)])
        for operation, kind in taken:
            self._pools[kind].submit(self._run, operation)
        return len(taken)

    def claim(self, limit: int, *, ignore_pauses: bool = False) -> list[Operation]:
        """Claim runnable operations for this process and note them as active."""
        taken = self._claimed(lambda session, me: [
            (operation, False) for operation in claim(session, me, limit, ignore_pauses=ignore_pauses)
        ])  # fmt: skip
        return [operation for operation, _quiet in taken]

    def _claimed(self, call: Callable[[Session, Claimant], Taken]) -> Taken:
        with self._lock:
            me = Claimant(self.node_id, frozenset(self.active), self.database.sqlite, self.settings.node_timeout)
        with self.database.write() as session:
            taken = call(session, me)
        with self._lock:
            self.active.update((operation.seq, quiet) for operation, quiet in taken)
        return taken

    def _run(self, operation: Operation) -> None:
        try:
            self.run(operation, at_once=STEPS_AT_ONCE)
        except Exception:
            log.exception("running %s failed outside its steps", operation.id)
            self._stop.wait(POLL_SECONDS)  # it is still ours, and would be claimed again at once
        finally:
            with self._lock:
                self.active.pop(operation.seq, None)
            self._wake.set()

    def run(self, operation: Operation, *, at_once: int = 1) -> None:
        """Run a claimed operation as far as it goes now, in this thread, and ``at_once`` of its steps where they may
        be walked side by side."""
        journal = Journal(self.database, operation)
        op = Op(
            journal, database=self.database, drivers=self.drivers, settings=self.settings, clock=self.clock,
            must_stop=self.must_stop, at_once=at_once,
        )  # fmt: skip
        Runner(op, journal).run()

    def drain(self, *, limit: int = 10_000) -> int:
        """Run everything runnable in this thread, retries at once, until nothing is left. Returns how many claims."""
        count = 0
        while count < limit:
            taken = self.claim(1, ignore_pauses=True)
            if not taken:
                break
            for operation in taken:
                count += 1
                try:
                    self.run(operation)
                finally:
                    self.active.pop(operation.seq, None)
        return count

    def must_stop(self) -> bool:
        """Whether running operations must let go at their next step: told to stop, or not heard of for so long (in
        PostgreSQL) that another process may have taken them over."""
        return self._stop.is_set() or self.silent

    @property
    def silent(self) -> bool:
        """Whether this process has not proved for too long that it lives. Nobody waits for proof from one that is alone
        on SQLite, or that only drains."""
        late = time.monotonic() - self._beaten
        return self._beating and late > self.settings.node_timeout * SILENT_SHARE

    # ── periodic work ──

    def submit_periodic(self) -> None:
        """Submit what is due: each kind once per period over all processes, by compare-and-set."""
        with self.database.read() as session:
            now = epoch(session)
            known = {row.kind: row.next for row in session.scalars(sa.select(Periodic))}
        self._known = sorted(kind for kind, recipe in REGISTRY.recipes.items() if recipe.every is not None)
        for recipe in list(REGISTRY.recipes.values()):
            if recipe.every is not None and not now < known.get(recipe.kind, 0.0) <= now + recipe.every * 2:
                self._submit_period(recipe.kind, recipe.every, known.get(recipe.kind))

    def _submit_period(self, kind: str, every: float, seen: float | None) -> None:
        with self.database.write() as session:
            now = epoch(session)
            if seen is None:
                if session.get(Periodic, kind) is None:
                    session.add(Periodic(kind=kind, every=every, next=now + every))
                    session.flush()
                else:
                    return
            else:
                moved = session.execute(
                    sa.update(Periodic)
                    .where(Periodic.kind == kind, Periodic.next == seen)
                    .values(next=now + every, every=every)
                )
                if moved.rowcount != 1:  # type: ignore[attr-defined]
                    return
            submit_quiet(session, self.settings, kind, Subject("periodic", kind, kind))

    def nudge(self, kind: str, subject: Subject, **arguments: object) -> None:
        """Submit a quiet operation that looks at ``subject``, unless one is waiting already. From any thread."""
        try:
            with self.database.write() as session:
                submit_quiet(session, self.settings, kind, subject, **arguments)
        except YunError as error:
            log.warning("nudge %s %s lost: %s", kind, subject.id, error)

    # ── proof of life ──

    def _heartbeat(self) -> None:
        if self._stop.wait(self.settings.heartbeat_seconds):
            return
        self.beat()

    def beat(self) -> None:
        """Prove that this process lives, forget long-dead ones, raise notices for missed deadlines."""
        began = time.monotonic()
        with self.database.write() as session:
            now = epoch(session)
            node = session.get(Node, self.node_id)
            if node is None:
                name = self.settings.node_name or socket.gethostname()
                session.add(Node(id=self.node_id, name=f"{name}:{os.getpid()}", beat=now))
            else:
                node.beat = now
            session.execute(sa.delete(Node).where(Node.beat < now - 3600))
            late = sa.select(Operation).where(
                Operation.state.in_(CLAIMABLE), Operation.deadline_missed.is_(False), Operation.deadline_at < now
            )
            for operation in session.scalars(late):
                operation.deadline_missed = True
                raise_notice(
                    session, f"deadline:{operation.id}",
                    subject=Subject("operation", operation.id, operation.subject_name),
                    message=_(
                        "An operation takes longer than its {seconds:.0f} s: {title}",
                        seconds=operation.deadline_seconds, title=Message.from_json(operation.title),
                    ),
                    hint=_("It goes on; look at its progress, or cancel it."),
                )  # fmt: skip
        self._beaten = began

    def _listen(self) -> None:
        """Wake up on other processes' commits (PostgreSQL)."""
        import psycopg

        url = self.database.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"LISTEN {wakeup.CHANNEL}")
            while not self._stop.is_set():
                for _notice in connection.notifies(timeout=1.0, stop_after=1):
                    self._wake.set()


def submit_quiet(session: sa.orm.Session, settings: Settings, kind: str, subject: Subject, **arguments: object) -> None:
    """Submit ``kind`` as the system, leaving no trace when it returns nothing; not twice while one is queued."""
    queued = sa.select(Operation.seq).where(
        Operation.state == "queued", Operation.kind == kind,
        Operation.subject_kind == subject.kind, Operation.subject_id == subject.id,
    )  # fmt: skip
    if session.scalar(queued.limit(1)) is not None:
        return
    ctx = Context(actor=SYSTEM, session=session, settings=settings)
    intent = Intent(
        kind=kind, title=_(kind), subject=subject, arguments=dict(arguments), quiet=True, transparent=True,
        undoable=False, no_undo=_("It changes nothing that could be undone."),
    )  # fmt: skip
    service.submit(ctx, intent)
