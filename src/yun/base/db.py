"""The database: typed tables, sessions that say whether they write, and hooks after the commit.

SQLite (WAL, synchronous=FULL) by default, PostgreSQL by one setting. A writing session begins ``IMMEDIATE`` on
SQLite, so two writers never meet in the middle of a transaction.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from yun.base.errors import Unavailable
from yun.base.ids import new_id
from yun.base.messages import _

CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


NEVER_FOR_EVER = {
    "connect_timeout": 5, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3,
    "tcp_user_timeout": 10_000, "options": "-c idle_in_transaction_session_timeout=10000",
}  # fmt: skip
"""How long a PostgreSQL that vanished from the network keeps us waiting (libpq: seconds, milliseconds), and how long a
process of ours that stands still in the middle of a transaction keeps its locks from all others (milliseconds)."""


class DatabaseAway(Unavailable):
    """The database is locked, gone or restarting: nothing is known of what was asked, and asking again is right."""


class UTCDateTime(sa.TypeDecorator[datetime]):
    """A moment: stored as UTC, always returned with its zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


JSON = sa.JSON().with_variant(JSONB(), "postgresql")


class Base(DeclarativeBase):
    """Every table of the house."""

    metadata = sa.MetaData(naming_convention=CONVENTION)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UTCDateTime,
        int: sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
        dict[str, Any]: JSON,
        list[Any]: JSON,
        list[str]: JSON,
        list[dict[str, Any]]: JSON,
    }


class Row:
    """What every thing with an id has: the id (``PREFIX_…``), when it was made and changed, its revision.

    ``revision`` counts changes; a write that read an older revision fails, and it is the thing's ETag.
    """

    PREFIX: ClassVar[str]

    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))
    updated_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC), onupdate=lambda: datetime.now(UTC))
    revision: Mapped[int] = mapped_column(default=1)

    def __init_subclass__(cls, **kw: Any) -> None:
        if "__tablename__" in cls.__dict__:  # before the class is mapped, which the next line does
            prefix = cls.PREFIX
            cls.id = mapped_column(sa.String(40), primary_key=True, default=lambda: new_id(prefix))
        super().__init_subclass__(**kw)


@event.listens_for(Session, "before_flush")
def _count_revision(session: Session, _context: Any, _instances: Any) -> None:
    for thing in session.dirty:
        if isinstance(thing, Row) and session.is_modified(thing):
            thing.revision = (thing.revision or 1) + 1


