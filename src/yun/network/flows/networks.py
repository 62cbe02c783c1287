"""Operations of networks and subnets."""

from __future__ import annotations

from typing import Any

from yun.network import steps
from yun.network.steps import changes, routing
from yun.operations.flow import Op, operation

Targets = list[list[str]]
Values = dict[str, Any]


@operation("network.create")
def create_network(op: Op, network_id: str, targets: Targets, group_id: str | None = None) -> Any:
    """Make a network, with its first subnet and a security group if it has them."""
    if group_id is not None:
        things = [["network", network_id], ["security_group", group_id]]
        op.step(steps.keep_all, things)
        op.step(routing.follow_all, things, targets)
        return {"network_id": network_id, "security_group_id": group_id}
    op.step(steps.keep, "network", network_id)
    op.step(routing.follow_new, "network", network_id, targets)
    return {"network_id": network_id}


@operation("network.tag")
def tag_network(op: Op, network_id: str, tags: list[str]) -> Any:
    """Other tags."""
    op.step(steps.tag, network_id, tags)
    return {"network_id": network_id}


@operation("network.update")
def update_network(op: Op, network_id: str, values: Values, was: Values, targets: Targets) -> Any:
    """Change a network while its ports go on."""
    op.step(steps.follow_undo, targets)
    op.step(changes.change_network, network_id, values, was)
    op.step(steps.follow, targets)
    return {"network_id": network_id}


@operation("subnet.update")
def update_subnet(op: Op, subnet_id: str, values: Values, was: Values, targets: Targets) -> Any:
    """Change a subnet while its ports go on."""
    op.step(steps.follow_undo, targets)
    op.step(changes.change_subnet, subnet_id, values, was)
    op.step(steps.follow, targets)
    return {"subnet_id": subnet_id}


@operation("network.delete")
def delete_network(op: Op, network_id: str, targets: Targets) -> Any:
    """Put a network into the trash."""
    op.step(steps.follow_undo, targets)
    op.step(steps.trash, "network", network_id)
    op.step(steps.follow, targets)
    return {"network_id": network_id}


@operation("subnet.create")
def create_subnet(op: Op, subnet_id: str, targets: Targets) -> Any:
    """Make a subnet."""
    op.step(steps.keep, "subnet", subnet_id)
    op.step(routing.follow_new, "subnet", subnet_id, targets)
    return {"subnet_id": subnet_id}


@operation("subnet.delete")
def delete_subnet(op: Op, subnet_id: str, targets: Targets) -> Any:
    """Put a subnet into the trash."""
    op.step(steps.follow_undo, targets)
    op.step(steps.trash, "subnet", subnet_id)
    op.step(steps.follow, targets)
    return {"subnet_id": subnet_id}
