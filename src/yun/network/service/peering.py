"""The verbs of peerings: one project asks, the other accepts, either ends it. Nothing flows before both agree."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from yun.base.context import Context, not_found
from yun.base.errors import Conflict, Forbidden, NotFound, Unauthenticated
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.base.paging import Page, paginate
from yun.identity.model import Project
from yun.network import checks
from yun.network.model import ACTIVE, REQUESTED, TRASHED, NetworkPeering, Router
from yun.network.service import look, paths
from yun.network.service.routers import subject_of as router_subject
from yun.operations.intent import Intent, Key, Subject

MOST_RANGES = 20
METADATA_LINK = (169 * 256 + 252) // 4
"""The link in whose addresses 169.254.169.254 would be."""
LINKS = 256 * 64


@dataclass(frozen=True)
class NewPeering:
    """A peering to be asked for. ``router`` and ``ranges`` (subnets on it by name or id, or ranges within them) are
    one's own; ``project`` (its id, or its name where one is in it) and ``peer_ranges`` are the other side's."""

    name: str
    router: str
    project: str
    ranges: Sequence[str] = field(default_factory=list)
    peer_ranges: Sequence[str] = field(default_factory=list)
    description: str = ""


def subject_of(row: NetworkPeering) -> Subject:
    """The peering as an operation's subject."""
    return Subject("network_peering", row.id, row.name)


def get_peering(ctx: Context, reference: str) -> NetworkPeering:
    """A peering by id, or by its name where it is one's own project's. Raises `NotFound`, `Conflict`."""
    query = sa.select(NetworkPeering)
    clean = reference.replace("\0", "�")
    if checks.ID.fullmatch(clean):
        query = query.where(NetworkPeering.id == clean)
    else:
        query = query.where(NetworkPeering.name == clean)
        if ctx.project_id is not None:
            query = query.where(_of(ctx.project_id))
    found = [p for p in ctx.session.scalars(query.limit(50)) if _sees(ctx, p)]
    if len(found) > 1:
        found = [p for p in found if p.state != TRASHED] or found
    if not found:
        raise not_found("network peering", clean[:60])
    if len(found) > 1:
        raise Conflict(
            _("{reference} fits several things.", reference=reference), hint=_("Name its id, or choose a project.")
        )
    ctx.may("network_peering.show", side_of(ctx, found[0]))
    return found[0]


def _of(project_id: str) -> sa.ColumnElement[bool]:
    return sa.or_(NetworkPeering.project_id == project_id, NetworkPeering.peer_project_id == project_id)


def _sees(ctx: Context, row: NetworkPeering) -> bool:
    return ctx.sees(row.project_id) or ctx.sees(row.peer_project_id)


def side_of(ctx: Context, row: NetworkPeering) -> str:
    """On whose behalf the actor speaks: the context's project where it is one of the two, else one that he sees."""
    if ctx.project_id in (row.project_id, row.peer_project_id):
        return str(ctx.project_id)
    return row.project_id if ctx.sees(row.project_id) else row.peer_project_id


def list_peerings(
    ctx: Context, *, state: str | None = None, sort: str = "name", cursor: str | None = None, limit: int = 100
) -> Page[NetworkPeering]:
    """The peerings that the project asked for or is asked for, a page of them; those in the trash where asked for."""
    query = sa.select(NetworkPeering)
    if ctx.project_id is not None:
        ctx.may("network_peering.list")
        query = query.where(_of(ctx.project_id))
    elif ctx.actor.role_in(None) is None:
        mine = list(ctx.actor.roles)
        query = query.where(
            sa.or_(NetworkPeering.project_id.in_(mine), NetworkPeering.peer_project_id.in_(mine))
        )
    else:
        ctx.may("network_peering.list")
    query = query.where(NetworkPeering.state == state if state else NetworkPeering.state != TRASHED)
    sorts = {"name": NetworkPeering.name, "created_at": NetworkPeering.created_at}
    return paginate(
        ctx.session, query, sorts=sorts, key=NetworkPeering.id, sort=sort, cursor=cursor, limit=limit
    )