class Database:
    """One database: `read` and `write` open sessions; `create` makes the tables (tests and `yun dev`)."""

    def __init__(self, url: str, *, pool_size: int = 16, busy_seconds: float = 15.0) -> None:
        self.url = sa.make_url(url)
        self.sqlite = self.url.get_backend_name() == "sqlite"
        options: dict[str, Any] = {"json_serializer": serialized}
        if self.sqlite:
            options["connect_args"] = {"check_same_thread": False, "timeout": busy_seconds}
            if self.url.database in (None, "", ":memory:"):
                raise ValueError("an in-memory SQLite database has one connection; use a file")
            _make_private(self.url.database)
            options |= {"pool_size": pool_size, "max_overflow": pool_size, "poolclass": sa.QueuePool}
        else:
            if self.url.drivername == "postgresql":
                self.url = self.url.set(drivername="postgresql+psycopg")
            options |= {"pool_size": pool_size, "max_overflow": pool_size, "pool_pre_ping": True}
            options["connect_args"] = NEVER_FOR_EVER
        self.engine = sa.create_engine(self.url, **options)
        if self.sqlite:
            event.listen(self.engine, "connect", _sqlite_connect)
            self._writers = Writers(busy_seconds)
            self._writers.attend(self.engine)
        self.writer = self.engine.execution_options(yun_write=True)

    def create(self) -> None:
        """Make every table that is not there. Production databases are made by migrations instead."""
        Base.metadata.create_all(self.engine)

    def session(self, *, write: bool) -> Session:
        """A session on its own connection; the caller commits and closes it."""
        return Session(self.writer if write else self.engine, expire_on_commit=False)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A writing transaction: committed at the end, rolled back on an exception."""
        with translated(), self.session(write=True) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A reading transaction, a consistent picture of one moment."""
        with translated(), self.session(write=False) as session, session.begin():
            yield session

    @property
    def written(self) -> int | None:
        """How many writing transactions have ended, on SQLite, where nobody else writes: what was read before stands
        while this number does. None where others write too."""
        return self._writers.ended if self.sqlite else None

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def serialized(value: Any) -> str:
    """The value as JSON text that every database keeps: NUL and lone surrogates become U+FFFD."""
    text = json.dumps(value, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _NUL.sub(r"\1\\ufffd", text)


_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


@contextmanager
def translated() -> Iterator[None]:
    """Turn a database that does not answer (locked, gone, restarting) into `DatabaseAway`."""
    try:
        yield
    except DBAPIError as error:
        # SQLite calls its complaints about a statement (no such column) operational too.
        statement = getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
        if (isinstance(error, OperationalError) and not statement) or error.connection_invalidated:
            raise away(str(error)) from error
        raise


def away(private: str) -> DatabaseAway:
    """The error of a database that does not answer."""
    return DatabaseAway(_("The database does not answer."), hint=_("Try again in a moment."), private=private)


def on_commit(session: Session, call: Callable[[], None]) -> None:
    """Run ``call`` once, after this session's transaction has been committed; never on a roll-back."""
    session.info.setdefault("on_commit", []).append(call)


@event.listens_for(Session, "after_commit")
def _run_hooks(session: Session) -> None:
    for call in session.info.pop("on_commit", []):
        call()


@event.listens_for(Session, "after_rollback")
def _drop_hooks(session: Session) -> None:
    session.info.pop("on_commit", None)


SQLITE_NOW: sa.ColumnElement[float] = sa.literal_column("((julianday('now') - 2440587.5) * 86400.0)", sa.Float)
POSTGRESQL_NOW: sa.ColumnElement[float] = sa.literal_column("extract(epoch FROM clock_timestamp())", sa.Float)
"""Seconds since 1970 by the database's own clock, as a part of a statement."""


def epoch(session: Session) -> float:
    """Seconds since 1970 by the database's own clock, the one clock all processes share."""
    return float(session.execute(_NOW[session.get_bind().dialect.name]).scalar_one())


_NOW = {"sqlite": sa.select(SQLITE_NOW), "postgresql": sa.select(POSTGRESQL_NOW)}
"""Built once, as whatever is asked with each operation."""


def _make_private(path: str) -> None:
    """Make the file, if there is none, for its owner's eyes alone; SQLite gives its companions the same mode."""
    with contextlib.suppress(OSError):  # no such folder: SQLite itself says so, with the path
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _sqlite_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    # Two megabytes of pages for each of some thirty connections would be most of the process; the kernel has them too.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-1024"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


class Writers:
    """Lets one thread of this process after another write to SQLite, each as soon as the one before is done.

    SQLite itself has whoever finds it locked ask again after pauses that grow to a tenth of a second, many times what a
    write takes. Other processes still wait in that way.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._turn = threading.Lock()
        self.ended = 0

    def attend(self, engine: sa.Engine) -> None:
        """Stand at the beginning and end of the engine's transactions."""
        event.listen(engine, "begin", self._begin)
        event.listen(engine, "checkin", self._done)

    def _begin(self, connection: sa.Connection) -> None:
        if not connection.get_execution_options().get("yun_write"):
            connection.exec_driver_sql("BEGIN")
            return
        held = _record(connection)
        if not held.get("writes"):
            if not self._turn.acquire(timeout=self._seconds):
                raise away("another thread of this process holds the database")
            held["writes"] = True
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        except BaseException:
            self._release(held)
            raise

    def _done(self, _connection: Any, record: Any) -> None:
        self._release(record.record_info)

    def _release(self, held: dict[str, Any]) -> None:
        if held.pop("writes", False):
            self.ended += 1
            self._turn.release()


def _record(connection: sa.Connection) -> dict[str, Any]:
    """What the pool keeps beside a connection for as long as somebody has it."""
    found = connection.connection.record_info
    assert found is not None
    return found
