"""The networks' operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from yun.hosts import steps as hosts
from yun.network import defaults, partings, steps
from yun.operations.flow import Op, operation, periodic
from yun.operations.intent import Subject

if TYPE_CHECKING:
    from yun.operations.engine import Engine

Targets = list[list[str]]


def attach(engine: Engine) -> None:
    """Let the network engine's notices wake the operations that look."""

    def nudge(port_id: str) -> None:
        if port_id:
            engine.nudge("network.tend", Subject("port", port_id), port_ids=[port_id])
        else:
            engine.nudge("network.reconcile", Subject("network", "cloud"))

    engine.drivers.network.subscribe(nudge)


@operation("network.create")
def create_network(op: Op, network_id: str, targets: Targets) -> Any:
    """Make a network, with its first subnet if it has one."""
    op.step(steps.follow_undo, targets)
    op.step(steps.keep, "network", network_id)
    op.step(steps.follow, targets)
    return {"network_id": network_id}


@operation("network.tag")
def tag_network(op: Op, network_id: str, tags: list[str]) -> Any:
    """Other tags."""
    op.step(steps.tag, network_id, tags)
    return {"network_id": network_id}


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
    op.step(steps.follow_undo, targets)
    op.step(steps.keep, "subnet", subnet_id)
    op.step(steps.follow, targets)
    return {"subnet_id": subnet_id}


@operation("subnet.delete")
def delete_subnet(op: Op, subnet_id: str, targets: Targets) -> Any:
    """Put a subnet into the trash."""
    op.step(steps.follow_undo, targets)
    op.step(steps.trash, "subnet", subnet_id)
    op.step(steps.follow, targets)
    return {"subnet_id": subnet_id}


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


@operation("floating_ip.allocate")
def allocate(op: Op, floating_ip_id: str) -> Any:
    """Take an outside address from the pool."""
    op.step(steps.keep, "floating_ip", floating_ip_id)
    return {"floating_ip_id": floating_ip_id}


@operation("floating_ip.release")
def release(op: Op, floating_ip_id: str) -> Any:
    """Put an outside address into the trash."""
    op.step(steps.trash, "floating_ip", floating_ip_id)
    return {"floating_ip_id": floating_ip_id}


@operation("floating_ip.associate")
def associate(op: Op, floating_ip_id: str, port_id: str, targets: Targets) -> Any:
    """Lead an outside address to a port."""
    op.step(steps.follow_undo, targets)
    op.step(steps.link, floating_ip_id, port_id)
    op.step(steps.follow, targets)
    return {"floating_ip_id": floating_ip_id, "port_id": port_id}


@operation("floating_ip.disassociate")
def disassociate(op: Op, floating_ip_id: str, targets: Targets) -> Any:
    """Lead an outside address nowhere."""
    op.step(steps.follow_undo, targets)
    op.step(steps.link, floating_ip_id, None)
    op.step(steps.follow, targets)
    return {"floating_ip_id": floating_ip_id}


@operation("network.ensure_default", forward=True)
def ensure_default(op: Op) -> Any:
    """External network, the host as its gateway, each project's default things."""
    op.step(hosts.observe)
    found = op.step(defaults.examine)
    outside = op.step(defaults.write_external, found)
    targets = op.step(defaults.write_projects, outside)
    op.step(defaults.open_gateway, outside)
    op.step(steps.follow, [["network", outside["network_id"]], *targets])
    return {"network_id": outside["network_id"], "gateway": outside["gateway"]}


@periodic("network.reconcile", every=60.0)
@operation("network.reconcile")
def reconcile(op: Op) -> Any:
    """Purge what lay in the trash long enough, give new projects their defaults, compare the engine with the rows."""
    purged = op.step(defaults.purge_trash)
    targets = op.step(defaults.welcome_projects)
    if targets:
        op.step(steps.follow, targets)
    op.step(partings.settle)
    mended = op.step(defaults.compare)
    report = {"purged": purged, "welcomed": len(targets), **(mended or {})}
    return report if any(report.values()) else None


@operation("network.tend")
def tend(op: Op, port_ids: list[str]) -> Any:
    """Look whether ports are up."""
    return op.step(steps.look_at_ports, port_ids) or None
