"""Operations of physical networks."""

from __future__ import annotations

from typing import Any

from yun.network.steps import physical
from yun.operations.flow import Op, operation


@operation("physical_network.create")
def create_physical(op: Op, values: dict[str, Any]) -> Any:
    """Describe how a host reaches a physical network."""
    op.step(physical.keep, values)
    op.step(physical.reach, values)
    return {"physical_network_id": values["id"]}


@operation("physical_network.delete")
def delete_physical(op: Op, values: dict[str, Any]) -> Any:
    """Forget how a host reaches a physical network."""
    op.step(physical.leave, values)
    op.step(physical.forget, values)
    return {"physical_network_id": values["id"]}
