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
    from alembic import command

    with database.writer.begin() as connection:
        made = config()
        made.attributes["connection"] = connection
        command.upgrade(made, "head")


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