# ── asking ──


def create_peering(ctx: Context, new: NewPeering) -> Intent:
    """Ask another project for a peering; nothing changes before it accepts. Raises `Invalid` naming fields, also for
    ranges that overlap what is on the router (both are named), `NotFound` for an unknown project."""
    project_id = look.project_of(ctx)
    ctx.may("network_peering.create")
    session = ctx.session
    name = checks.name(new.name)
    look.refuse_taken(session, NetworkPeering, name, project_id=project_id)
    router = look.get_router(ctx, new.router)
    look.must_allow_state(router)
    if router.project_id != project_id:
        raise checks.refuse("router", _("The router belongs to another project."), _("a router of the project"))
    peer = _project(ctx, new.project, project_id)
    ranges = own_ranges(session, router, new.ranges, "ranges")
    peer_ranges = _theirs(new.peer_ranges)
    _refuse_overlap(session, router, peer_ranges, ranges)
    row = NetworkPeering(
        id=new_id(NetworkPeering.PREFIX), project_id=project_id, peer_project_id=peer.id, router_id=router.id,
        name=name, description=checks.description(new.description), ranges=[str(r) for r in ranges],
        peer_ranges=[str(r) for r in peer_ranges], state=REQUESTED, agreed=True, peer_agreed=False,
        link=_free_link(session),
    )  # fmt: skip

    def write(into: Session) -> None:
        look.refuse_taken(into, NetworkPeering, name, project_id=project_id)
        row.link = _free_link(into)
        into.add(row)
        into.flush()

    return Intent(
        kind="network_peering.create",
        title=_("Ask for peering {name}", name=name),
        subject=subject_of(row),
        subjects=(router_subject(router),),
        project_id=project_id,
        arguments={"peering_id": row.id},
        effects=(
            _("The project {project} is asked; nothing flows before it accepts.", project=new.project),
            _("Then {ours} and {theirs} reach each other, and nothing else does.", ours=", ".join(row.ranges),
              theirs=", ".join(row.peer_ranges)),
        ),
        write=write,
        instant=True,
    )  # fmt: skip


def _project(ctx: Context, reference: str, own: str) -> Project:
    """The other project: by id, or by name where the actor is in it (names of others are not told)."""
    query = sa.select(Project).where(Project.deleted_at.is_(None))
    clean = reference.strip().replace("\0", "�")
    by_id = ctx.session.scalar(query.where(Project.id == clean))
    named = by_id or ctx.session.scalar(query.where(Project.name == clean))
    if named is None or (by_id is None and not ctx.sees(named.id)):
        raise NotFound(
            _("There is no {noun} {reference}.", noun=_("project"), reference=clean[:60]),
            hint=_("Ask the other side for its project's id: yun project show."),
            fields={"project": _("the id of the other project")},
        )
    if named.id == own:
        raise checks.refuse(
            "project", _("That is the project itself: its networks are joined by a router."),
            _("the id of the other project"),
        )  # fmt: skip
    return named


def own_ranges(session: Session, router: Router, wanted: Sequence[str], where: str) -> list[checks.Net]:
    """Ranges behind the router: subnets on it by name or id, or ranges within them. Raises `Invalid`."""
    legs = [leg for leg in paths.legs(session, router.id) if not leg.row.external]
    found: list[checks.Net] = []
    for text in dict.fromkeys(w.strip() for w in wanted):
        leg = next((leg for leg in legs if text in (leg.subnet.id, leg.subnet.name)), None)
        net = leg.net if leg else _net(text, where)
        if not any(paths.inside(net, leg.net) for leg in legs):
            have = ", ".join(f"{leg.subnet.name} ({leg.subnet.cidr})" for leg in legs) or "–"
            raise checks.refuse(
                where, _("{range} is in no subnet on the router {router}.", range=text[:60], router=router.name),
                _("some of {ranges}, or parts of them", ranges=have),
            )  # fmt: skip
        found.append(net)
    return _counted(found, where)


