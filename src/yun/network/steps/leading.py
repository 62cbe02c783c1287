"""Steps that lead a floating IP to a port: the row came with the operation, so that of two who take it one is told."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from yun.network import rows
from yun.network.model import FloatingIp
from yun.network.steps import PATIENCE, bring
from yun.operations.flow import Op, step, tx_step

Targets = list[list[str]]
Place = list[str | None]
"""The id of a port and the further address of it, or nothing."""


def _lead_back(session: Session, floating_ip_id: str, port_id: str, before: Place) -> None:
    floating = session.get(FloatingIp, floating_ip_id)
    if floating is not None and floating.port_id == port_id:
        rows.link(session, floating_ip_id, *before)


def unlead(op: Op, session: Session, output: Any, floating_ip_id: str, port_id: str, before: Place) -> None:
    """The address leads where it led before, unless somebody has led it on since."""
    _lead_back(session, floating_ip_id, port_id, before)


@tx_step(undo=unlead)
def lead(op: Op, session: Session, floating_ip_id: str, port_id: str, before: Place) -> None:
    """The row leads to the port since the operation was accepted: it is told."""
    rows.tell(session, "floating_ip", floating_ip_id, "changed", port_id=port_id)


def lead_away(op: Op, output: Any, floating_ip_id: str, port_id: str, before: Place, targets: Targets) -> None:
    """The address leads where it led before, in the engine too."""
    with op.write() as session:
        _lead_back(session, floating_ip_id, port_id, before)
    bring(op, targets)


@step(undo=lead_away, retries=PATIENCE)
def follow_lead(op: Op, floating_ip_id: str, port_id: str, before: Place, targets: Targets) -> None:
    """The engine leads the address to the port."""
    bring(op, targets)
