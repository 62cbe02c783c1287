"""The operations of network functions as recipes. They are made, started and deleted as instances."""

from __future__ import annotations

from typing import Any

from yun.functions import steps
from yun.operations.flow import Op, operation, periodic


@operation("function.update")
def update(op: Op, function_id: str, settings: dict[str, Any], was: str) -> Any:
    """Rows, then seed and running guest."""
    op.step(steps.before_settings, function_id)
    op.step(steps.have_settings, function_id, settings, was)
    op.step(steps.follow_now, function_id)
    return {"function_id": function_id}


@operation("function.follow")
def follow(op: Op, function_id: str) -> Any:
    """Seed and running guest are as the rows say."""
    op.step(steps.follow_now, function_id)
    return {"function_id": function_id}


@operation("function.refresh")
def refresh(op: Op, function_id: str) -> Any:
    """Ask one function how it does."""
    return {"function_id": function_id, "fault": op.step(steps.look_now, function_id)}


@periodic("function.tend", every=10.0)
@operation("function.tend")
def tend(op: Op) -> None:
    """Ask all functions now and then."""
    op.step(steps.look_at_all)