def _net(text: str, where: str) -> checks.Net:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise checks.refuse(
            where, _("{value} is not a range of addresses.", value=text[:60]), _("a range such as 10.1.0.0/24")
        ) from error


def _theirs(wanted: Sequence[str]) -> list[checks.Net]:
    found = [_net(text.strip(), "peer_ranges") for text in dict.fromkeys(wanted)]
    for net in found:
        if net.prefixlen == 0:
            raise checks.refuse(
                "peer_ranges", _("A peering is for certain ranges, not for everything."),
                _("a range such as 10.1.0.0/24"),
            )  # fmt: skip
    return _counted(found, "peer_ranges")


def _counted(found: list[checks.Net], where: str) -> list[checks.Net]:
    if not 1 <= len(found) <= MOST_RANGES:
        raise checks.refuse(
            where, _("A peering has 1 to {most} ranges on each side.", most=MOST_RANGES),
            _("a range such as 10.1.0.0/24"),
        )  # fmt: skip
    return sorted(found, key=lambda n: (n.version, int(n[0]), n.prefixlen))


def _overlap(nets: Sequence[checks.Net], others: Sequence[tuple[str, str]]) -> tuple[checks.Net, str, str] | None:
    """The first of ``nets`` that overlaps one of ``others`` (name, range), and that one."""
    for net in nets:
        for name, text in others:
            other = ipaddress.ip_network(text)
            if other.version == net.version and other.overlaps(net):
                return net, name, text
    return None


def _refuse_overlap(
    session: Session, router: Router, theirs: Sequence[checks.Net], ours: Sequence[checks.Net]
) -> None:
    found = _overlap(theirs, [*paths.ranges_on(session, router), *((str(r), str(r)) for r in ours)])
    if found is not None:
        raise checks.refuse(
            "peer_ranges",
            _("{range} overlaps {other} ({cidr}) on the router {router}.", range=str(found[0]), other=found[1],
              cidr=found[2], router=router.name),
            _("ranges that nothing on the router overlaps"),
        )  # fmt: skip


def _free_link(session: Session) -> int:
    after = aliased(NetworkPeering)
    first = sa.select(NetworkPeering.id).where(NetworkPeering.link == 1)
    if session.scalar(first) is None:
        return 1
    followed = sa.exists().where(after.link == NetworkPeering.link + 1)
    gap = session.scalar(sa.select(NetworkPeering.link + 1).where(~followed).order_by(NetworkPeering.link).limit(1))
    number = int(gap or 1)
    if number == METADATA_LINK:
        number += 1
        while session.scalar(sa.select(NetworkPeering.id).where(NetworkPeering.link == number)) is not None:
            number += 1
    if number >= LINKS:
        raise Conflict(_("The cloud has no room for another peering."))
    return number


# ── answering ──


def accept_peering(ctx: Context, row: NetworkPeering, router_reference: str) -> Intent:
    """The other side agrees, and names its router: from now on the agreed ranges reach each other, and nothing else.

    Raises `Invalid` where the ranges that are asked for are not on that router, or the asker's ranges overlap what is
    there (both are named); `Conflict` where it is not a request any more."""
    _may(ctx, "network_peering.accept", row.peer_project_id, row)
    look.must_allow(row, "accept")
    session = ctx.session
    router = look.get_router(ctx, router_reference)
    look.must_allow_state(router)
    if router.project_id != row.peer_project_id:
        raise checks.refuse("router", _("The router belongs to another project."), _("a router of the project"))
    asked = [ipaddress.ip_network(r) for r in row.peer_ranges]
    own_ranges(session, router, row.peer_ranges, "router")
    _refuse_meeting(session, row, router, asked)

    def write(into: Session) -> None:
        _refuse_meeting(into, row, router, asked)

    return Intent(
        kind="network_peering.accept",
        title=_("Accept peering {name}", name=row.name),
        subject=subject_of(row),
        subjects=(router_subject(router),),
        project_id=row.peer_project_id,
        arguments={
            "peering_id": row.id, "router_id": router.id,
            "targets": [["router", r] for r in sorted((row.router_id, router.id))],
        },
        keys=_keys(row, row.router_id, router.id),
        effects=(
            _("{ours} and {theirs} reach each other, and nothing else does.", ours=", ".join(row.peer_ranges),
              theirs=", ".join(row.ranges)),
            _("Security groups still decide what a machine lets in."),
            *_who(session, router, asked),
        ),
        write=write,
    )  # fmt: skip


