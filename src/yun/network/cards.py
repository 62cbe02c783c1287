"""Steps of ports and network cards: one that joins an instance, changes, leaves it, and is forgotten."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.crossing import refuse
from yun.base.errors import Conflict
from yun.base.messages import Message, _
from yun.network import addresses
from yun.network.model import DOWN, TRASHED, Port, PortSecurityGroup, SecurityGroup, Subnet
from yun.network.service import families
from yun.network.service.look import PLAIN, card_now, groups_of
from yun.network.service.ports import forget_these
from yun.network.steps import tell_port
from yun.operations.flow import Op, tx_step
from yun.operations.service import close_undo

COLUMNS = ("id", "project_id", "network_id", "subnet_id", "mac", "hostname", "model", "link_up", "device_index")
LENT = ("device_index", "hostname", "model", "link_up", "host_id")
"""What a port has of its instance, beside the instance itself."""
TITLES: dict[str, Message] = {
    "model": _("Model"), "link_up": _("The cable is in"), "mac": _("MAC"), "groups": _("Security groups"),
    "place": _("Address"), "name": _("Name"), "port_security": _("Port security"),
    "allowed_pairs": _("Further senders"), "ingress_kbps": _("Limit inwards, kbit/s"),
    "egress_kbps": _("Limit outwards, kbit/s"), "ingress_burst_kbit": _("Burst inwards, kbit"),
    "egress_burst_kbit": _("Burst outwards, kbit"), "dscp": Message("DSCP"),
}  # fmt: skip


def _take_away(op: Op, session: Session, output: Any, instance_id: str, card: dict[str, Any]) -> None:
    port = session.get(Port, card["id"])
    if port is not None:
        port.state = TRASHED
        tell_port(session, port)
        forget_these(session, [port])


@tx_step(undo=_take_away)
def put_card(op: Op, session: Session, instance_id: str, card: dict[str, Any]) -> str:
    """The instance has the port, with its address; the address is the output. Raises `Conflict` for a MAC or an address
    that somebody else has taken meanwhile."""
    addresses.check_mac(session, card["mac"])
    subnet = session.get_one(Subnet, card["subnet_id"])
    address = addresses.take(session, subnet, card["address"], ("port", card["id"]), fixed=card["fixed"])
    port = Port(
        **{name: card[name] for name in COLUMNS}, address=address, instance_id=instance_id, state=DOWN, plugged=False,
        port_security=True, labels=card.get("labels", []),
    )  # fmt: skip
    session.add(port)
    session.flush()
    _join(session, port.id, card["groups"])
    families.write(session, port.id, card.get("more", ()))
    tell_port(session, port)
    return address


def _leave(op: Op, session: Session, output: Any, instance_id: str, card: dict[str, Any]) -> None:
    port = session.get(Port, card["id"])
    if port is not None and output is not None and port.instance_id == instance_id:
        _put(session, port, {**output["was"], "instance_id": None, "waits": False})


@tx_step(undo=_leave)
def join_card(op: Op, session: Session, instance_id: str, card: dict[str, Any]) -> dict[str, Any]:
    """The port, which was in nothing, is a card of the instance; its address, and what it ``was``, are the output.
    Raises `Conflict` where it is in an instance or in the trash by now."""
    port = session.get_one(Port, card["id"])
    if port.instance_id is not None or port.state == TRASHED:
        raise Conflict(_("The port {name} is no longer free.", name=port.name or port.address))
    was = {name: getattr(port, name) for name in LENT}
    lent = {"hostname": port.hostname or card["hostname"], "instance_id": instance_id}
    _put(session, port, {**{name: card[name] for name in ("device_index", "model", "link_up")}, **lent})
    return {"address": port.address, "was": was}


def _come_back(op: Op, session: Session, output: Any, instance_id: str, port_id: str, hostname: str) -> None:
    port = session.get(Port, port_id)
    if port is not None and output is not None and port.instance_id is None:
        _put(session, port, {**output, "instance_id": instance_id})


@tx_step(undo=_come_back)
def leave_card(op: Op, session: Session, instance_id: str, port_id: str, hostname: str) -> dict[str, Any]:
    """The port is in nothing; the ``hostname`` that the instance lent it is not its any more."""
    port = session.get_one(Port, port_id)
    was = {name: getattr(port, name) for name in LENT}
    own = "" if port.hostname == hostname else port.hostname
    _put(session, port, {"instance_id": None, "device_index": 0, "host_id": None, "hostname": own, "waits": False})
    return was


def _put(session: Session, port: Port, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(port, name, value)
    session.flush()
    tell_port(session, port)


def _take_back(op: Op, session: Session, output: Any, instance_id: str, port_id: str) -> None:
    port = session.get(Port, port_id)
    if port is not None and port.instance_id is None:
        port.instance_id = instance_id
        tell_port(session, port)


@tx_step(undo=_take_back)
def release_card(op: Op, session: Session, instance_id: str, port_id: str) -> None:
    """The port, which lies in the trash, is nobody's; it keeps address and MAC until its undo window closes."""
    port = session.get(Port, port_id)
    if port is not None:
        port.instance_id, port.waits = None, False
        tell_port(session, port)


