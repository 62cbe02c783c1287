"""The operations of flavors as recipes."""

from __future__ import annotations

from typing import Any

from yun.compute import steps
from yun.operations.flow import Op, operation


@operation("flavor.create")
def create_flavor(op: Op, values: dict[str, Any]) -> Any:
    """Offer a size."""
    return op.step(steps.make_flavor, values)


@operation("flavor.delete")
def delete_flavor(op: Op, flavor_id: str) -> Any:
    """Offer it no longer."""
    op.step(steps.withdraw_flavor, flavor_id)
    return {"flavor_id": flavor_id}
