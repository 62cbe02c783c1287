"""Operations of security groups."""

from __future__ import annotations

from typing import Any

from yun.network import steps
from yun.operations.flow import Op, operation


@operation("security_group.create")
def create_group(op: Op, group_id: str) -> Any:
    """Make a security group."""
    targets = [["group", group_id]]
    op.step(steps.follow_undo, targets)
    op.step(steps.keep, "security_group", group_id)
    op.step(steps.follow, targets)
    return {"security_group_id": group_id}


@operation("security_group.delete")
def delete_group(op: Op, group_id: str) -> Any:
    """Put a security group into the trash."""
    targets = [["group", group_id]]
    op.step(steps.follow_undo, targets)
    op.step(steps.trash, "security_group", group_id)
    op.step(steps.follow, targets)
    return {"security_group_id": group_id}


@operation("security_group.add_rule")
def add_rule(op: Op, group_id: str, rule: dict[str, Any]) -> Any:
    """Allow one more thing."""
    targets = [["group", group_id]]
    op.step(steps.follow_undo, targets)
    op.step(steps.add_rule, group_id, rule)
    op.step(steps.follow, targets)
    return {"rule_id": rule["id"]}


@operation("security_group.remove_rule")
def remove_rule(op: Op, group_id: str, rule_id: str) -> Any:
    """Allow one thing less."""
    targets = [["group", group_id]]
    op.step(steps.follow_undo, targets)
    op.step(steps.remove_rule, group_id, rule_id)
    op.step(steps.follow, targets)
    return {"rule_id": rule_id}
