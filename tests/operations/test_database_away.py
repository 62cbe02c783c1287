"""A database that goes away for a moment: no step fails for it, none runs twice, and people are told honestly."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from tests.operations.conftest import Toy
from yun.base import db
from yun.base.config import Settings
from yun.base.context import SYSTEM, Context
from yun.base.db import Database, DatabaseAway
from yun.base.errors import Unavailable
from yun.operations import journal
from yun.operations.claims import serialize
from yun.operations.engine import Engine
from yun.operations.model import Operation, State

Submit = Callable[..., str]


class Outage:
    """Lets commits fail, before they take effect, as long as it lasts."""

    def __init__(self, database: Database) -> None:
        self.left = 0
        self.database = database
        event.listen(database.engine, "commit", self.strike)

    def strike(self, _connection: sa.Connection) -> None:
        if self.left:
            self.left -= 1
            raise OperationalError("COMMIT", {}, Exception("the server closed the connection"))


@pytest.fixture
def outage(database: Database, monkeypatch: pytest.MonkeyPatch) -> Outage:
    monkeypatch.setattr(journal.time, "sleep", lambda _seconds: None)
    return Outage(database)


def test_a_database_that_is_away_when_a_step_ends_is_waited_for_and_the_step_is_not_run_again(
    engine: Engine, submit: Submit, database: Database, toy: Toy, outage: Outage
) -> None:
    identifier = submit()
    taken = engine.claim(1)

    def away(*_args: object) -> None:
        outage.left = 5

    toy.hook = away
    engine.run(taken[0])
    with database.read() as session:
        assert session.scalar(sa.select(Operation.state).where(Operation.id == identifier)) == State.SUCCEEDED
    assert toy.log.count("put a1") == 1
    assert toy.things == {"a0", "a1", "a2"}


def test_a_locked_database_is_unavailable_and_says_so(tmp_path: Path, settings: Settings) -> None:
    made = Database(f"sqlite:///{tmp_path / 'locked.db'}", busy_seconds=0.1)
    made.create()
    blocker = sqlite3.connect(tmp_path / "locked.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(Unavailable) as caught, made.write() as session:
            session.execute(sa.text("DELETE FROM operation"))
        assert caught.value.hint is not None
    finally:
        blocker.execute("ROLLBACK")
        blocker.close()
    with made.write() as session:
        ctx = Context(actor=SYSTEM, session=session, settings=settings)
        assert ctx.session is session
    made.close()


@pytest.mark.postgresql
def test_a_process_that_stands_still_in_a_transaction_keeps_its_locks_from_others_only_for_a_while(
    postgres: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(db.NEVER_FOR_EVER, "options", "-c idle_in_transaction_session_timeout=300")
    database = Database(postgres())

    def stand_still() -> None:
        with database.write() as still:
            serialize(still)
            with database.write() as other:
                serialize(other)  # would wait for ever
            still.execute(sa.text("SELECT 1"))

    with pytest.raises(DatabaseAway):
        stand_still()
    database.close()
