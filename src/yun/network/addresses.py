"""Giving out addresses: the lowest free one of a pool, each to one owner only, whatever table the owner is in."""

from __future__ import annotations

import ipaddress
import os
from typing import cast

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from yun.base.errors import Conflict, Invalid, NoCapacity
from yun.base.messages import _
from yun.network import checks
from yun.network.holders import holders
from yun.network.model import TRASHED, AddressRange, Port, Reservation, RouterInterface, Subnet

PLANNED = "network.planned_places"


def place_of(subnet: Subnet, address: str) -> int:
    """The address's distance from the first address of the subnet."""
    return int(ipaddress.ip_address(address)) - int(ipaddress.ip_network(subnet.cidr)[0])


def address_at(subnet: Subnet, place: int) -> str:
    """The address at a distance from the first address of the subnet."""
    return str(ipaddress.ip_network(subnet.cidr)[place])


def total(subnet: Subnet) -> int:
    """How many addresses the pool has."""
    return place_of(subnet, subnet.pool_end) - place_of(subnet, subnet.pool_start) + 1


def free(session: Session, subnet: Subnet) -> int:
    """How many addresses of the pool nobody has."""
    low, high = place_of(subnet, subnet.pool_start), place_of(subnet, subnet.pool_end)
    taken = session.scalar(_TAKEN, {"subnet": subnet.id, "low": low, "high": high}) or 0
    kept = sum(min(r.last, high) - max(r.first, low) + 1 for r in ranges(session, subnet, low, high))
    return total(subnet) - taken - kept


def ranges(session: Session, subnet: Subnet, low: int, high: int) -> list[AddressRange]:
    """The reserved ranges of the subnet that have a place from ``low`` to ``high``, in order."""
    return list(session.scalars(_RANGES, {"subnet": subnet.id, "low": low, "high": high}))


_SUBNET = sa.bindparam("subnet", type_=sa.String)
_LOW, _HIGH = (sa.bindparam(end, type_=Reservation.place.type) for end in ("low", "high"))
_TAKE = sa.insert(cast(sa.Table, Reservation.__table__))
_RANGES = (
    sa.select(AddressRange)
    .where(AddressRange.subnet_id == _SUBNET, AddressRange.first <= _HIGH, AddressRange.last >= _LOW)
    .order_by(AddressRange.first)
)
_PLACES = sa.select(Reservation.place).where(
    Reservation.subnet_id == _SUBNET, Reservation.place >= _LOW, Reservation.place <= _HIGH
)
_TAKEN = sa.select(sa.func.count()).where(
    Reservation.subnet_id == _SUBNET, Reservation.place >= _LOW, Reservation.place <= _HIGH
)


def choose(session: Session, subnet: Subnet, wanted: str | None = None) -> str:
    """An address that can be had now: ``wanted``, or the lowest free one of the pool. It is not taken yet.

    Several choices in one transaction differ. Raises `Invalid` for a wanted address outside the subnet, `Conflict`
    for one that is taken, `NoCapacity` with the pool's numbers where nothing is left.
    """
    planned: set[tuple[str, int]] = session.info.setdefault(PLANNED, set())
    if wanted is not None:
        found = str(checks.address(wanted, within=ipaddress.ip_network(subnet.cidr)))
        place = place_of(subnet, found)
        if _taken(session, subnet, place):
            raise _conflict(session, subnet, found)
    else:
        place = _lowest(session, subnet, {p for s, p in planned if s == subnet.id})
    planned.add((subnet.id, place))
    return address_at(subnet, place)


def take(session: Session, subnet: Subnet, address: str, owner: tuple[str, str], *, fixed: bool = True) -> str:
    """The address belongs to ``owner`` (kind, id) from this transaction on.

    Where somebody was faster, another one is taken unless it is ``fixed``; the address taken is returned. Raises
    `Conflict` or `NoCapacity` like `choose`.
    """
    place = place_of(subnet, address)
    if not _held(session, subnet, place) and _taken(session, subnet, place):
        if fixed:
            raise _conflict(session, subnet, address)
        place = _lowest(session, subnet, set())
    session.flush()  # the subnet may be as new
    values = {"subnet_id": subnet.id, "place": place, "owner_kind": owner[0], "owner_id": owner[1]}
    session.execute(_TAKE, values)
    return address_at(subnet, place)


