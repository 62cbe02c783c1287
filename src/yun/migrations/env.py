"""Alembic's entry: runs the migrations on the connection that `yun.schema` hands over."""

from __future__ import annotations

from alembic import context

from yun.base.db import Base
from yun.rooms import furniture

furniture("model")
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
