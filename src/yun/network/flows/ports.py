"""Operations of ports as things of their own."""

from __future__ import annotations

from typing import Any

from yun.network import cards, steps
from yun.network.steps import ports
from yun.operations.flow import Op, operation

Targets = list[list[str]]


@operation("port.create")
def create_port(op: Op, port_id: str, port_ids: list[str] | None = None) -> Any:
    """Make a port that is in no instance yet, or many."""
    if port_ids is not None:
        op.step(ports.keep_all_ports, port_ids)
        return {"port_id": port_id, "port_ids": port_ids}
    op.step(ports.keep_port, port_id)
    return {"port_id": port_id}


@operation("port.update")
def update_port(
    op: Op, port_id: str, values: dict[str, Any], was: dict[str, Any], floating_ip_ids: list[str], targets: Targets
) -> Any:
    """Change a port."""
    op.step(steps.follow_undo, targets)
    for floating_ip_id in floating_ip_ids:
        op.step(steps.link, floating_ip_id, None)
    op.step(cards.change_card, port_id, values, was)
    op.step(steps.follow, targets)
    return {"port_id": port_id}


@operation("port.delete")
def delete_port(op: Op, port_id: str) -> Any:
    """Put a port into the trash."""
    op.step(ports.trash_port, port_id)
    return {"port_id": port_id}


@operation("port.add_address")
def add_address(op: Op, port_id: str, subnet_id: str, address: str, targets: Targets) -> Any:
    """One address more."""
    op.step(steps.follow_undo, targets)
    op.step(ports.add_address, port_id, subnet_id, address)
    op.step(steps.follow, targets)
    return {"port_id": port_id, "address": address}


@operation("port.remove_address")
def remove_address(op: Op, port_id: str, subnet_id: str, address: str, targets: Targets) -> Any:
    """One address less."""
    op.step(steps.follow_undo, targets)
    op.step(ports.remove_address, port_id, subnet_id, address)
    op.step(steps.follow, targets)
    return {"port_id": port_id, "address": address}
