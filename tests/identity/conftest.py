"""A cloud with its first administrator, and short ways to act in it as anybody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from yun.base.clock import ManualClock
from yun.base.config import Settings
from yun.base.context import NOBODY, Actor, Context
from yun.base.db import Database
from yun.drivers.bundle import Drivers
from yun.identity import flows as _flows  # noqa: F401
from yun.identity import service
from yun.identity.service.asking import ROOT
from yun.identity.service.first import password_path
from yun.operations import flows as _undo  # noqa: F401
from yun.operations.engine import Engine
from yun.operations.intent import Intent
from yun.operations.model import Operation
from yun.operations.service import submit
from yun.operations.service import undo as undo_verb
from yun.web.request import Asker, Credentials


class House:
    """The identity room over one database."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database, self.settings = database, settings
        self.clock = ManualClock(datetime.now(UTC))
        self.gate = service.Gate(database, settings, self.clock)
        with database.write() as session:
            service.ensure_first(session, settings)
        self.password = password_path(settings).read_text().strip()

        def nobody(host: str) -> Any:
            raise KeyError(host)

        self.engine = Engine(database, Drivers(network=None, connect=nobody), settings)  # type: ignore[arg-type]

    def ctx(self, session: Any, actor: Actor = ROOT, **rest: Any) -> Context:
        rest.setdefault("address", "192.0.2.7")
        return Context(actor=actor, session=session, settings=self.settings, clock=self.clock, **rest)

    def do(self, verb: Callable[..., Any], *args: Any, actor: Actor = ROOT, **values: Any) -> Operation:
        """Submit what the verb intends, as the actor; the operation."""
        with self.database.write() as session:
            ctx = self.ctx(session, actor)
            intent = verb(ctx, *args, **values)
            return submit(ctx, intent[0] if isinstance(intent, tuple) else intent)

    def intend(self, verb: Callable[..., Any], *args: Any, actor: Actor = ROOT, **values: Any) -> Intent:
        with self.database.read() as session:
            intent: Intent = verb(self.ctx(session, actor), *args, **values)
            return intent

    def read(self, verb: Callable[..., Any], *args: Any, actor: Actor = ROOT, **values: Any) -> Any:
        with self.database.read() as session:
            return verb(self.ctx(session, actor), *args, **values)

    def write(self, verb: Callable[..., Any], *args: Any, actor: Actor = ROOT, **values: Any) -> Any:
        with self.database.write() as session:
            return verb(self.ctx(session, actor), *args, **values)

    def undo(self, operation: Operation, *, through: bool = False) -> None:
        self.do(undo_verb, operation.id, through=through)
        self.engine.drain()
        with self.database.read() as session:
            found = session.get_one(Operation, operation.seq)
            assert found.state == "undone", found.state

    def user(self, name: str, password: str = "correct horse battery", **values: Any) -> Actor:
        """A new user, as the actor he is when he logs in."""
        operation = self.do(service.create_user, service.NewUser(name, password, **values))
        return self.actor(operation.subject_id)

    def actor(self, user_id: str) -> Actor:
        with self.database.read() as session:
            found = service.get_user(self.ctx(session), user_id)
            return Actor("user", found.id, found.name, service.roles_of(session, found.id))

    def token(self, actor: Actor, name: str = "t", **values: Any) -> str:
        """The secret of a new token."""
        with self.database.write() as session:
            ctx = self.ctx(session, actor)
            intent, secret = service.create_token(ctx, service.NewToken(name, **values))
            submit(ctx, intent)
            return secret

    def ask(self, *, write: bool = False, **credentials: Any) -> Asker:
        opened = self.database.write if write else self.database.read
        with opened() as session:
            return service.authenticate(session, Credentials(**credentials), self.settings, self.clock)


@pytest.fixture
def house(database: Database, settings: Settings) -> House:
    return House(database, settings)


@pytest.fixture
def nobody() -> Actor:
    return NOBODY
