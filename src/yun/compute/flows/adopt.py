"""Machines of libvirt's that nobody here made: looked for, taken over, handed back."""

from __future__ import annotations

from typing import Any

from yun.compute import steps
from yun.network import steps as network
from yun.operations.flow import Op, operation, periodic


@periodic("host.find_machines", every=60.0)
@operation("host.find_machines")
def find_machines(op: Op) -> None:
    """Look on all hosts."""
    op.step(steps.find_all)


@operation("instance.adopt")
def adopt(op: Op, instance_id: str) -> Any:
    """Rows, the mark, and what it does now."""
    op.step(steps.begin_adoption, instance_id)
    op.step(steps.claim, instance_id)
    state = op.step(steps.settle, instance_id)
    return {"instance_id": instance_id, "state": state}


@operation("instance.release")
def release(op: Op, instance_id: str) -> Any:
    """A plain domain, no cards of ours, no rows; then it is found like any other."""
    plan = op.step(steps.parts, instance_id)
    op.step(steps.hand_over, instance_id)
    for port_id in plan["ports"]:
        op.step(network.unplug_port, port_id)
    op.step(steps.forget_machine, instance_id)
    op.step(steps.find, plan["host_id"])
    return {"instance_id": instance_id}
