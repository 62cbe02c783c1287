"""Operations of DNS records."""

from __future__ import annotations

from typing import Any

from yun.network import steps
from yun.network.steps import records
from yun.operations.flow import Op, operation

Targets = list[list[str]]


@operation("dns_record.create")
def create_record(op: Op, record_id: str, targets: Targets) -> Any:
    """Answer a name."""
    op.step(records.keep_record, record_id)
    op.step(records.follow_new, record_id, targets)
    return {"dns_record_id": record_id}


@operation("dns_record.delete")
def delete_record(op: Op, values: dict[str, Any], targets: Targets) -> Any:
    """Answer a name no more."""
    op.step(steps.follow_undo, targets)
    op.step(records.forget_record, values)
    op.step(steps.follow, targets)
    return {"dns_record_id": values["id"]}
