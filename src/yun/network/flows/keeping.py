"""Operations that keep the networks in order."""

from __future__ import annotations

from typing import Any

from yun.hosts import steps as hosts
from yun.network import comparison, defaults, partings, steps
from yun.operations.flow import Op, operation, periodic


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
    mended = op.step(comparison.compare)
    swept = op.step(comparison.sweep)
    report = {"purged": purged, "welcomed": len(targets), "swept": len(swept), **(mended or {})}
    return report if any(report.values()) else None


@operation("network.tend")
def tend(op: Op, port_ids: list[str]) -> Any:
    """Look whether ports are up."""
    return op.step(steps.look_at_ports, port_ids) or None
