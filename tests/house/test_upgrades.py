"""An upgrade keeps what people have: every row of every older version comes through all later migrations."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from yun import schema
from yun.base.db import Database
from yun.base.messages import PACKAGE

REVISIONS = sorted(path.name[:4] for path in (PACKAGE / "migrations" / "versions").glob("[0-9]*.py"))
NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)


def worth(column: sa.Column[Any], kept: dict[tuple[str, str], Any]) -> Any:
    """Something that the column takes: what a row of the other table has, where it refers to one."""
    for key in column.foreign_keys:
        if found := kept.get((key.column.table.name, key.column.name)):
            return found
    if column.foreign_keys:
        return None
    if column.name == "xml":
        return "<domain/>"
    match column.type:
        case sa.Boolean():
            return True
        case sa.JSON():
            return {}
        case sa.DateTime():
            return NOON
        case sa.Integer() | sa.Numeric() | sa.Float():
            return 1
        case sa.LargeBinary():
            return b"x"
    return f"{column.table.name[:20]}.{column.name[:12]}"[: getattr(column.type, "length", None) or 40]


def furnish(database: Database, kept: dict[tuple[str, str], Any]) -> None:
    """One row in each table that has none, parents first; ``kept`` learns their columns."""
    tables = sa.MetaData()
    tables.reflect(database.engine)
    with database.writer.begin() as connection:
        for table in tables.sorted_tables:
            if table.name == "alembic_version" or connection.execute(sa.select(table).limit(1)).first():
                continue
            row = {column.name: worth(column, kept) for column in table.columns}
            connection.execute(table.insert().values(row))
            kept |= {(table.name, name): value for name, value in row.items() if value is not None}


def counts(database: Database) -> dict[str, int]:
    """Rows of each table."""
    tables = sa.MetaData()
    tables.reflect(database.engine)
    with database.engine.connect() as connection:
        return {
            table.name: connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            for table in tables.sorted_tables
        }


def climb(database: Database) -> Iterator[tuple[str, dict[str, int], dict[str, int]]]:
    """Each revision, and the rows of the tables before and after the step to it."""
    kept: dict[tuple[str, str], Any] = {}
    before: dict[str, int] = {}
    for revision in REVISIONS:
        schema.upgrade_to(database, revision)
        yield revision, before, counts(database)
        furnish(database, kept)
        before = counts(database)


def keeps_everything(database: Database) -> None:
    """Nothing is lost at any step, and references are followed again at its end."""
    try:
        for revision, before, after in climb(database):
            lost = {name: (n, after.get(name)) for name, n in before.items() if name != "alembic_version"}
            lost = {name: found for name, found in lost.items() if found[1] is not None and found[1] < found[0]}
            assert lost == {}, f"{revision} loses rows"
        assert all(counts(database).values()), "every table was looked at"
        if database.sqlite:
            with database.engine.connect() as connection:
                assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
                assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    finally:
        database.close()


def test_rows_come_through_every_migration_on_sqlite(tmp_path: Path) -> None:
    keeps_everything(Database(f"sqlite:///{tmp_path / 'yun.db'}"))


@pytest.mark.postgresql
def test_rows_come_through_every_migration_on_postgresql(postgres: Callable[[], str]) -> None:
    keeps_everything(Database(postgres()))


def test_a_migration_that_would_orphan_rows_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import command

    database = Database(f"sqlite:///{tmp_path / 'yun.db'}")
    schema.upgrade_to(database, REVISIONS[0])
    furnish(database, {})
    before = counts(database)

    def clumsy(config: Any, _revision: str) -> None:
        config.attributes["connection"].exec_driver_sql("DELETE FROM project")

    monkeypatch.setattr(command, "upgrade", clumsy)
    with pytest.raises(RuntimeError, match="refer to nothing"):
        schema.upgrade_to(database, REVISIONS[1])
    assert counts(database) == before
    database.close()
