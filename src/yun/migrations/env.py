"""Alembic's entry: runs the migrations on the connection that `yun.schema` hands over."""

from __future__ import annotations

from typing import Any, Literal

import sqlalchemy as sa
from alembic import context
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import MigrationScript

from yun.base.db import Base, UTCDateTime
from yun.rooms import furniture


def render(kind: str, value: Any, autogen: AutogenContext) -> str | Literal[False]:
    """Our own column types by what the database sees, so that old migrations never need our code."""
    if kind == "type" and isinstance(value, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(value, sa.JSON):
        autogen.imports.add("from sqlalchemy.dialects import postgresql")
        return "sa.JSON().with_variant(postgresql.JSONB(), 'postgresql')"
    return False


def revise(_context: Any, _revision: Any, scripts: list[MigrationScript]) -> None:
    """Number migrations in order."""
    script = scripts[0]
    heads = context.script.get_heads()
    script.rev_id = f"{int(heads[0]) + 1 if heads else 1:04d}"


furniture("model")
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    render_item=render,
    compare_type=True,
    process_revision_directives=revise,
)
with context.begin_transaction():
    context.run_migrations()
