"""Operations of shared networks."""

from __future__ import annotations

from typing import Any

from yun.network.steps import sharing
from yun.operations.flow import Op, operation


@operation("network.share")
def share(op: Op, network_id: str, project_id: str) -> Any:
    """Let another project use a network."""
    op.step(sharing.share, network_id, project_id)
    return {"network_id": network_id}


@operation("network.unshare")
def unshare(op: Op, network_id: str, project_id: str) -> Any:
    """Let another project use a network no more."""
    op.step(sharing.unshare, network_id, project_id)
    return {"network_id": network_id}
