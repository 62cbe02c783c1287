"""Fixtures of the whole suite: databases on both engines, a world of fakes, a cloud on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from yun.base import db
from yun.base.config import Settings
from yun.base.db import Database
from yun.identity import secret
from yun.rooms import furniture

# A test's database need not survive a power cut: what is committed is still there after a killed process.
durable = db._sqlite_connect


def _careless(connection: Any, record: Any) -> None:
    durable(connection, record)
    connection.execute("PRAGMA synchronous=OFF")


db._sqlite_connect = _careless
# Processors that guests and other tests share may keep a test waiting for longer than a process of ours ever should.
db.NEVER_FOR_EVER["options"] = "-c idle_in_transaction_session_timeout=60000"

# Thousands of databases are opened, and each would translate every statement anew: they share what was learnt.
KNOWN = sa.create_engine("sqlite://", json_serializer=db.serialized, query_cache_size=5000)
KNOWN.connect().close()
_open = Database.__init__


def _knowing(self: Database, *args: Any, **options: Any) -> None:
    _open(self, *args, **options)
    if self.sqlite:
        for engine in (self.engine, self.writer):
            engine.dialect, engine._compiled_cache = KNOWN.dialect, KNOWN._compiled_cache


Database.__init__ = _knowing  # type: ignore[method-assign]
# Argon2 with the smallest parameters: thousands of clouds have an administrator.
secret._HASHER = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The browser comes last: while its library drives Chromium, an event loop runs in the main thread, and whatever
    needs one of its own there (``asyncio.run``, a test client's stream) is refused."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


PG_BIN = Path("/usr/lib/postgresql/15/bin")


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """A private PostgreSQL on a unix socket, fast and forgetful, started by the suite; yields a URL template."""
    home = Path(tempfile.mkdtemp(prefix="yun-pg-"))
    data = home / "data"
    root = os.geteuid() == 0
    if root:
        shutil.chown(home, "postgres", "postgres")

    def run(*command: str) -> None:
        prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if root else []
        subprocess.run([*prefix, *command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, cwd=home)

    run(str(PG_BIN / "initdb"), "-D", str(data), "-A", "trust", "-U", "yun", "--no-sync", "--locale=C.UTF-8")
    options = f"-k {home} -c listen_addresses='' -c fsync=off -c max_connections=200"
    run(str(PG_BIN / "pg_ctl"), "-D", str(data), "-w", "-l", str(home / "log"), "-o", options, "start")
    try:
        yield f"postgresql+psycopg://yun@/{{name}}?host={home}"
    finally:
        run(str(PG_BIN / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def postgres(postgresql_server: str) -> Iterator[Callable[[], str]]:
    """Makes empty PostgreSQL databases; they are dropped after the test."""
    made: list[str] = []
    admin = sa.create_engine(
        postgresql_server.format(name="postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
    )

    def create() -> str:
        name = "t" + uuid.uuid4().hex
        with admin.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        made.append(name)
        return postgresql_server.format(name=name)

    yield create
    with admin.connect() as connection:
        for name in made:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))


class Reused:
    """PostgreSQL databases with all tables, emptied between tests: making one anew costs a hundred times as much."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.free: list[str] = []
        self.made = 0

    def take(self) -> str:
        """The URL of a database with empty tables."""
        if self.free:
            url = self.free.pop()
        else:
            self.made += 1
            url = self.server.format(name=f"reused{self.made}")
            self._admin(f"CREATE DATABASE reused{self.made}")
            made = Database(url)
            furniture("model")
            made.create()
            made.close()
        return url

    def give(self, url: str) -> None:
        """Whoever still holds a connection loses it; rows go, counters start anew."""
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        with engine.begin() as connection:
            connection.execute(sa.text(f"{others} AND pid <> pg_backend_pid()"))
            connection.execute(sa.text("SET session_replication_role = replica"))
            tables = connection.scalars(sa.text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
            counters = connection.scalars(sa.text("SELECT sequencename FROM pg_sequences WHERE schemaname = 'public'"))
            statements = [f'DELETE FROM "{t}"' for t in tables] + [f'ALTER SEQUENCE "{c}" RESTART' for c in counters]
            connection.exec_driver_sql("; ".join(statements))
        self.free.append(url)

    def _admin(self, statement: str) -> None:
        url = self.server.format(name="postgres")
        admin = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with admin.connect() as connection:
            connection.execute(sa.text(statement))


@pytest.fixture(scope="session")
def reused(postgresql_server: str) -> Reused:
    """Databases of the session."""
    return Reused(postgresql_server)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without rows on each engine in turn, as a URL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'yun.db'}"
        return
    pool: Reused = request.getfixturevalue("reused")
    url = pool.take()
    yield url
    pool.give(url)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The tables on each database engine in turn."""
    made = Database(database_url)
    made.create()
    yield made
    made.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a cloud that lives in the test's folder, on fakes."""
    return Settings(state_dir=tmp_path, fake=True, heartbeat_seconds=0.2, node_timeout=2.0)


@pytest.fixture(scope="session")
def first_day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A cloud with its first rows, networks, pool and images, made once; every test gets a copy of its own."""
    from tests.house.story import Story

    made = Story.begin(Settings(state_dir=tmp_path_factory.mktemp("first-day"), fake=True))
    yield made
    made.cloud.database.close()


@pytest.fixture(scope="session")
def play() -> Iterator[Any]:
    """The browser's library, started once: it cannot run twice in one thread."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        yield started