def choose_many(session: Session, subnet: Subnet, count: int) -> list[str]:
    """So many addresses that can be had now, the lowest free ones of the pool; as `choose`, but read in one pass."""
    planned: set[tuple[str, int]] = session.info.setdefault(PLANNED, set())
    mine = {place for subnet_id, place in planned if subnet_id == subnet.id}
    high = place_of(subnet, subnet.pool_end)
    found: list[int] = []
    floor, window = place_of(subnet, subnet.pool_start), max(256, 2 * count)
    while len(found) < count:
        floor = _gap(session, subnet, floor)
        if floor > high:
            raise _too_few(session, subnet, count)
        last = min(floor + window - 1, high)
        taken = set(session.scalars(_PLACES, {"subnet": subnet.id, "low": floor, "high": last})) | mine
        for kept in ranges(session, subnet, floor, last):
            taken |= set(range(max(kept.first, floor), min(kept.last, last) + 1))
        found += [place for place in range(floor, last + 1) if place not in taken][: count - len(found)]
        floor = last + 1
    planned |= {(subnet.id, place) for place in found}
    return [address_at(subnet, place) for place in found]


def take_many(
    session: Session, subnet: Subnet, wanted: list[tuple[str, tuple[str, str]]], *, fixed: bool = True
) -> list[str]:
    """Each address belongs to its owner (kind, id) from this transaction on, as `take`, in one statement.

    Where somebody was faster, all of them are chosen anew unless they are ``fixed``; those taken are returned.
    """
    chosen = [address for address, _owner in wanted]
    held = [_held(session, subnet, place_of(subnet, address)) for address in chosen]
    for address, sure in zip(chosen, held, strict=True):
        if not sure and _taken(session, subnet, place_of(subnet, address)):
            if fixed:
                raise _conflict(session, subnet, address)
            chosen = choose_many(session, subnet, len(wanted))
            break
    session.flush()  # the subnet may be as new
    session.execute(_TAKE, [
        {"subnet_id": subnet.id, "place": place_of(subnet, address), "owner_kind": kind, "owner_id": owner}
        for address, (_old, (kind, owner)) in zip(chosen, wanted, strict=True)
    ])  # fmt: skip
    return chosen


def _too_few(session: Session, subnet: Subnet, count: int) -> NoCapacity:
    numbers = {"total": total(subnet), "free": free(session, subnet)}
    return NoCapacity(
        _(
            "The subnet {subnet} has {free} of {total} addresses left, {count} are needed.",
            subnet=subnet.name or subnet.cidr, count=count, **numbers,
        ),
        hint=_("Purge what lies in the trash, or use another subnet."),
        details={"subnet_id": subnet.id, **numbers},
    )  # fmt: skip


def refuse_taken(session: Session, subnet: Subnet, address: str, field: str = "address") -> None:
    """Raise `Conflict` naming ``field`` where the address is taken."""
    if _taken(session, subnet, place_of(subnet, address)):
        raise _conflict(session, subnet, address, field)


def own(session: Session, subnet: Subnet, mac: str) -> str:
    """The address that the guest with this MAC makes itself in a subnet of that kind. Raises `Conflict` where somebody
    has it."""
    found = checks.eui64(ipaddress.ip_network(subnet.cidr), mac)
    refuse_taken(session, subnet, found)
    return found


def give_one_back(session: Session, subnet: Subnet, address: str) -> None:
    """One address is free again, whoever had it."""
    session.execute(
        sa.delete(Reservation).where(
            Reservation.subnet_id == subnet.id, Reservation.place == place_of(subnet, address)
        )
    )


def give_back(session: Session, owner_id: str) -> None:
    """Whatever addresses the owner has are free again."""
    session.execute(sa.delete(Reservation).where(Reservation.owner_id == owner_id))


def _held(session: Session, subnet: Subnet, place: int) -> bool:
    """Whether this very transaction chose the place and nobody can have taken it since: on SQLite it alone writes.
    Once only, since it may have been chosen twice."""
    chosen: set[tuple[str, int]] = session.info.get(PLANNED, set())
    if (subnet.id, place) not in chosen or session.get_bind().dialect.name != "sqlite":
        return False
    chosen.discard((subnet.id, place))
    return True


def _taken(session: Session, subnet: Subnet, place: int) -> bool:
    return session.get(Reservation, (subnet.id, place)) is not None or bool(ranges(session, subnet, place, place))


def _lowest(session: Session, subnet: Subnet, besides: set[int]) -> int:
    low, high = place_of(subnet, subnet.pool_start), place_of(subnet, subnet.pool_end)
    floor = low
    while True:
        place = _gap(session, subnet, floor)
        if place > high:
            numbers = {"total": total(subnet), "free": free(session, subnet)}
            raise NoCapacity(
                _(
                    "The subnet {subnet} has no address left: all {total} of {first} to {last} are taken.",
                    subnet=subnet.name or subnet.cidr, total=numbers["total"], first=subnet.pool_start,
                    last=subnet.pool_end,
                ),
                hint=_("Purge what lies in the trash, or use another subnet."),
                details={"subnet_id": subnet.id, **numbers},
            )  # fmt: skip
        kept = ranges(session, subnet, place, place)
        if not kept and place not in besides:
            return place
        floor = (kept[0].last if kept else place) + 1


