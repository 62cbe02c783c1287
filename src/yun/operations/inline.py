"""Instant operations: pure database work walked inside the caller's transaction, journaled like any other."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import sqlalchemy as sa

from yun.base.context import Context
from yun.operations.flow import REGISTRY, Op, Step, Undoing, plain
from yun.operations.model import Operation, OperationStep

_STEP = sa.insert(cast(sa.Table, OperationStep.__table__))


class InlineOp:
    """What an instant recipe sees instead of `Op`: the same words, one transaction, no drivers."""

    def __init__(self, ctx: Context, operation: Operation) -> None:
        self.session = ctx.session
        self.settings = ctx.settings
        self.clock = ctx.clock
        self.id = operation.id
        self.kind = operation.kind
        self.project_id = operation.project_id
        self.actor_name = operation.actor_name
        self.actor_id = operation.actor_id
        self.undoing: Undoing = None
        self._seq = operation.seq
        self._position = 0

    def step(self, made: Step, *args: Any) -> Any:
        """Walk one database step and record it. A step that acts outside the database is a bug here."""
        if not made.transactional:
            raise TypeError(f"{made.name} acts outside the database; its operation cannot be instant")
        arguments = plain(list(args))
        output = plain(made.call(self, self.session, *arguments))
        now = datetime.now(UTC)
        values = {
            "seq": self._seq, "position": self._position, "name": made.name, "arguments": arguments, "state": "done",
            "output": {"value": output}, "begun_at": now, "ended_at": now,
        }  # fmt: skip
        self.session.execute(_STEP, values)
        self._position += 1
        return output


def perform(ctx: Context, operation: Operation) -> Any:
    """Walk the operation's recipe in the caller's transaction; its result as JSON."""
    recipe = REGISTRY.recipes[operation.kind]
    op = InlineOp(ctx, operation)
    return plain(recipe.call(cast(Op, op), **operation.arguments))
