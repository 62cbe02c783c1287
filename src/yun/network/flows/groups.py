"""Operations of security groups."""

from __future__ import annotations

from typing import Any

from yun.network import steps
from yun.network.steps import groups as changes
from yun.network.steps import hits, routing
from yun.operations.flow import Op, operation, periodic


@operation("security_group.create")
def create_group(op: Op, group_id: str) -> Any:
    """Make a security group."""
    targets = [["group", group_id]]
    op.step(steps.keep, "security_group", group_id)
    op.step(routing.follow_new, "security_group", group_id, targets)
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


@operation("security_group.update")
def update_group(op: Op, group_id: str, values: dict[str, Any], was: dict[str, Any]) -> Any:
    """Other name or description, or whether it follows connections."""
    targets = [["group", group_id]]
    op.step(steps.follow_undo, targets)
    op.step(changes.change, "security_group", group_id, values, was)
    op.step(steps.follow, targets)
    return {"security_group_id": group_id}


@operation("security_group.clone")
def clone_group(op: Op, group_id: str) -> Any:
    """Make a security group with another one's rules."""
    return create_group(op, group_id)


@operation("security_group.update_rule")
def update_rule(op: Op, group_id: str, rule: dict[str, Any]) -> Any:
    """Allow another thing instead."""
    targets = [["group", group_id]]
    op.step(steps.follow_undo, targets)
    op.step(changes.change_rule, group_id, rule)
    op.step(steps.follow, targets)
    return {"rule_id": rule["id"]}


@operation("address_set.create")
def create_set(op: Op, set_id: str) -> Any:
    """Make an address set."""
    targets = [["set", set_id]]
    op.step(steps.keep, "address_set", set_id)
    op.step(routing.follow_new, "address_set", set_id, targets)
    return {"address_set_id": set_id}


@operation("address_set.update")
def update_set(op: Op, set_id: str, values: dict[str, Any], was: dict[str, Any]) -> Any:
    """Other ranges, name or description."""
    targets = [["set", set_id]]
    op.step(steps.follow_undo, targets)
    op.step(changes.change, "address_set", set_id, values, was)
    op.step(steps.follow, targets)
    return {"address_set_id": set_id}


@operation("address_set.delete")
def delete_set(op: Op, set_id: str) -> Any:
    """Put an address set into the trash."""
    targets = [["set", set_id]]
    op.step(steps.follow_undo, targets)
    op.step(steps.trash, "address_set", set_id)
    op.step(steps.follow, targets)
    return {"address_set_id": set_id}


@operation("security_group.log")
def log_group(op: Op, group_id: str, until: str, now: str) -> Any:
    """Note for a while what the rules of a group let through, and what is dropped."""
    targets = [["group", group_id]]
    op.step(steps.follow_undo, targets)
    op.step(hits.begin, group_id, until, now)
    op.step(steps.follow, targets)
    return {"security_group_id": group_id, "until": until}


@operation("security_group.stop_log")
def stop_log(op: Op, group_id: str) -> Any:
    """Note nothing more of a group."""
    op.step(hits.read, [group_id])
    op.step(hits.finish, [group_id])
    op.step(steps.follow, [["group", group_id]])
    return {"security_group_id": group_id}


@periodic("security_group.read_log", every=5.0)
@operation("security_group.read_log")
def read_log(op: Op) -> Any:
    """Read what hosts noted of groups, and end what is over."""
    over = op.step(hits.read)
    if not over:
        return None
    op.step(hits.finish, over)
    op.step(steps.follow, [["group", group_id] for group_id in over])
    return {"security_groups": over}
