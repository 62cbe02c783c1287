"""The verbs of hosts: look, start a service, change limits; and the placement that rooms above ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context, not_found
from yun.base.errors import Conflict, Invalid, NoCapacity, Unavailable
from yun.base.messages import Message, _
from yun.base.paging import Page, paginate
from yun.hosts import placement, search
from yun.hosts.model import SERVICE_TITLES, Allocation, Host, HostService
from yun.operations.intent import Intent, Key, Subject, unchanged

NOT_SEEN = _("It is examined when yun serve starts; try again in a moment.")
LIMITS = {"cpu_overcommit": (0.1, 100.0), "memory_overcommit": (0.1, 10.0)}


@dataclass(frozen=True)
class Changes:
    """What `update` may change; None leaves a field as it is. ``reserved_mib`` in MiB."""

    description: str | None = None
    accepts: bool | None = None
    reserved_mib: int | None = None
    cpu_overcommit: float | None = None
    memory_overcommit: float | None = None

    def given(self) -> dict[str, Any]:
        """The fields that are to change."""
        return {k: v for k, v in vars(self).items() if v is not None}


# ── looking ──


def get(ctx: Context, reference: str) -> Host:
    """A host by name or id. Raises `NotFound`."""
    ctx.may("host.show")
    query = sa.select(Host).where(sa.or_(Host.id == reference, Host.name == reference))
    found = ctx.session.scalar(query)
    if found is None:
        raise not_found("host", reference)
    return found


def list_hosts(
    ctx: Context, *, q: str = "", state: str | None = None, sort: str = "name", cursor: str | None = None,
    limit: int = 100,
) -> Page[Host]:  # fmt: skip
    """All hosts, sorted by ``name``, ``state``, ``memory_mib`` or ``cpus``; ``q`` is in the query language
    (`search.FIELDS`, and free text). Raises `Invalid` for a query that means nothing."""
    ctx.may("host.list")
    query = sa.select(Host).where(*search.conditions(ctx.session, q))
    if state:
        query = query.where(Host.state == state)
    sorts = {"name": Host.name, "state": Host.state, "memory_mib": Host.memory_mib, "cpus": Host.cpus}
    return paginate(ctx.session, query, sorts=sorts, key=Host.id, sort=sort, cursor=cursor, limit=limit)


def services_of(session: Session, host_id: str) -> list[HostService]:
    """A host's services in start order."""
    query = sa.select(HostService).where(HostService.host_id == host_id)
    return list(session.scalars(query.order_by(HostService.position, HostService.name)))


def rooms(session: Session) -> list[placement.Room]:
    """What every host may still promise, by name."""
    sums = (
        sa.select(
            Allocation.host_id, sa.func.sum(Allocation.vcpus).label("vcpus"),
            sa.func.sum(Allocation.memory_mib).label("memory"),
        ).group_by(Allocation.host_id).subquery()
    )  # fmt: skip
    query = sa.select(Host, sums.c.vcpus, sums.c.memory).outerjoin(sums, sums.c.host_id == Host.id)
    return [placement.room_of(h, int(v or 0), int(m or 0)) for h, v, m in session.execute(query.order_by(Host.name))]


def local_host(session: Session) -> Host:
    """The host this control plane runs on. Raises `Unavailable` before it was seen for the first time."""
    found = session.scalar(sa.select(Host).order_by(Host.created_at, Host.id).limit(1))
    if found is None:
        raise Unavailable(_("This host has not been examined yet."), hint=NOT_SEEN)
    return found


# ── placement ──


def choose(session: Session, *, vcpus: int, memory_mib: int, lacking: Mapping[str, Message] | None = None) -> Host:
    """The host for a new instance; none of those ``lacking`` something, which are told with what it is. Raises
    `NoCapacity` with a reason per host and the nearest size that fits."""
    lacks = lacking or {}
    all_rooms = [replace(room, lacks=lacks.get(room.host.id)) for room in rooms(session)]
    found = placement.best(all_rooms, vcpus=vcpus, memory_mib=memory_mib)
    if found is not None:
        return found.host
    reasons = [placement.refusal(r, vcpus=vcpus, memory_mib=memory_mib) for r in all_rooms]
    raise no_room([r for r in reasons if r], placement.nearest(all_rooms, vcpus=vcpus, memory_mib=memory_mib))


def no_room(reasons: list[Message], hint: Message) -> NoCapacity:
    """The error of a placement: each host's reason, and what would fit."""
    if not reasons:
        return NoCapacity(_("There is no host yet."), hint=NOT_SEEN)
    chain = reasons[0]
    for reason in reasons[1:]:
        chain = _("{first}; {second}", first=chain, second=reason)
    return NoCapacity(
        _("No host can take it: {reasons}.", reasons=chain), hint=hint,
        details={"hosts": [r.to_json() for r in reasons]},
    )  # fmt: skip


