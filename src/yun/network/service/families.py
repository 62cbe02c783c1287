"""Addresses of a port, one of each family that its network has: chosen, written, moved, and led by the MAC."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import Conflict, Invalid
from yun.base.messages import Message, _
from yun.network import addresses, checks
from yun.network.model import TRASHED, Network, Port, PortAddress, Subnet
from yun.network.service import look

SOME = 5


@dataclass(frozen=True)
class Part:
    """One address that a port will have; ``fixed``: this one or none, else the next free one where it is gone."""

    subnet: Subnet
    address: str
    fixed: bool

    def to_json(self) -> dict[str, Any]:
        """As an operation's argument."""
        return {"subnet_id": self.subnet.id, "address": self.address, "fixed": self.fixed}


def family(address: str) -> int:
    """4 or 6, of an address as it is written."""
    return 6 if ":" in address else 4


def version_of(subnet: Subnet) -> int:
    """4 or 6."""
    return 6 if ":" in subnet.cidr else 4


def self_made(subnet: Subnet) -> bool:
    """Whether guests of the subnet make their addresses themselves."""
    return subnet.ipv6_mode in checks.SELF_MADE


def plan(session: Session, network: Network, wanted: str | None, mac: str) -> list[Part]:
    """An address of each family of the network, IPv4 first. Raises `Conflict` for a network without a subnet and for
    a taken address, `Invalid` for one outside, `NoCapacity` where a family has none left."""
    subnets = look.subnets_of(session, network.id)
    if not subnets:
        raise Conflict(
            _("The network {network} has no subnet.", network=network.name),
            hint=_("Create one first: yun subnet create NETWORK RANGE."),
        )
    asked = subnet_of(network, subnets, wanted) if wanted is not None else None
    parts = []
    for version in (4, 6):
        same = [s for s in subnets if version_of(s) == version]
        if asked is not None and version_of(asked) == version:
            parts.append(pick(session, asked, wanted, mac))
        elif same:
            parts.append(pick(session, roomy(session, same), None, mac))
    return parts


def plan_many(session: Session, network: Network, macs: list[str]) -> list[list[Part]]:
    """As `plan` for a port with each of these MACs, each family in one pass and all of one subnet."""
    subnets = look.subnets_of(session, network.id)
    if not subnets:
        plan(session, network, None, "")  # says so
    found: list[list[Part]] = [[] for _mac in macs]
    for version in (4, 6):
        same = [s for s in subnets if version_of(s) == version]
        if not same:
            continue
        subnet = next((s for s in same if self_made(s) or addresses.free(session, s) >= len(macs)), same[0])
        chosen = (
            [addresses.own(session, subnet, mac) for mac in macs] if self_made(subnet)
            else addresses.choose_many(session, subnet, len(macs))
        )  # fmt: skip
        for parts, address in zip(found, chosen, strict=True):
            parts.append(Part(subnet, address, self_made(subnet)))
    return found


def pick(session: Session, subnet: Subnet, wanted: str | None, mac: str) -> Part:
    """An address of the subnet for a port with this MAC: the wanted one, the guest's own, or the lowest free one."""
    if not self_made(subnet):
        return Part(subnet, addresses.choose(session, subnet, wanted), wanted is not None)
    own = addresses.own(session, subnet, mac)
    if wanted is not None and checks.address(wanted) != ipaddress.ip_address(own):
        raise Invalid(
            _("Guests of {subnet} make their addresses themselves, of their MAC.", subnet=subnet.name or subnet.cidr),
            fields={"address": _("{address}, or none", address=own)},
        )
    return Part(subnet, own, True)


def roomy(session: Session, subnets: list[Subnet]) -> Subnet:
    """The first with room; the first of all tells its numbers where none has."""
    if len(subnets) == 1:
        return subnets[0]
    return next((s for s in subnets if self_made(s) or addresses.free(session, s) > 0), subnets[0])


def subnet_of(network: Network, subnets: list[Subnet], wanted: str) -> Subnet:
    """The subnet that has the address. Raises `Invalid` for one in none of them."""
    found = checks.address(wanted)
    for subnet in subnets:
        net = ipaddress.ip_network(subnet.cidr)
        if found.version == net.version and found in net:
            return subnet
    ranges = ", ".join(s.cidr for s in subnets)
    raise Invalid(
        _("{address} is in no subnet of {network}.", address=wanted[:60], network=network.name),
        fields={"address": _("an address in {ranges}", ranges=ranges)},
    )


