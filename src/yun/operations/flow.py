"""How rooms write operations: `operation` names a recipe, `step` and `tx_step` its journaled parts, `Op` walks them.

A recipe is a plain, deterministic function: whatever it branches on is the output of a step. A step is "make it so"
and may be run again after a crash. Do not reorder the steps of a released operation: append, or make a new kind.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy.orm import Session

from yun.base.clock import Clock
from yun.base.config import Settings
from yun.base.db import Database
from yun.base.errors import YunError
from yun.base.messages import Message, _

if TYPE_CHECKING:
    from yun.drivers.bundle import Drivers
    from yun.operations.journal import Journal

FINAL = "operations.point_of_no_return"
Undoing = Literal["failure", "success"] | None


class Cancelled(YunError):
    """Somebody asked this operation to stop; what it did is taken back."""

    code = "cancelled"


class Refused(Exception):
    """An undo met something that will not go away by itself, before anything was taken back: it ends failed."""

    def __init__(self, cause: YunError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Later(Exception):
    """The operation should be walked again after a while; it keeps its place and its keys meanwhile."""


class Fenced(Exception):
    """Another process has taken this operation over, or this one lost touch with the database: stop at once."""


@dataclass(frozen=True)
class Step:
    """A registered step: its name in the journal, what it does, and how that is taken back."""

    name: str
    call: Callable[..., Any]
    undo: Callable[..., None] | None
    retries: int
    transactional: bool
    brief: bool = False

    def __call__(self, *args: Any) -> Any:
        """Run the bare function: for tests, and for steps that are made of others."""
        return self.call(*args)


@dataclass(frozen=True)
class Recipe:
    """A registered operation. ``forward`` ones are never rolled back: they are retried, then stuck."""

    kind: str
    call: Callable[..., Any]
    forward: bool = False
    every: float | None = None


@dataclass
class Registry:
    """All recipes and steps by name; filled by importing the rooms' flows."""

    recipes: dict[str, Recipe] = field(default_factory=dict)
    steps: dict[str, Step] = field(default_factory=dict)


REGISTRY = Registry()