def _change_back(
    op: Op, session: Session, output: Any, port_id: str, values: dict[str, Any], was: dict[str, Any] | None = None
) -> None:
    if session.get(Port, port_id) is not None and output is not None:
        _change(session, port_id, output)


@tx_step(undo=_change_back)
def change_card(
    op: Op, session: Session, port_id: str, values: dict[str, Any], was: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The port has these values; what they were is the output, in the same form.

    ``place`` is a network with subnet and address; undo takes the old address, or the next free one where somebody has
    it by then. Raises `Conflict` for a MAC or an address that somebody else has taken meanwhile, and where somebody
    has changed one of these since they ``was``.
    """
    if was:
        _refuse_crossed(session, session.get_one(Port, port_id), values, was)
    return _change(session, port_id, values)


def _refuse_crossed(session: Session, port: Port, values: dict[str, Any], was: dict[str, Any]) -> None:
    """Both values in words: the names of groups, and of a place its address."""

    def told(card: dict[str, Any]) -> dict[str, Any]:
        names = session.scalars(sa.select(SecurityGroup.name).where(SecurityGroup.id.in_(card.get("groups", ()))))
        place = card.get("place")
        return {
            **card, **({"groups": sorted(names)} if "groups" in card else {}),
            **({"place": place["address"]} if isinstance(place, dict) else {}),
        }  # fmt: skip

    refuse(told(was), told(values), told(card_now(session, port)), TITLES)


def _change(session: Session, port_id: str, values: dict[str, Any]) -> dict[str, Any]:
    port = session.get_one(Port, port_id)
    old: dict[str, Any] = {}
    if "mac" in values and values["mac"] != port.mac:
        addresses.check_mac(session, values["mac"])
    for name in PLAIN:
        if name in values:
            old[name] = getattr(port, name)
            setattr(port, name, values[name])
    if "groups" in values:
        old["groups"] = sorted(g.id for g in groups_of(session, port_id))
        session.execute(sa.delete(PortSecurityGroup).where(PortSecurityGroup.port_id == port_id))
        _join(session, port_id, values["groups"])
    if "place" in values:
        old["place"] = _move(session, port, values["place"])
    elif "mac" in old and old["mac"] != port.mac:
        families.follow_mac(session, port)
    session.flush()
    tell_port(session, port)
    return old


def _move(session: Session, port: Port, place: dict[str, Any]) -> dict[str, Any]:
    """Within its network the port keeps its other addresses; into another it goes with none of them."""
    was = {"network_id": port.network_id, "subnet_id": port.subnet_id, "address": port.address, "fixed": False}
    subnet = session.get(Subnet, place["subnet_id"])
    if subnet is None:
        raise Conflict(_("The network that the card is to be on is gone."))
    addresses.give_one_back(session, session.get_one(Subnet, port.subnet_id), port.address)
    more = families.drop(session, port.id)
    if place["network_id"] != port.network_id:
        was["more"], more = more, list(place.get("more", ()))
    first, *more = families.led_by(session, port.mac, [place, *more])
    port.address = addresses.take(session, subnet, first["address"], ("port", port.id), fixed=first["fixed"])
    port.network_id, port.subnet_id = place["network_id"], subnet.id
    session.flush()
    families.write(session, port.id, more)
    return was


def _join(session: Session, port_id: str, groups: list[str]) -> None:
    there = set(session.scalars(sa.select(SecurityGroup.id).where(SecurityGroup.id.in_(groups))))
    session.add_all(PortSecurityGroup(port_id=port_id, group_id=g) for g in groups if g in there)
    session.flush()


def forget_old(session: Session, before: datetime) -> int:
    """Cards that were taken out of their instances before that moment are forgotten: addresses and MACs are free."""
    query = sa.select(Port).where(Port.instance_id.is_(None), Port.state == TRASHED, Port.trashed_at < before)
    old = list(session.scalars(query))
    for port in old:
        close_undo(session, "port", port.id)
    forget_these(session, old)
    return len(old)
