"""Fixtures of the whole suite: databases on both engines, a world of fakes, a cloud on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from yun.base.config import Settings
from yun.base.db import Database

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


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database on each engine in turn, as a URL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'yun.db'}"
        return
    yield request.getfixturevalue("postgres")()


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
