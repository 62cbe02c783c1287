"""Operations of load balancers."""

from __future__ import annotations

from typing import Any

from yun.network import steps
from yun.network.steps import balancers, routing
from yun.operations.flow import Op, operation, periodic


@operation("load_balancer.create")
def create(op: Op, load_balancer_id: str, floating_ip_id: str | None = None) -> Any:
    """Make a load balancer, with a floating IP of its own if it is to have one."""
    targets = [["balancer", load_balancer_id]]
    op.step(balancers.keep_balancer, load_balancer_id, floating_ip_id)
    op.step(balancers.take_probes, load_balancer_id)
    op.step(routing.follow_new, "load_balancer", load_balancer_id, targets)
    return {"load_balancer_id": load_balancer_id}


@operation("load_balancer.update")
def update(op: Op, load_balancer_id: str, values: dict[str, Any]) -> Any:
    """Another name, description or floating IP."""
    targets = [["balancer", load_balancer_id]]
    op.step(steps.follow_undo, targets)
    op.step(balancers.update_balancer, load_balancer_id, values)
    op.step(steps.follow, targets)
    return {"load_balancer_id": load_balancer_id}


@operation("load_balancer.delete")
def delete(op: Op, load_balancer_id: str) -> Any:
    """Put a load balancer into the trash."""
    targets = [["balancer", load_balancer_id]]
    op.step(steps.follow_undo, targets)
    op.step(steps.trash, "load_balancer", load_balancer_id)
    op.step(steps.follow, targets)
    return {"load_balancer_id": load_balancer_id}


@operation("load_balancer.add_listener")
def add_listener(op: Op, load_balancer_id: str, listener: dict[str, Any]) -> Any:
    """Answer on one more port."""
    targets = [["balancer", load_balancer_id]]
    op.step(steps.follow_undo, targets)
    op.step(balancers.add_part, "listener", listener)
    op.step(balancers.take_probes, load_balancer_id)
    op.step(steps.follow, targets)
    return {"listener_id": listener["id"]}


@operation("load_balancer.change_listener")
def change_listener(op: Op, load_balancer_id: str, listener: dict[str, Any]) -> Any:
    """Answer on a port in another way."""
    targets = [["balancer", load_balancer_id]]
    op.step(steps.follow_undo, targets)
    op.step(balancers.change_listener, listener)
    op.step(balancers.take_probes, load_balancer_id)
    op.step(steps.follow, targets)
    return {"listener_id": listener["id"]}


@operation("load_balancer.remove_listener")
def remove_listener(op: Op, load_balancer_id: str, listener_id: str) -> Any:
    """Answer on one port less."""
    targets = [["balancer", load_balancer_id]]
    op.step(steps.follow_undo, targets)
    op.step(balancers.remove_part, "listener", listener_id)
    op.step(steps.follow, targets)
    return {"listener_id": listener_id}


@operation("load_balancer.add_member")
def add_member(op: Op, load_balancer_id: str, member: dict[str, Any]) -> Any:
    """Share the connections with one more."""
    targets = [["balancer", load_balancer_id]]
    op.step(steps.follow_undo, targets)
    op.step(balancers.add_part, "member", member)
    op.step(balancers.take_probes, load_balancer_id)
    op.step(steps.follow, targets)
    return {"member_id": member["id"]}


@operation("load_balancer.remove_member")
def remove_member(op: Op, load_balancer_id: str, member_id: str) -> Any:
    """Share the connections with one less."""
    targets = [["balancer", load_balancer_id]]
    op.step(steps.follow_undo, targets)
    op.step(balancers.remove_part, "member", member_id)
    op.step(steps.follow, targets)
    return {"member_id": member_id}


@periodic("load_balancer.tend", every=15.0)
@operation("load_balancer.tend")
def tend(op: Op) -> Any:
    """Look how the members are."""
    return op.step(balancers.look_at_members) or None