def _refuse_meeting(session: Session, row: NetworkPeering, router: Router, asked: Sequence[checks.Net]) -> None:
    """Raise where either side's router has something that overlaps the other side's ranges."""
    theirs = [ipaddress.ip_network(r) for r in row.ranges]
    found = _overlap(theirs, paths.ranges_on(session, router, besides=row.id))
    if found is not None:
        raise checks.refuse(
            "router",
            _("{range} overlaps {other} ({cidr}) on the router {router}.", range=str(found[0]), other=found[1],
              cidr=found[2], router=router.name),
            _("a router where nothing overlaps the other side's ranges"),
        )  # fmt: skip
    far = session.get_one(Router, row.router_id)
    if (clash := _overlap(asked, paths.ranges_on(session, far, besides=row.id))) is not None:
        # What else the other side has is not for this side to know.
        raise Conflict(
            _("{range} overlaps a network of the other side by now.", range=str(clash[0])),
            hint=_("The other side must make room, or ask for other ranges."),
        )


def _who(session: Session, router: Router, asked: Sequence[checks.Net]) -> tuple[Message, ...]:
    subnets = [leg.subnet.id for leg in paths.legs(session, router.id) if not leg.row.external]
    ports = [
        p for p in paths.behind(session, subnets)
        if any(ipaddress.ip_address(p.address) in n for n in asked if (n.version == 4) == (":" not in p.address))
    ]  # fmt: skip
    if not ports:
        return ()
    return (_("{count} {count:port comes|ports come} into reach of the other side: {names}.", count=len(ports),
              names=paths.named(ports)),)  # fmt: skip


def delete_peering(ctx: Context, row: NetworkPeering) -> Intent:
    """End a peering, or take back or turn down a request; either side may. The other side may take back its own
    consent too while it can still be undone. Raises `Conflict` where this side has ended it already."""
    side = side_of(ctx, row)
    _may(ctx, "network_peering.delete", side, row)
    asker = side == row.project_id
    consent = row.agreed if asker else row.peer_agreed
    if row.state == TRASHED and not consent:
        raise Conflict(_("This peering has ended already."))
    routers = sorted(r for r in (row.router_id, row.peer_router_id) if r)
    was = row.state
    effects = {
        ACTIVE: _("{ours} and {theirs} no longer reach each other.", ours=", ".join(row.ranges),
                  theirs=", ".join(row.peer_ranges)),
        REQUESTED: _("The request is gone: nobody can accept it any more."),
        TRASHED: _("The other side has ended it; with this neither side can bring it back alone."),
    }  # fmt: skip
    return Intent(
        kind="network_peering.delete",
        title=_("End peering {name}", name=row.name),
        subject=subject_of(row),
        project_id=side,
        arguments={
            "peering_id": row.id, "asker": asker,
            "targets": [["router", r] for r in routers] if was == ACTIVE else [],
        },
        keys=_keys(row, *(routers if was == ACTIVE else ())),
        effects=(effects[was],),
    )


def _may(ctx: Context, permission: str, project_id: str, row: NetworkPeering) -> None:
    """Like `Context.may`; who sees only the other side is refused, who sees neither does not find it."""
    if not _sees(ctx, row):
        raise not_found("network peering", row.id)
    try:
        ctx.may(permission, project_id)
    except Unauthenticated:
        raise
    except Forbidden as error:
        raise Forbidden(
            error.message, hint=_("It is for the other project to do this."), private=permission
        ) from error


def _keys(row: NetworkPeering, *routers: str) -> tuple[Key, ...]:
    return (Key(f"network_peering:{row.id}"), *(Key(f"router:{r}") for r in sorted(set(routers))))
