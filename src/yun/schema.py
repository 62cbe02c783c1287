"""Brings a database to this version's tables, by migrations; tells what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from yun.base.db import Database
from yun.base.messages import PACKAGE

if TYPE_CHECKING:
    from alembic.config import Config

VERSION = sa.table("alembic_version", sa.column("version_num", sa.String))


def config() -> Config:
    """Alembic's configuration: no file, everything here."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(PACKAGE / "migrations"))
    return made


def upgrade(database: Database) -> None:
    """All tables are as this version needs them; rows stay. Nothing happens where they already are.

    The migration tool, which takes memory for as long as the process lives, is loaded only when there is work for it.
    """
    if current(database) == head():
        return
    upgrade_to(database, "head")


def upgrade_to(database: Database, revision: str) -> None:
    """Run the migrations up to a revision in one transaction: all of them, or none.

    SQLite changes most of a table by making it anew and dropping the old one, and a table that is dropped takes the
    rows that refer to it along (``ON DELETE CASCADE``) or refuses to go. So references are not followed meanwhile, and
    are checked before the commit. Raises RuntimeError where a row then refers to nothing; the database is as before.
    """
    from alembic import command

    with database.writer.connect() as connection:
        if database.sqlite:
            _references(connection, "OFF")
        try:
            with connection.begin():
                made = config()
                made.attributes["connection"] = connection
                command.upgrade(made, revision)
                if database.sqlite and (lost := connection.exec_driver_sql("PRAGMA foreign_key_check").all()):
                    raise RuntimeError(f"rows that refer to nothing after the migration: {lost[:10]}")
        finally:
            if database.sqlite:
                _references(connection, "ON")


def _references(connection: sa.Connection, switch: str) -> None:
    """Have SQLite follow references (ON) or not (OFF): outside of transactions alone, where it is not ignored."""
    raw = connection.connection.dbapi_connection
    assert raw is not None
    raw.execute(f"PRAGMA foreign_keys={switch}")


def current(database: Database) -> str | None:
    """The revision the database is at; None for an empty one."""
    with database.engine.connect() as connection:
        if not sa.inspect(connection).has_table(VERSION.name):
            return None
        return connection.scalar(sa.select(VERSION.c.version_num))


def head() -> str | None:
    """The revision this version needs: migrations are numbered in order, and their files begin with the number."""
    numbers = sorted(path.name.partition("_")[0] for path in (PACKAGE / "migrations" / "versions").glob("[0-9]*.py"))
    return numbers[-1] if numbers else None


def revise(database: Database, message: str) -> None:
    """Write a new migration for whatever the models have and ``database`` lacks: a developer's tool."""
    from alembic import command

    with database.engine.begin() as connection:
        made = config()
        made.attributes["connection"] = connection
        command.revision(made, message=message, autogenerate=True, rev_id=None)


def main() -> None:
    """``python -m yun.schema MESSAGE``: write the migration from the newest one to the models."""
    import sys
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/empty.db")
        upgrade(database)
        revise(database, " ".join(sys.argv[1:]))
        database.close()


if __name__ == "__main__":
    main()