def write(session: Session, port_id: str, parts: Iterable[dict[str, Any]]) -> None:
    """The port has these addresses beside its first. Raises `Conflict` or `NoCapacity` like `addresses.take`."""
    for part in parts:
        subnet = session.get_one(Subnet, part["subnet_id"])
        address = addresses.take(session, subnet, part["address"], ("port", port_id), fixed=part["fixed"])
        session.add(PortAddress(subnet_id=subnet.id, address=address, port_id=port_id))
    session.flush()


def drop(session: Session, port_id: str) -> list[dict[str, Any]]:
    """The port has no address but its first; what it had, as `write` takes it."""
    rows = list(session.scalars(sa.select(PortAddress).where(PortAddress.port_id == port_id)))
    for row in rows:
        addresses.give_one_back(session, session.get_one(Subnet, row.subnet_id), row.address)
        session.delete(row)
    session.flush()
    return [{"subnet_id": r.subnet_id, "address": r.address, "fixed": False} for r in rows]


def led_by(session: Session, mac: str, parts: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same parts, where guests make their addresses themselves those of this MAC."""
    found = []
    for part in parts:
        subnet = session.get_one(Subnet, part["subnet_id"])
        net = ipaddress.ip_network(subnet.cidr)
        found.append({**part, "address": checks.eui64(net, mac), "fixed": True} if self_made(subnet) else part)
    return found


def follow_mac(session: Session, port: Port) -> None:
    """The addresses that the port's guest makes itself are those of its MAC. Raises `Conflict` where somebody has
    one."""
    first = session.get_one(Subnet, port.subnet_id)
    if self_made(first):
        addresses.give_one_back(session, first, port.address)
        session.flush()
        own = addresses.own(session, first, port.mac)
        port.address = addresses.take(session, first, own, ("port", port.id))
    write(session, port.id, led_by(session, port.mac, drop(session, port.id)))


# ── a subnet that comes to a network with ports, or goes ──


def lacking(session: Session, network_id: str, version: int) -> list[Port]:
    """The ports of a network that have no address of this IP version."""
    six = Subnet.ipv6_mode != ""
    have = six if version == 6 else ~six
    first = sa.select(Subnet.id).where(Subnet.network_id == network_id, have)
    more = sa.select(PortAddress.port_id).where(PortAddress.subnet_id.in_(first))
    query = sa.select(Port).where(
        Port.network_id == network_id, Port.state != TRASHED, Port.subnet_id.not_in(first), Port.id.not_in(more)
    )
    return list(session.scalars(query.order_by(Port.id)))


def join(session: Session, subnet: Subnet, ports: Iterable[Port]) -> None:
    """Each of the ports has an address of the subnet, beside its first. Raises `NoCapacity` where it is too small."""
    for port in ports:
        write(session, port.id, [pick(session, subnet, None, port.mac).to_json()])


def losing(session: Session, subnet_id: str) -> list[Port]:
    """The ports that have an address of the subnet beside their first."""
    more = sa.select(PortAddress.port_id).where(PortAddress.subnet_id == subnet_id)
    return list(session.scalars(sa.select(Port).where(Port.id.in_(more)).order_by(Port.id)))


def named(ports: list[Port], count: int | None = None, *, of: str | None = None) -> str:
    """Some of the ports by their machines' names, for a person; by their addresses where they are not project ``of``'s,
    if one is named."""
    listed = ", ".join(p.hostname if p.hostname and of in (None, p.project_id) else p.address for p in ports[:SOME])
    return f"{listed}…" if (count or len(ports)) > SOME else listed


def joining(ports: list[Port]) -> tuple[Message, ...]:
    """What a person wants to know of ports that get an address."""
    if not ports:
        return ()
    said = _("{count} {count:port of the network gets|ports of the network get} an address of it too: {names}.",
             count=len(ports),
             names=named(ports))  # fmt: skip
    return (said, _("Guests take it up when they hear of it; one that is set up for the other family alone does not."))


def leaving(ports: list[Port]) -> tuple[Message, ...]:
    """What a person wants to know of ports that lose an address."""
    if not ports:
        return ()
    return (_("{count} {count:port loses its|ports lose their} address of it: {names}.",
              count=len(ports), names=named(ports)),)
