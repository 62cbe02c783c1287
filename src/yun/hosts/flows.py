"""The hosts' operations: tend (look at the local host), start a service, change limits."""

from __future__ import annotations

from typing import Any

from yun.hosts import steps
from yun.operations.flow import Op, operation, periodic


@periodic("host.tend", every=10.0)
@operation("host.tend")
def tend(op: Op) -> list[str] | None:
    """Look at the local host and write what is seen; returns what changed."""
    changed: list[str] | None = op.step(steps.observe)
    return changed


@operation("host.start_service")
def start_service(op: Op, host_id: str, name: str) -> Any:
    """Start a daemon, then look whether it runs."""
    op.step(steps.start_daemon, host_id, name)
    op.step(steps.observe)
    return {"service": name}


@operation("host.update")
def update(op: Op, host_id: str, changes: dict[str, Any]) -> Any:
    """Change limits."""
    op.step(steps.change_limits, host_id, changes)
    return changes
