"""Steps of port forwardings: into the trash, and out of it where their ports are still free."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from yun.network import rows
from yun.network.model import ACTIVE, TRASHED, PortForwarding
from yun.network.service import forwarding
from yun.network.steps import PATIENCE, bring
from yun.operations.flow import Op, step, tx_step

Targets = list[list[str]]


def _bring_back(session: Session, forwarding_id: str) -> None:
    row = session.get(PortForwarding, forwarding_id)
    if row is not None and row.state == TRASHED:
        forwarding.refuse_taken(session, row)
        row.state, row.trashed_at = ACTIVE, None
        session.flush()
        rows.tell(session, "port_forwarding", forwarding_id, "restored")


def restore(op: Op, session: Session, output: Any, forwarding_id: str) -> None:
    """The forwarding is out of the trash."""
    _bring_back(session, forwarding_id)


@tx_step(undo=restore)
def trash_forwarding(op: Op, session: Session, forwarding_id: str) -> None:
    """The forwarding lies in the trash; its outside ports are free."""
    rows.trash(session, "port_forwarding", forwarding_id, op.clock.now())
    rows.tell(session, "port_forwarding", forwarding_id, "deleted")


def follow_back(op: Op, output: Any, forwarding_id: str, targets: Targets) -> None:
    """The forwarding is there again, in the engine too. Raises `Conflict` where its ports lead elsewhere by now."""
    with op.write() as session:
        _bring_back(session, forwarding_id)
    bring(op, targets)


@step(undo=follow_back, retries=PATIENCE)
def follow_gone(op: Op, forwarding_id: str, targets: Targets) -> None:
    """The engine forwards nothing there."""
    bring(op, targets)
