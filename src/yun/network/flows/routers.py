"""Operations of routers, their legs and routes."""

from __future__ import annotations

from typing import Any

from yun.network import steps
from yun.network.steps import routing
from yun.operations.flow import Op, operation


@operation("router.create")
def create_router(op: Op, router_id: str) -> Any:
    """Make a router, with a way out if it has one."""
    op.step(steps.keep, "router", router_id)
    op.step(routing.follow_new, "router", router_id, [["router", router_id]])
    return {"router_id": router_id}


@operation("router.update")
def update_router(op: Op, router_id: str, values: dict[str, Any]) -> Any:
    """Change a router's name, description or source NAT."""
    before = op.step(routing.change, "router", router_id, values)
    op.step(routing.follow_change, "router", router_id, before, [["router", router_id]])
    return {"router_id": router_id}


@operation("router.delete")
def delete_router(op: Op, router_id: str) -> Any:
    """Put a router into the trash."""
    targets = [["router", router_id]]
    op.step(steps.follow_undo, targets)
    op.step(steps.trash, "router", router_id)
    op.step(steps.follow, targets)
    return {"router_id": router_id}


@operation("router.add_interface")
def add_interface(op: Op, router_id: str, interface_id: str) -> Any:
    """Connect a router with a subnet."""
    op.step(routing.keep_part, router_id, "interface", interface_id)
    op.step(routing.follow_part, router_id, "interface", interface_id)
    return {"router_id": router_id, "interface_id": interface_id}


@operation("router.set_gateway")
def set_gateway(op: Op, router_id: str, interface_id: str) -> Any:
    """Give a router a way out."""
    op.step(routing.keep_part, router_id, "interface", interface_id)
    op.step(routing.follow_part, router_id, "interface", interface_id)
    return {"router_id": router_id, "interface_id": interface_id}


def _remove_leg(op: Op, router_id: str, interface_id: str) -> Any:
    targets = [["router", router_id]]
    op.step(steps.follow_undo, targets)
    op.step(routing.trash_leg, router_id, interface_id)
    op.step(steps.follow, targets)
    return {"router_id": router_id}


@operation("router.remove_interface")
def remove_interface(op: Op, router_id: str, interface_id: str) -> Any:
    """Take a router off a subnet."""
    return _remove_leg(op, router_id, interface_id)


@operation("router.clear_gateway")
def clear_gateway(op: Op, router_id: str, interface_id: str) -> Any:
    """Take a router's way out."""
    return _remove_leg(op, router_id, interface_id)


@operation("router.add_route")
def add_route(op: Op, router_id: str, route_id: str) -> Any:
    """Give a router a static route."""
    op.step(routing.keep_part, router_id, "route", route_id)
    op.step(routing.follow_part, router_id, "route", route_id)
    return {"router_id": router_id, "route_id": route_id}


@operation("router.remove_route")
def remove_route(op: Op, router_id: str, route_id: str) -> Any:
    """Take a static route from a router."""
    targets = [["router", router_id]]
    op.step(steps.follow_undo, targets)
    op.step(routing.remove_route, router_id, route_id)
    op.step(steps.follow, targets)
    return {"router_id": router_id}
