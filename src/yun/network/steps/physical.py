"""Steps of physical networks: a host's bridge and OVN's mapping to it, and the row."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from yun.network.model import PhysicalNetwork
from yun.operations.events import emit
from yun.operations.flow import Op, step, tx_step
from yun.operations.intent import Subject

Values = dict[str, Any]


def _tell(session: Session, row: PhysicalNetwork, what: str) -> None:
    data = {"host_id": row.host_id, "bridge": row.bridge}
    emit(session, f"physical_network.{what}", subject=Subject("physical_network", row.id, row.name), data=data)


def _off(op: Op, output: Any, values: Values) -> None:
    op.drivers.on(values["host_id"]).machine.remove_mapping(values["name"])


def _on(op: Op, output: Any, values: Values) -> None:
    op.drivers.on(values["host_id"]).machine.apply_mapping(
        values["name"], bridge=values["bridge"], interface=values["interface"]
    )


@step(undo=_off)
def reach(op: Op, values: Values) -> None:
    """The host reaches the physical network by its bridge."""
    _on(op, None, values)


@step(undo=_on)
def leave(op: Op, values: Values) -> None:
    """The host does not reach the physical network any more."""
    _off(op, None, values)


def _forget(session: Session, identifier: str) -> None:
    row = session.get(PhysicalNetwork, identifier)
    if row is not None:
        _tell(session, row, "deleted")
        session.delete(row)
        session.flush()


def _keep_back(op: Op, session: Session, output: Any, values: Values) -> None:
    _forget(session, values["id"])


@tx_step(undo=_keep_back)
def keep(op: Op, session: Session, values: Values) -> None:
    """The row that came with the operation is there for good."""
    _tell(session, session.get_one(PhysicalNetwork, values["id"]), "created")


def _forget_back(op: Op, session: Session, output: Any, values: Values) -> None:
    if session.get(PhysicalNetwork, values["id"]) is None:
        row = PhysicalNetwork(**values)
        session.add(row)
        session.flush()
        _tell(session, row, "created")


@tx_step(undo=_forget_back)
def forget(op: Op, session: Session, values: Values) -> None:
    """The row is gone."""
    _forget(session, values["id"])
