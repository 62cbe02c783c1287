"""Brings a database to this version's tables, by migrations; tells what is missing."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from yun.base.db import Database
from yun.base.messages import PACKAGE


def config() -> Config:
    """Alembic's configuration: no file, everything here."""
    made = Config()
    made.set_main_option("script_location", str(PACKAGE / "migrations"))
    return made


def upgrade(database: Database) -> None:
    """All tables are as this version needs them; rows stay. Nothing happens where they already are."""
    with database.writer.begin() as connection:
        made = config()
        made.attributes["connection"] = connection
        command.upgrade(made, "head")


def current(database: Database) -> str | None:
    """The revision the database is at; None for an empty one."""
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head() -> str | None:
    """The revision this version needs."""
    return ScriptDirectory.from_config(config()).get_current_head()


def revise(database: Database, message: str) -> None:
    """Write a new migration for whatever the models have and ``database`` lacks: a developer's tool."""
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
