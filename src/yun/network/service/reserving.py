"""The verbs subnet.reserve and subnet.unreserve, and the view of who has which address of a subnet."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context, not_found
from yun.base.errors import Conflict
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.network import addresses, checks
from yun.network.holders import Holder, holders
from yun.network.model import AddressRange, Reservation, Subnet
from yun.network.service import look
from yun.network.service.rights import may_change
from yun.operations.intent import Intent, Key, Subject

MOST = 200
SOME = 5
PAGE = 500


@dataclass(frozen=True)
class Entry:
    """A run of addresses with one thing to say of it: taken by ``holder``, kept by ``reserved``, or free."""

    first: str
    last: str
    count: int
    holder: Holder | None = None
    reserved: AddressRange | None = None


def reserve(ctx: Context, subnet: Subnet, text: str, note: str = "") -> Intent:
    """The cloud gives these addresses to nobody: ``text`` is an address, a range ``FIRST-LAST`` or a CIDR inside the
    subnet. Raises `Invalid` for what is none, `Conflict` where somebody has one of them, with names."""
    may_change(ctx, "subnet.reserve", subnet)
    look.must_allow(subnet, "reserve")
    first, last = _places(subnet, text)
    kept = checks.description(note, "note", most=200)
    refuse_used(ctx.session, subnet, first, last)
    said = shown(subnet, first, last)
    left = addresses.free(ctx.session, subnet) - _in_pool(subnet, first, last)
    values = {"id": new_id(AddressRange.PREFIX), "first": first, "last": last, "note": kept}
    return Intent(
        kind="subnet.reserve",
        title=_("Reserve {range} in {subnet}", range=said, subnet=subnet.name),
        subject=Subject("subnet", subnet.id, subnet.name),
        project_id=subnet.project_id,
        arguments={"subnet_id": subnet.id, "values": values},
        keys=_keys(subnet),
        effects=(_("{count} {count:address is|addresses are} given to nobody: {range}.",
                   count=last - first + 1, range=said),),
        capacity=(_("{free} of {total} addresses of the pool stay free.", free=left, total=addresses.total(subnet)),),
        still=lambda session: refuse_used(session, subnet, first, last),
        instant=True,
    )


def unreserve(ctx: Context, subnet: Subnet, reference: str) -> Intent:
    """A reservation is taken back: ``reference`` is its id, its range or one of its addresses."""
    may_change(ctx, "subnet.unreserve", subnet)
    look.must_allow(subnet, "unreserve")
    found = _find(ctx.session, subnet, reference.strip())
    said = shown(subnet, found.first, found.last)
    values = {"id": found.id, "first": found.first, "last": found.last, "note": found.note}
    return Intent(
        kind="subnet.unreserve",
        title=_("Take the reservation of {range} in {subnet} back", range=said, subnet=subnet.name),
        subject=Subject("subnet", subnet.id, subnet.name),
        project_id=subnet.project_id,
        arguments={"subnet_id": subnet.id, "values": values},
        keys=_keys(subnet),
        effects=(_("The addresses {range} can be given out again.", range=said),),
        instant=True,
    )


def _keys(subnet: Subnet) -> tuple[Key, ...]:
    return (Key(f"subnet:{subnet.id}"),)


def refuse_used(session: Session, subnet: Subnet, first: int, last: int) -> None:
    """Raise `Conflict` where somebody has one of the addresses, or they are reserved; names who."""
    other = next(iter(addresses.ranges(session, subnet, first, last)), None)
    if other is not None:
        raise Conflict(
            _("{range} is reserved already: {note}.", range=shown(subnet, other.first, other.last),
              note=other.note or "–"),
            fields={"range": _("a range that is still free")},
        )  # fmt: skip
    query = _taken(subnet, first, last)
    found: list[Reservation] = list(session.scalars(query.limit(SOME)))
    if found:
        who = holders(session, found)
        listed = ", ".join(
            f"{addresses.address_at(subnet, r.place)} ({who[r.place].name or who[r.place].kind})" for r in found
        )
        count = session.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0
        raise Conflict(
            _("{count} {count:address of it is|addresses of it are} taken: {list}.",
              count=count, list=listed + ("…" if count > SOME else "")),
            hint=_("What lies in the trash keeps its address too."),
            fields={"range": _("a range that is still free")},
            details={"taken": count},
        )
    if len(addresses.ranges(session, subnet, 0, checks.FAR - 1)) >= MOST:
        raise Conflict(_("The subnet has {most} reservations, which is the most.", most=MOST))


def _taken(subnet: Subnet, first: int, last: int) -> sa.Select[Any]:
    query = sa.select(Reservation).where(
        Reservation.subnet_id == subnet.id, Reservation.place >= first, Reservation.place <= last
    )
    return query.order_by(Reservation.place)


def _places(subnet: Subnet, text: str) -> tuple[int, int]:
    """First and last place of a range as it is typed. Raises `Invalid` naming ``range``."""
    net = ipaddress.ip_network(subnet.cidr)
    clean = text.strip()
    if "/" in clean:
        part = checks.inner(clean, net, "range")
        low, high = max(part[0], net[1]), min(part[-1], checks.highest(net))
    else:
        start, _dash, end = clean.partition("-")
        low = checks.address(start, "range", within=net)
        high = checks.address(end, "range", within=net) if end.strip() else low
    first, last = addresses.place_of(subnet, str(low)), addresses.place_of(subnet, str(high))
    if first > last or last >= checks.FAR:
        raise checks.refuse(
            "range", _("The range ends before it begins, or too far from the beginning of the subnet."),
            _("such as {first}-{last}", first=str(net[1]), last=str(checks.last(net))),
        )  # fmt: skip
    return first, last


def _find(session: Session, subnet: Subnet, reference: str) -> AddressRange:
    if reference.startswith(AddressRange.PREFIX + "_"):
        row = session.get(AddressRange, reference)
        if row is None or row.subnet_id != subnet.id:
            raise not_found("reservation", reference)
        return row
    first, last = _places(subnet, reference)
    found = addresses.ranges(session, subnet, first, last)
    if not found:
        raise not_found("reservation", reference[:60])
    if len(found) > 1:
        raise Conflict(_("{reference} fits several things.", reference=reference[:60]))
    return found[0]


def _in_pool(subnet: Subnet, first: int, last: int) -> int:
    low, high = (addresses.place_of(subnet, a) for a in (subnet.pool_start, subnet.pool_end))
    return max(0, min(last, high) - max(first, low) + 1)


def shown(subnet: Subnet, first: int, last: int) -> str:
    """A range as a person writes it."""
    low, high = addresses.address_at(subnet, first), addresses.address_at(subnet, last)
    return low if first == last else f"{low}-{high}"


# ── who has which address ──


@dataclass(frozen=True)
class Ledger:
    """A part of a subnet's addresses, in order: taken, reserved, and the free ones of the pool between. ``after`` is
    where the next part begins; None: there is none."""

    entries: list[Entry]
    after: int | None


def addresses_in(ctx: Context, subnet: Subnet, *, after: int = -1, limit: int = PAGE) -> Ledger:
    """Who has which address of the subnet, beginning behind the place ``after``. Names of other projects' things are
    left out where the actor does not see the project."""
    ctx.may("subnet.addresses", subnet.project_id)
    session = ctx.session
    query = sa.select(Reservation).where(
        Reservation.subnet_id == subnet.id, Reservation.place > after, Reservation.place >= 0
    )
    near = query.where(Reservation.place <= checks.FAR - 1)
    taken = list(session.scalars(near.order_by(Reservation.place).limit(limit + 1)))
    more = len(taken) > limit
    taken = taken[:limit]
    if not more:  # what guests made themselves, in the upper half of an IPv6 range
        taken += list(session.scalars(sa.select(Reservation).where(
            Reservation.subnet_id == subnet.id, sa.type_coerce(Reservation.place, sa.BigInteger) < 0
        ).order_by(Reservation.place).limit(limit)))  # fmt: skip
    end = taken[-1].place if more else checks.FAR - 1
    who = holders(session, taken)
    entries = [Entry(_at(subnet, r.place), _at(subnet, r.place), 1, holder=_seen(ctx, who[r.place])) for r in taken]
    kept = [r for r in addresses.ranges(session, subnet, after + 1, end) if r.first > after]
    entries += [Entry(_at(subnet, r.first), _at(subnet, r.last), r.last - r.first + 1, reserved=r) for r in kept]
    spans = sorted([(r.place, r.place) for r in taken] + [(r.first, r.last) for r in kept])
    entries += _free(subnet, spans, after + 1, end)
    entries.sort(key=lambda e: ipaddress.ip_address(e.first).packed)
    return Ledger(entries, taken[-1].place if more else None)


def _free(subnet: Subnet, spans: list[tuple[int, int]], start: int, end: int) -> list[Entry]:
    """The runs of the pool that nobody has."""
    low, high = (addresses.place_of(subnet, a) for a in (subnet.pool_start, subnet.pool_end))
    if subnet.ipv6_mode in checks.SELF_MADE:
        return []
    floor, top = max(low, start), min(high, end)
    found = []
    for first, last in [*spans, (top + 1, top + 1)]:
        if first > floor and floor <= top:
            until = min(first - 1, top)
            found.append(Entry(_at(subnet, floor), _at(subnet, until), until - floor + 1))
        floor = max(floor, last + 1)
    return found


def _at(subnet: Subnet, place: int) -> str:
    return addresses.address_at(subnet, place)


def _seen(ctx: Context, holder: Holder) -> Holder:
    if ctx.sees(holder.project_id):
        return holder
    return Holder(holder.kind, "", "", holder.project_id, holder.state, holder.since)


def said_of(entry: Entry) -> Message:
    """What there is to say of an entry, for a person."""
    if entry.holder is not None:
        if entry.holder.name:
            return entry.holder.said
        return _("a thing of another project")
    if entry.reserved is not None:
        return Message("{note}", {"note": entry.reserved.note}) if entry.reserved.note else _("reserved")
    return _("free")
