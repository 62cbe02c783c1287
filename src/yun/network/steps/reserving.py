"""Steps of reserved addresses: ranges that come and go."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from yun.network import rows
from yun.network.model import AddressRange, Subnet
from yun.network.service.reserving import refuse_used
from yun.operations.flow import Op, tx_step


def _keep(session: Session, subnet_id: str, values: dict[str, Any]) -> None:
    """The range is there, once. Raises `Conflict` where somebody has come to have an address of it."""
    subnet = session.get_one(Subnet, subnet_id)
    if session.get(AddressRange, values["id"]) is None:
        refuse_used(session, subnet, values["first"], values["last"])
        session.add(AddressRange(subnet_id=subnet_id, **values))
        session.flush()
        rows.tell(session, "subnet", subnet_id, "reserved", range=values["id"])


def _let_go(session: Session, subnet_id: str, values: dict[str, Any]) -> None:
    found = session.get(AddressRange, values["id"])
    if found is not None:
        session.delete(found)
        session.flush()
        rows.tell(session, "subnet", subnet_id, "unreserved", range=values["id"])


def _reserve_back(op: Op, session: Session, output: Any, subnet_id: str, values: dict[str, Any]) -> None:
    _let_go(session, subnet_id, values)


@tx_step(undo=_reserve_back)
def reserve(op: Op, session: Session, subnet_id: str, values: dict[str, Any]) -> str:
    """The addresses are reserved; returns the range's id."""
    _keep(session, subnet_id, values)
    return str(values["id"])


def _unreserve_back(op: Op, session: Session, output: Any, subnet_id: str, values: dict[str, Any]) -> None:
    if session.get(Subnet, subnet_id) is not None:
        _keep(session, subnet_id, values)


@tx_step(undo=_unreserve_back)
def unreserve(op: Op, session: Session, subnet_id: str, values: dict[str, Any]) -> str:
    """The addresses are not reserved any more; returns the range's id."""
    _let_go(session, subnet_id, values)
    return str(values["id"])
