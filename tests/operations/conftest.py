"""A toy room for the engine: a world outside the database in which steps put and take things."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.config import Settings
from yun.base.context import SYSTEM, Context
from yun.base.db import Database
from yun.base.errors import Conflict, DriverError
from yun.base.messages import _
from yun.drivers.bundle import Drivers
from yun.operations import flows as _flows  # noqa: F401
from yun.operations import service
from yun.operations.engine import Engine
from yun.operations.flow import Op, operation, step, tx_step
from yun.operations.intent import Intent, Key, Subject
from yun.operations.model import Operation


class Toy:
    """The world that toy steps act on, and the switches that make them fail."""

    def __init__(self) -> None:
        self.things: set[str] = set()
        self.log: list[str] = []
        self.fail: dict[str, list[Exception]] = {}
        self.hook: Callable[..., None] = lambda *_args: None
        self.hold = threading.Event()
        self.hold.set()
        self.entered = threading.Event()
        self.lock = threading.Lock()
        self.inside: dict[str, int] = {}
        self.most: dict[str, int] = {}

    def strike(self, what: str) -> None:
        if self.fail.get(what):
            raise self.fail[what].pop(0)


TOY = Toy()


def unput(op: Op, output: Any, name: str, n: int) -> None:
    TOY.log.append(f"unput {name}{n}")
    TOY.strike(f"unput{n}")
    TOY.things.discard(f"{name}{n}")


@step(undo=unput, retries=3)
def put(op: Op, name: str, n: int) -> str:
    TOY.log.append(f"put {name}{n}")
    TOY.strike(f"put{n}")
    TOY.things.add(f"{name}{n}")
    TOY.hook(name, n)
    return f"{name}{n}"


@step()
def enter(op: Op, name: str, seconds: float) -> None:
    """Count how many are inside at once, per key, and wait for the test's leave."""
    with TOY.lock:
        TOY.inside[name] = TOY.inside.get(name, 0) + 1
        TOY.most[name] = max(TOY.most.get(name, 0), TOY.inside[name])
        TOY.log.append(f"enter {name} {op.id}")
    TOY.entered.set()
    try:
        while not TOY.hold.wait(0.01):
            op.check_cancel()
        if seconds:
            op.sleep(seconds)
    finally:
        with TOY.lock:
            TOY.inside[name] -= 1


def unname(op: Op, session: Session, output: Any, name: str) -> None:
    session.execute(sa.update(Operation).where(Operation.id == op.id).values(address="unnamed"))


@tx_step(undo=unname)
def name_it(op: Op, session: Session, name: str) -> str:
    if name == "taken":
        raise Conflict(_("The name {name} is taken.", name=name), fields={"name": _("another name")})
    return name


@operation("toy.build")
def build(op: Op, name: str, steps: int = 3) -> Any:
    for n in range(steps):
        op.step(put, name, n)
        op.progress((n + 1) / steps)
    op.step(name_it, name)
    return {"built": name}


@operation("toy.final")
def final(op: Op, name: str) -> Any:
    op.step(put, name, 0)
    op.point_of_no_return()
    op.step(put, name, 1)


@operation("toy.enter")
def walk_in(op: Op, name: str, seconds: float = 0.0) -> None:
    op.step(enter, name, seconds)


@operation("toy.rename")
def rename(op: Op, name: str) -> Any:
    return op.step(name_it, name)


@operation("toy.look")
def look(op: Op, changed: bool = False) -> Any:
    return {"changed": True} if changed else None


@pytest.fixture(autouse=True)
def toy() -> Iterator[Toy]:
    TOY.__init__()  # type: ignore[misc]
    yield TOY
    TOY.hold.set()


def no_drivers() -> Drivers:
    """Toy steps need none."""

    def nobody(host: str) -> Any:
        raise KeyError(host)

    return Drivers(network=None, connect=nobody)  # type: ignore[arg-type]


@pytest.fixture
def engine(database: Database, settings: Settings) -> Engine:
    return Engine(database, no_drivers(), settings)


@pytest.fixture
def submit(database: Database, settings: Settings) -> Callable[..., str]:
    """Submit a toy operation; returns its id."""

    def call(
        kind: str = "toy.build", *, key: str | None = None, slots: int = 1, subject: str = "a", **options: Any
    ) -> str:
        arguments = options.pop("arguments", {"name": subject} if kind != "toy.look" else {})
        with database.write() as session:
            ctx = Context(actor=SYSTEM, session=session, settings=settings)
            intent = Intent(
                kind=kind, title=_("Toy {name}", name=subject), subject=Subject("toy", subject, subject),
                arguments=arguments, keys=(Key(key, slots),) if key else (), **options,
            )  # fmt: skip
            return service.submit(ctx, intent).id

    return call


@pytest.fixture
def look_up(database: Database) -> Callable[[str], Operation]:
    def call(identifier: str) -> Operation:
        with database.read() as session:
            return session.scalars(sa.select(Operation).where(Operation.id == identifier)).one()

    return call


RETRYABLE = DriverError(_("The toy is away."), retryable=True)
FINAL = DriverError(_("The toy is broken."), retryable=False)
