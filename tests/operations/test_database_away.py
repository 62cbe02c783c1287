"""A database that goes away for a moment: no step fails for it, none runs twice, and people are told honestly."""

from __future__ import annotations

import sqlite3
import threading
import time
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


def _writers(count: int, call: Callable[[], None]) -> list[Exception]:
    """What went wrong in so many threads that all do the same at once."""
    wrong: list[Exception] = []

    def work() -> None:
        try:
            call()
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work) for _n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    return wrong


def test_writers_of_one_process_come_one_after_another_and_none_finds_the_database_locked(
    tmp_path: Path,
) -> None:
    own = Database(f"sqlite:///{tmp_path}/own.db")
    event.listen(own.engine, "connect", lambda raw, _record: raw.execute("PRAGMA busy_timeout=0"))  # it never sleeps
    with own.writer.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE count (n INTEGER)")
        connection.exec_driver_sql("INSERT INTO count VALUES (0)")

    def add() -> None:
        for _n in range(5):
            with own.writer.begin() as connection:
                n = connection.exec_driver_sql("SELECT n FROM count").scalar_one()
                time.sleep(0.005)
                connection.exec_driver_sql(f"UPDATE count SET n = {n + 1}")

    assert _writers(8, add) == []
    with own.read() as session:
        assert session.scalar(sa.text("SELECT n FROM count")) == 40
    own.close()


def test_a_writer_that_never_gets_its_turn_is_told_that_the_database_is_away(tmp_path: Path) -> None:
    own = Database(f"sqlite:///{tmp_path}/own.db", busy_seconds=0.3)
    with own.writer.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE count (n INTEGER)")
        with pytest.raises(DatabaseAway), own.write() as session:
            session.execute(sa.text("SELECT 1"))
    with own.write() as session:  # the turn was given back, by the one that had it
        session.execute(sa.text("INSERT INTO count VALUES (1)"))
    own.close()


def test_a_write_that_fails_or_finds_another_process_writing_gives_its_turn_back(tmp_path: Path) -> None:
    own = Database(f"sqlite:///{tmp_path}/own.db", busy_seconds=0.3)
    with own.writer.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE count (n INTEGER)")
    with pytest.raises(OperationalError), own.write() as session:
        session.execute(sa.text("INSERT INTO nothing VALUES (1)"))
    other = sqlite3.connect(tmp_path / "own.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for _n in range(2):
        with pytest.raises(DatabaseAway), own.write() as session:
            session.execute(sa.text("INSERT INTO count VALUES (1)"))
    other.execute("ROLLBACK")
    other.close()
    with own.write() as session:
        session.execute(sa.text("INSERT INTO count VALUES (1)"))
    with own.read() as session:
        assert session.scalar(sa.text("SELECT count(*) FROM count")) == 1
    own.close()