def _gap(session: Session, subnet: Subnet, floor: int) -> int:
    """The lowest place from ``floor`` on that nobody has, inside the pool or beyond it."""
    begins, last = session.execute(_LAST_IN_A_ROW, {"subnet": subnet.id, "floor": floor}).one()
    return floor if begins is None or last is None else last + 1


def _last_in_a_row() -> sa.Select[int | None, int | None]:
    """Whether a place is taken, and the lowest one from there on that is taken while the next is not."""
    held, after = aliased(Reservation), aliased(Reservation)
    mine, floor = _SUBNET, sa.bindparam("floor", type_=Reservation.place.type)
    followed = sa.exists().where(after.subnet_id == mine, after.place == held.place + 1)
    begins = sa.select(Reservation.place).where(Reservation.subnet_id == mine, Reservation.place == floor)
    last = sa.select(held.place).where(held.subnet_id == mine, held.place >= floor, ~followed)
    return sa.select(begins.scalar_subquery(), last.order_by(held.place).limit(1).scalar_subquery())


_LAST_IN_A_ROW = _last_in_a_row()


def _conflict(session: Session, subnet: Subnet, address: str, field: str = "address") -> Conflict:
    place = place_of(subnet, address)
    right = _("an address that is free, or none for the lowest free one")
    name = subnet.name or subnet.cidr
    for kept in ranges(session, subnet, place, place):
        return Conflict(
            _("The address {address} is reserved in {subnet}: {note}.", address=address, subnet=name,
              note=kept.note or "–"),
            hint=_("Take the reservation back first: yun subnet unreserve."), fields={field: right},
        )  # fmt: skip
    found = session.get(Reservation, (subnet.id, place))
    who = holders(session, [found])[place] if found is not None else None
    if who is None:
        return Conflict(_("The address {address} is taken in {subnet}.", address=address, subnet=name),
                        fields={field: right})  # fmt: skip
    return Conflict(
        _("The address {address} is taken in {subnet} by {holder}.", address=address, subnet=name, holder=who.said),
        hint=_("What lies in the trash keeps its address too.") if who.state == TRASHED else None,
        fields={field: right},
    )


def new_mac(session: Session) -> str:
    """A MAC address of QEMU's range (52:54:00) that no port and no router has."""
    while True:
        mac = "52:54:00:" + ":".join(f"{b:02x}" for b in os.urandom(3))
        if not _used(session, mac):
            return mac


def new_macs(session: Session, count: int) -> list[str]:
    """So many MAC addresses as `new_mac` gives."""
    found: set[str] = set()
    while len(found) < count:
        macs = {"52:54:00:" + ":".join(f"{b:02x}" for b in os.urandom(3)) for _n in range(count - len(found))}
        used = {mac for table in (Port, RouterInterface)
                for mac in session.scalars(sa.select(table.mac).where(table.mac.in_(macs)))}  # fmt: skip
        found |= macs - used
    return sorted(found)


def _used(session: Session, mac: str) -> bool:
    return session.scalar(_USED, {"mac": mac}) is not None


_MAC = sa.bindparam("mac", type_=sa.String)
_USED = (
    sa.select(Port.id)
    .where(Port.mac == _MAC)
    .union(sa.select(RouterInterface.id).where(RouterInterface.mac == _MAC))
)


def mac_of_card(mac: str, field: str = "mac") -> str:
    """A MAC address that a card can have, in lower case. Raises `Invalid`."""
    clean = mac.strip().lower().replace("-", ":")
    right = _("six pairs of hexadecimal digits such as 52:54:00:12:34:56, the first one even")
    if not checks.MAC.fullmatch(clean) or int(clean[:2], 16) & 1 or clean == "00:00:00:00:00:00":
        raise Invalid(_("{mac} is not a MAC address of a network card.", mac=mac[:40]), fields={field: right})
    return clean


def check_mac(session: Session, mac: str) -> str:
    """A MAC address somebody asks for, in lower case. Raises `Invalid` for a wrong one, `Conflict` for a used one."""
    clean = mac_of_card(mac)
    if _used(session, clean):
        raise Conflict(
            _("The MAC address {mac} is taken.", mac=clean), fields={"mac": _("a MAC address that is not in use")}
        )
    return clean