def allocate(
    session: Session, *, host_id: str, owner: str, vcpus: int, memory_mib: int, returning: bool = False
) -> None:
    """Promise ``owner`` this much on the host, replacing an older promise to it, in the caller's transaction.

    Checks again under the host's lock, so that two placements cannot take the same room. A promise that does not grow
    is always kept. ``returning`` is what had its place here before: also a host that takes nothing new, or is down for
    now, takes it back. Raises `NoCapacity`.
    """
    host = session.get(Host, host_id, with_for_update=True)
    if host is None:
        raise not_found("host", host_id)
    known = session.scalar(sa.select(Allocation).where(Allocation.owner == owner))
    grows = (
        known is None or known.host_id != host_id or memory_mib > known.memory_mib or vcpus > known.vcpus
    )
    if grows:
        room = next(r for r in rooms(session) if r.host.id == host_id)
        if known is not None and known.host_id == host_id:
            room = placement.Room(host, room.vcpus + known.vcpus, room.memory_mib + known.memory_mib)
        if reason := placement.refusal(room, vcpus=vcpus, memory_mib=memory_mib, returning=returning):
            raise no_room([reason], placement.nearest([room], vcpus=vcpus, memory_mib=memory_mib))
    if known is None:
        session.add(Allocation(host_id=host_id, owner=owner, vcpus=vcpus, memory_mib=memory_mib))
    else:
        known.host_id, known.vcpus, known.memory_mib = host_id, vcpus, memory_mib
    session.flush()


def release(session: Session, owner: str) -> None:
    """Nothing is promised to ``owner`` any more; nothing happens where nothing was."""
    session.execute(sa.delete(Allocation).where(Allocation.owner == owner))


# ── changing ──


def start_service(ctx: Context, reference: str, name: str) -> Intent:
    """Start a daemon of a host, such as the virtual machine service; one that runs and is mute is woken or restarted.
    Raises `NotFound`, and `Conflict` for a daemon that is not installed."""
    ctx.may("host.start_service")
    host = get(ctx, reference)
    found = next((s for s in services_of(ctx.session, host.id) if s.name == name), None)
    if found is None:
        raise not_found("service", name)
    if found.state == "missing":
        raise Conflict(
            _("{name} is not installed on {host}.", name=name, host=host.name),
            hint=_("Run ./up on the host, which installs what is missing."),
        )
    title = SERVICE_TITLES.get(name, Message(name))
    effects = {
        "running": _("{service} already runs; nothing will change.", service=title),
        "unresponsive": _(
            "{service} runs and does not answer: it will be woken, or else restarted. Instances go on running.",
            service=title,
        ),
    }
    return Intent(
        kind="host.start_service",
        title=_("Start {service} on {host}", service=name, host=host.name),
        subject=Subject("host", host.id, host.name),
        arguments={"host_id": host.id, "name": name},
        keys=(Key(f"host-service:{host.id}:{name}"),),
        effects=(effects.get(found.state, _("{service} will run and answer.", service=title)),),
        undoable=False,
        no_undo=_("A service that was started is stopped again with the host's own tools."),
        transparent=True,
        deadline=120.0,
    )


def update(ctx: Context, reference: str, changes: Changes) -> Intent:
    """Change a host's description, limits, or whether it takes new instances. Raises `NotFound` and `Invalid`."""
    ctx.may("host.update")
    host = get(ctx, reference)
    given = changes.given()
    if not given:
        raise Invalid(_("Nothing to change was given."))
    wrong = _wrong_limits(host, given)
    if wrong:
        raise Invalid(_("These limits of a host cannot be used."), fields=wrong)
    return Intent(
        kind="host.update",
        title=_("Change the limits of {host}", host=host.name),
        subject=Subject("host", host.id, host.name),
        arguments={"host_id": host.id, "changes": given},
        effects=tuple(
            _("{field} becomes {value} (now {old}).", field=k, value=str(v), old=str(getattr(host, k)))
            for k, v in given.items()
        ),
        still=unchanged(host),
        instant=True,
    )


def _wrong_limits(host: Host, given: dict[str, Any]) -> dict[str, Message]:
    wrong: dict[str, Message] = {}
    for field, (least, most) in LIMITS.items():
        if field in given and not least <= given[field] <= most:
            wrong[field] = _("a number from {least} to {most}", least=least, most=most)
    if "reserved_mib" in given and not 0 <= given["reserved_mib"] <= host.memory_mib:
        wrong["reserved_mib"] = _("0 to {most} MiB", most=host.memory_mib)
    text = given.get("description", "")
    if len(text) > 500 or any(ord(c) < 32 for c in text):
        wrong["description"] = _("at most {most} characters on one line", most=500)
    return wrong
