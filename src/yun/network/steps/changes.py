"""Steps that change columns of what is there, and put them back."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.crossing import refuse
from yun.base.errors import Conflict
from yun.base.messages import _
from yun.network import addresses, rows
from yun.network.model import Network, Subnet
from yun.network.service.changes import NETWORK_TITLES, NO_GATEWAY, SUBNET_TITLES, told_network, told_subnet
from yun.operations.flow import Op, tx_step

Values = dict[str, Any]


def _network_back(op: Op, session: Session, output: Any, network_id: str, values: Values, was: Values) -> None:
    network = session.get(Network, network_id)
    if network is not None and output is not None:
        _write(session, network, output)


@tx_step(undo=_network_back)
def change_network(op: Op, session: Session, network_id: str, values: Values, was: Values) -> Values:
    """The network has these values; those it had are the output. Raises `Conflict` where somebody else changed one of
    them since it ``was``."""
    network = session.get_one(Network, network_id)
    now = told_network(network)
    refuse(was, values, now, NETWORK_TITLES)
    _write(session, network, values)
    return {name: now[name] for name in values}


def _subnet_back(op: Op, session: Session, output: Any, subnet_id: str, values: Values, was: Values) -> None:
    subnet = session.get(Subnet, subnet_id)
    if subnet is not None and output is not None:
        _write(session, subnet, output)


@tx_step(undo=_subnet_back)
def change_subnet(op: Op, session: Session, subnet_id: str, values: Values, was: Values) -> Values:
    """The subnet has these values; those it had are the output. Raises `Conflict` where somebody else changed one of
    them since it ``was``, or has the address of its new gateway."""
    subnet = session.get_one(Subnet, subnet_id)
    now = told_subnet(subnet)
    refuse(was, values, now, SUBNET_TITLES)
    _write(session, subnet, values)
    return {name: now[name] for name in values}


def _write(session: Session, row: Network | Subnet, values: Values) -> None:
    kept = dict(values)
    if isinstance(row, Subnet) and "gateway" in kept:
        kept["gateway"] = _gateway(session, row, kept["gateway"])
    _refuse_name(session, row, kept.get("name", row.name))
    for name, value in kept.items():
        setattr(row, name, value)
    session.flush()
    noun = "subnet" if isinstance(row, Subnet) else "network"
    rows.tell(session, noun, row.id, "updated", fields=sorted(values))


def _gateway(session: Session, subnet: Subnet, wanted: str) -> str | None:
    """The subnet's own reservation moves along with its gateway."""
    addresses.give_back(session, subnet.id)
    session.flush()
    if wanted == NO_GATEWAY:
        return None
    return addresses.take(session, subnet, wanted, ("gateway", subnet.id))


def _refuse_name(session: Session, row: Network | Subnet, name: str) -> None:
    """Somebody may have taken the name while this waited, or since it was given up."""
    model: Any = type(row)
    scope = model.network_id == row.network_id if isinstance(row, Subnet) else model.project_id == row.project_id
    taken = sa.select(model.id).where(model.name == name, scope, model.id != row.id)
    if session.scalar(taken) is not None:
        raise Conflict(
            _("The name {name} is taken.", name=name), fields={"name": _("a name that is not taken")}
        )