def operation(kind: str, *, forward: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated function as the recipe of operations of ``kind``."""

    def register(call: Callable[..., Any]) -> Callable[..., Any]:
        if kind in REGISTRY.recipes:
            raise ValueError(f"two recipes for {kind}")
        every = getattr(call, "yun_every", None)
        REGISTRY.recipes[kind] = Recipe(kind, call, forward, every)
        return call

    return register


def periodic(kind: str, *, every: float) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Also submit ``kind`` every ``every`` seconds, as the system, without arguments and leaving no trace when it
    returns nothing. Stands above `operation`."""

    def register(call: Callable[..., Any]) -> Callable[..., Any]:
        known = REGISTRY.recipes.get(kind)
        REGISTRY.recipes[kind] = Recipe(kind, call, known.forward if known else False, every)
        return call

    return register


def step(
    *, undo: Callable[..., None] | None = None, retries: int = 5, brief: bool = False
) -> Callable[[Callable[..., Any]], Step]:
    """Make a journaled step of ``fn(op, *args) -> JSON``; ``undo(op, output, *args)`` takes it back.

    A retryable `DriverError` is tried again up to ``retries`` times with growing pauses. A ``brief`` one is recorded
    when it is done and not before, which saves a wait for the disk: for what takes milliseconds and leaves nothing that
    its own undo would have to take back after half a run.
    """
    return _register(undo, retries, transactional=False, brief=brief)


def tx_step(*, undo: Callable[..., None] | None = None) -> Callable[[Callable[..., Any]], Step]:
    """Make a step of pure database work ``fn(op, session, *args)``, done in the transaction that records it;
    ``undo(op, session, output, *args)`` likewise."""
    return _register(undo, 0, transactional=True)


def _register(
    undo: Callable[..., None] | None, retries: int, *, transactional: bool, brief: bool = False
) -> Callable[[Callable[..., Any]], Step]:
    def register(call: Callable[..., Any]) -> Step:
        module = call.__module__.removeprefix("yun.").replace(".steps", "").replace(".flows", "")
        made = Step(f"{module.removesuffix('.flow')}.{call.__name__}", call, undo, retries, transactional, brief)
        if made.name in REGISTRY.steps:
            raise ValueError(f"two steps named {made.name}")
        REGISTRY.steps[made.name] = made
        return made

    return register


class Line:
    """Numbers that several threads take one by one until the last, or until one of them has failed."""

    def __init__(self, count: int) -> None:
        self.outputs: list[Any] = [None] * count
        self._errors: list[Exception] = []
        self._numbers = iter(range(count))
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[int]:
        while True:
            with self._lock:
                number = None if self._errors else next(self._numbers, None)
            if number is None:
                return
            yield number

    def fail(self, error: Exception) -> None:
        """Give no more numbers out."""
        with self._lock:
            self._errors.append(error)

    def raise_worst(self) -> None:
        """Raise what decides: that this process must let go, else what cannot be mended, else what may pass."""
        for error in sorted(self._errors, key=_weight):
            raise error


def _weight(error: Exception) -> int:
    return 0 if isinstance(error, Fenced) else 2 if isinstance(error, Later) else 1


def plain(value: Any) -> Any:
    """The value as JSON gives it back, so that a first run and a resumed one see the same."""
    return json.loads(json.dumps(value))


class Op:
    """A running operation as its recipe and steps see it."""

    def __init__(
        self, journal: Journal, *, database: Database, drivers: Drivers, settings: Settings, clock: Clock,
        must_stop: Callable[[], bool], at_once: int = 1,
    ) -> None:  # fmt: skip
        self.journal = journal
        self._at_once = at_once
        self._database = database
        self._must_stop = must_stop
        self._position = 0
        self.drivers = drivers
        self.settings = settings
        self.clock = clock
        self.undoing: Undoing = None
        self.may_refuse = False
        """Whether an undo that only a person can clear the way for may still say so and end failed: nothing of what it
        is to take back has been taken back yet. Later it must come to an end by itself."""

    @property
    def id(self) -> str:
        """The operation's id."""
        return self.journal.operation.id

    @property
    def kind(self) -> str:
        """The operation's kind."""
        return self.journal.operation.kind

    @property
    def project_id(self) -> str | None:
        """The project on whose behalf it runs."""
        return self.journal.operation.project_id

    @property
    def actor_name(self) -> str:
        """Who asked for it."""
        return self.journal.operation.actor_name

    @property
    def actor_id(self) -> str:
        """The id of who asked for it."""
        return self.journal.operation.actor_id

    def step(self, made: Step, *args: Any) -> Any:
        """Walk one step: its recorded output if it is done, else run it and record it.

        An operation that came with rows and was cancelled while it waited still walks its first step, which adopts
        them: that step's undo takes them away again.
        """
        position, self._position = self._position, self._position + 1
        adopts = position == 0 and made.transactional and made.undo is not None and self.journal.operation.brings_rows
        if not adopts:
            self.check_cancel()
        output = self.journal.walk(self, position, made, plain(list(args)))
        if adopts:
            self.check_cancel()
        return output

    def together(self, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Walk steps that do not depend on each other, some at a time and in no order; their outputs in the order of
        the calls, each a step and its arguments. Precondition: none of them is an operation's first step.

        Each has its place in the journal, so that a death or a failure among them is like one between them: what may
        have begun (all of them, from the first moment) is gone on with, or is taken back. Where one fails, no more are
        walked and the others end first.
        """
        first, self._position = self._position, self._position + len(calls)
        line, steps = Line(len(calls)), [(made, plain(args)) for made, *args in calls]
        self.check_cancel()
        self.journal.begin_all(first, steps)

        def walk() -> None:
            for n in line:
                try:
                    self.check_cancel()
                    line.outputs[n] = self.journal.walk(self, first + n, *steps[n], alone=False)
                except Exception as error:
                    line.fail(error)

        width = min(self._at_once, len(calls))
        if width > 1:
            with ThreadPoolExecutor(width, thread_name_prefix="yun-step") as pool:
                for done in [pool.submit(copy_context().run, walk) for _n in range(width)]:
                    done.result()  # what is no `Exception`, and ends the process, is not kept back by the pool
        else:
            walk()
        line.raise_worst()
        return line.outputs

    def point_of_no_return(self) -> None:
        """From here on a failure is not taken back: it is retried, and then waits for an operator."""
        position, self._position = self._position, self._position + 1
        self.check_cancel()
        self.journal.walk(self, position, REGISTRY.steps[FINAL], [])

    @property
    def written(self) -> int | None:
        """`Database.written`: whether rows that were read may have changed since."""
        return self._database.written

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A short reading transaction."""
        with self._database.read() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A short writing transaction that commits only while this process still owns the operation."""
        with self.journal.fenced() as session:
            yield session

    def progress(self, fraction: float, text: Message | None = None) -> None:
        """Show how far it is (0…1). Also the place where a long step notices that it was cancelled."""
        self.check_cancel()
        self.journal.progress(min(max(fraction, 0.0), 1.0), text)

    def check_cancel(self) -> None:
        """Raise `Cancelled` where somebody asked for it, `Fenced` where this process must let go.

        What cannot be cancelled any more (`cancellable`) goes on.
        """
        if self._must_stop():
            self.journal.flush()
            raise Fenced(self.id)
        if self.undoing is None and self.cancellable and self.journal.cancel_requested():
            raise Cancelled(_("Cancelled on request."))

    @property
    def cancellable(self) -> bool:
        """Whether a cancel is heard: not past the point of no return, nor once a forward operation has begun."""
        return not self.journal.final and not (REGISTRY.recipes[self.kind].forward and self.journal.rows)

    def sleep(self, seconds: float) -> None:
        """Wait inside a step; ends early with `Cancelled` or `Fenced`."""
        end = self.clock.monotonic() + seconds
        while (left := end - self.clock.monotonic()) > 0:
            self.check_cancel()
            self.clock.sleep(min(left, 0.2))


@step()
def point_of_no_return(op: Op) -> None:
    """The mark itself does nothing."""
