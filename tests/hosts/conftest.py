"""A cloud of one fake host: its database, its engine, and a context to call verbs with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from yun.base.config import Settings
from yun.base.context import SYSTEM, Actor, Context
from yun.base.db import Database
from yun.drivers.bundle import Drivers, HostDrivers
from yun.drivers.host.fake import FakeMachine
from yun.drivers.hypervisor.fake import FakeHypervisor
from yun.hosts import flows as _flows  # noqa: F401
from yun.operations import flows as _operations  # noqa: F401
from yun.operations.engine import Engine
from yun.operations.intent import Subject

Asking = Callable[..., AbstractContextManager[Context]]


@pytest.fixture
def machine() -> FakeMachine:
    return FakeMachine("node1", cpus=4, memory_mib=8192)


@pytest.fixture
def engine(database: Database, settings: Settings, machine: FakeMachine) -> Engine:
    local = HostDrivers(hypervisor=FakeHypervisor(), volume=None, machine=machine)  # type: ignore[arg-type]
    return Engine(database, Drivers(network=None, connect=lambda _h: local), settings)  # type: ignore[arg-type]


@pytest.fixture
def asking(database: Database, settings: Settings) -> Asking:
    """A context in a writing transaction, by default as the system."""

    @contextmanager
    def ask(actor: Actor = SYSTEM, locale: str = "en") -> Iterator[Context]:
        with database.write() as session:
            yield Context(actor=actor, session=session, settings=settings, locale=locale)

    return ask


@pytest.fixture
def tend(engine: Engine) -> Callable[[], None]:
    """Look at the host once, as the period does."""

    def call() -> None:
        engine.nudge("host.tend", Subject("periodic", "host.tend", "host.tend"))
        engine.drain()

    return call
