"""What can reach a machine, and what it can reach, in plain sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from yun.base.messages import Message, _
from yun.network.model import Port
from yun.network.service.reach.difference import Doors, Side, doors, doors_of, side_said, spans_said
from yun.network.service.reach.facts import Picture, PortFact
from yun.network.service.reach.load import group_facts, picture, with_members
from yun.network.service.reach.ways import End, entries, exit_of, gateway_of, no_entry

ORDER = {"ingress": 0, "egress": 1}


@dataclass(frozen=True)
class Summary:
    """Sentences of what comes in, of what goes out, and of the outside; ``notes`` say what else matters."""

    inward: tuple[Message, ...] = ()
    outward: tuple[Message, ...] = ()
    outside: tuple[Message, ...] = ()
    notes: tuple[Message, ...] = ()


def of_ports(session: Session, ports: Sequence[Port]) -> dict[str, Summary]:
    """Port id → what can reach it and what it can reach, in a few queries."""
    found = picture(session, ports)
    return {p.id: of_port(found, found.ports[p.id]) for p in ports}


def of_port(found: Picture, port: PortFact) -> Summary:
    """The same of one port, from a picture."""
    notes: list[Message] = []
    if not port.link_up:
        notes.append(_("Its cable is out: nothing goes through."))
    for name, hops in _chains(found, port):
        notes.append(_("What it exchanges through its router goes through {hops}, by the service chain {chain}.",
                       hops=hops, chain=name))  # fmt: skip
    if port.passing:
        notes.append(_("It passes on what others send, for a service chain: no group filters it."))
    elif not port.filtered:
        notes.append(_("It is not filtered: its port security is off and it is in no group."))
    elif not port.groups:
        notes.append(_("It is in no security group: nothing gets in or out."))
    open_doors = doors(found, port)
    return Summary(
        inward=sentences(found, open_doors, "ingress"), outward=sentences(found, open_doors, "egress"),
        outside=tuple(outside(found, port)), notes=tuple(notes),
    )  # fmt: skip


def _chains(found: Picture, port: PortFact) -> list[tuple[str, str]]:
    """The service chains of the port's subnets at their gateways, with their hops."""
    subnets = dict.fromkeys(s for s, _address in port.places)
    return [
        (chain.name, ", ".join(chain.hops))
        for s in subnets if (router := gateway_of(found, s)) is not None
        for chain in router.chains if chain.subnet_id == s
    ]  # fmt: skip


def of_group(session: Session, group_id: str) -> Summary:
    """What a group lets through by itself."""
    found = Picture(groups=group_facts(session, [group_id]))
    found = with_members(session, found, [])
    return of_rules(found, doors_of(found.groups[group_id].rules)) if group_id in found.groups else Summary()


def of_rules(found: Picture, open_doors: Doors) -> Summary:
    """The same from what is let through."""
    return Summary(sentences(found, open_doors, "ingress"), sentences(found, open_doors, "egress"))


def sentences(found: Picture, open_doors: Doors, direction: str) -> tuple[Message, ...]:
    """One sentence for each other side: who, and what."""

    def order(side: Side) -> tuple[bool, bool, str, str]:
        return (side.family != "ipv4", not side.remote.endswith("/0"), side.family, side.remote)

    def twin(side: Side) -> bool:
        """Whether IPv4 says the same of the same other side."""
        other = Side(direction, "ipv4", "0.0.0.0/0" if side.remote == "::/0" else side.remote)
        return side.family == "ipv6" and open_doors.get(other) == open_doors[side]

    return tuple(
        _("{other}: {traffic}.", other=side_said(found, side), traffic=spans_said(open_doors[side]))
        for side in sorted((s for s in open_doors if s.direction == direction), key=order) if not twin(side)
    )  # fmt: skip


def outside(found: Picture, port: PortFact) -> list[Message]:
    """How it is reached from outside, and how it gets there."""
    out: list[Message] = []
    subnet_id, first = port.places[0]
    end = End(first, port, subnet_id)
    ways_in = [o for o, _steps in entries(found, end)]
    for one in ways_in:
        out.append(_("From outside it is reached at {address}.", address=one.address))
    if not ways_in:
        out.append(no_entry(found, end).steps[-1].text)
    left = exit_of(found, end)
    if isinstance(left, tuple) and left[1][-1].kind == "port" and left[1][-1].id != port.id:
        out.append(left[1][-1].text)
    elif isinstance(left, tuple):
        out.append(_("It reaches the outside as {address}.", address=left[0]))
    else:
        out.append(left.steps[-1].text)
    return out
