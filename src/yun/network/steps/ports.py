"""Steps of ports as things of their own: made, put into the trash, one address more, one less."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from yun.base.errors import Conflict
from yun.base.messages import _
from yun.network import addresses
from yun.network.model import DOWN, TRASHED, Port, PortAddress, Subnet
from yun.network.service.ports import forget_these
from yun.network.steps import PATIENCE, bring, floating_routers, set_port, tell_port
from yun.operations.events import emit
from yun.operations.flow import Op, step, tx_step
from yun.operations.intent import Subject


def _tell(session: Session, port: Port, what: str) -> None:
    subject = Subject("port", port.id, port.name or port.address)
    emit(session, f"port.{what}", subject=subject, project_id=port.project_id, data={"state": port.state})


def _forget(op: Op, session: Session, output: Any, port_id: str) -> None:
    port = session.get(Port, port_id)
    if port is not None:
        _tell(session, port, "gone")
        forget_these(session, [port])


@tx_step(undo=_forget)
def keep_port(op: Op, session: Session, port_id: str) -> None:
    """The port that came with the operation is there for good."""
    _tell(session, session.get_one(Port, port_id), "created")


def _forget_all(op: Op, session: Session, output: Any, port_ids: list[str]) -> None:
    found = [port for port in (session.get(Port, i) for i in port_ids) if port is not None]
    for port in found:
        _tell(session, port, "gone")
    forget_these(session, found)


@tx_step(undo=_forget_all)
def keep_all_ports(op: Op, session: Session, port_ids: list[str]) -> None:
    """The ports that came with the operation are there for good."""
    for port_id in port_ids:
        _tell(session, session.get_one(Port, port_id), "created")


def _restore(op: Op, session: Session, output: Any, port_id: str) -> None:
    port = session.get(Port, port_id)
    if port is not None and port.state == TRASHED:
        port.state, port.trashed_at = DOWN, None
        _tell(session, port, "restored")


@tx_step(undo=_restore)
def trash_port(op: Op, session: Session, port_id: str) -> None:
    """The port, which is in nothing, lies in the trash; addresses and MAC stay reserved. Raises `Conflict` where it was
    put into an instance meanwhile."""
    port = session.get_one(Port, port_id)
    if port.instance_id is not None:
        raise Conflict(_("The port is in an instance by now."))
    port.state, port.trashed_at = TRASHED, op.clock.now()
    _tell(session, port, "deleted")


def _take_more(session: Session, port: Port, subnet_id: str, address: str) -> bool:
    """The port has this address too, where it is free; whether it has it."""
    subnet = session.get(Subnet, subnet_id)
    if subnet is None:
        return False
    try:
        addresses.take(session, subnet, address, ("port", port.id))
    except Conflict:
        return False
    session.add(PortAddress(subnet_id=subnet_id, address=address, port_id=port.id))
    session.flush()
    return True


def _give_up(session: Session, port: Port, subnet_id: str, address: str) -> None:
    """The port no longer has this further address."""
    row = session.get(PortAddress, (subnet_id, address))
    if row is not None and row.port_id == port.id:
        session.delete(row)
        addresses.give_one_back(session, session.get_one(Subnet, subnet_id), address)
        session.flush()


def _remove_again(op: Op, session: Session, output: Any, port_id: str, subnet_id: str, address: str) -> None:
    port = session.get(Port, port_id)
    if port is not None:
        _give_up(session, port, subnet_id, address)
        tell_port(session, port)


@tx_step(undo=_remove_again)
def add_address(op: Op, session: Session, port_id: str, subnet_id: str, address: str) -> None:
    """The port has this address too. Raises `Conflict` where somebody else has taken it meanwhile."""
    port = session.get_one(Port, port_id)
    if not _take_more(session, port, subnet_id, address):
        raise Conflict(
            _("The address {address} is taken by now.", address=address),
            fields={"address": _("an address that is free, or none for the lowest free one")},
        )
    tell_port(session, port)


def _add_again(op: Op, session: Session, output: Any, port_id: str, subnet_id: str, address: str) -> None:
    port = session.get(Port, port_id)
    if port is not None:
        _take_more(session, port, subnet_id, address)
        tell_port(session, port)


@tx_step(undo=_add_again)
def remove_address(op: Op, session: Session, port_id: str, subnet_id: str, address: str) -> None:
    """The port no longer has this address, which is free. Undo takes it back where nobody has it by then."""
    port = session.get_one(Port, port_id)
    _give_up(session, port, subnet_id, address)
    tell_port(session, port)


def _plug_again(op: Op, output: Any, port_id: str) -> None:
    if not (output or {}).get("plugged"):
        return
    set_port(op, port_id, plugged=True, state=DOWN)
    bring(op, [("port", port_id), *floating_routers(op, port_id)])


@step(undo=_plug_again, retries=PATIENCE)
def park_port(op: Op, port_id: str) -> dict[str, Any]:
    """The port is out of the engine and keeps all that it has; a floating IP leads to it again once it is plugged."""
    with op.read() as session:
        port = session.get_one(Port, port_id)
        was = {"plugged": port.plugged or port.host_id is not None}
    set_port(op, port_id, plugged=False, state=DOWN)
    bring(op, [("port", port_id), *floating_routers(op, port_id)])
    return was
