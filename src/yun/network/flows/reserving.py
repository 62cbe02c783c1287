"""Operations of reserved addresses."""

from __future__ import annotations

from typing import Any

from yun.network.steps import reserving
from yun.operations.flow import Op, operation


@operation("subnet.reserve")
def reserve(op: Op, subnet_id: str, values: dict[str, Any]) -> Any:
    """Keep addresses for somebody the cloud does not know."""
    return {"subnet_id": subnet_id, "range_id": op.step(reserving.reserve, subnet_id, values)}


@operation("subnet.unreserve")
def unreserve(op: Op, subnet_id: str, values: dict[str, Any]) -> Any:
    """Give reserved addresses out again."""
    return {"subnet_id": subnet_id, "range_id": op.step(reserving.unreserve, subnet_id, values)}
