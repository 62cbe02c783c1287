"""Migrations and models agree, on both databases; a database that is up to date stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from yun import schema
from yun.base.db import Base, Database
from yun.rooms import furniture


def differences(url: str) -> list[object]:
    furniture("model")
    database = Database(url)
    try:
        schema.upgrade(database)
        assert schema.current(database) == schema.head()
        schema.upgrade(database)
        with database.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            return list(compare_metadata(context, Base.metadata))
    finally:
        database.close()


def test_migrations_make_what_the_models_say_on_sqlite(tmp_path: Path) -> None:
    assert differences(f"sqlite:///{tmp_path / 'yun.db'}") == []


@pytest.mark.postgresql
def test_migrations_make_what_the_models_say_on_postgresql(postgres: Callable[[], str]) -> None:
    assert differences(postgres()) == []
