"""The verbs network.share and network.unshare."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context, not_found
from yun.base.errors import Conflict
from yun.base.messages import Message, _
from yun.identity.model import Project
from yun.network.model import ALL, Network, NetworkShare, Port, Router, RouterInterface
from yun.network.service import look
from yun.network.service.networks import subject_of, tenancy
from yun.network.service.rights import may_change
from yun.operations.intent import Intent, Key

SOME = 5


def share(ctx: Context, network: Network, project: str) -> Intent:
    """Machines of the project (name or id; ``*``: of every project, for administrators of the cloud) may be on the
    network. Raises `NotFound` for no such project, `Conflict` where it is so already."""
    may_change(ctx, "network.share", network)
    look.must_allow_state(network)
    whom, name = _whom(ctx, project)
    if whom == network.project_id or network.project_id is None:
        raise Conflict(_("The network {name} is theirs already.", name=network.name))
    if ctx.session.get(NetworkShare, (network.id, whom)) is not None:
        raise Conflict(_("Nothing would change: it is so already."))
    return Intent(
        kind="network.share",
        title=_("Share network {name} with {project}", name=network.name, project=name),
        subject=subject_of(network),
        subjects=(tenancy(network.id),),
        project_id=network.project_id,
        arguments={"network_id": network.id, "project_id": whom},
        keys=(Key(f"network:{network.id}"),),
        effects=(
            _("Members of {project} see the network {name} and put their machines on it; they cannot change it.",
              project=name, name=network.name),
            _("Machines on it reach each other as their security groups say, whatever project they belong to."),
        ),
        instant=True,
    )  # fmt: skip


def unshare(ctx: Context, network: Network, project: str) -> Intent:
    """The project does not see the network any more. Raises `Conflict` where it still has ports or routers on it, with
    names."""
    may_change(ctx, "network.unshare", network)
    whom, name = _whom(ctx, project)
    if ctx.session.get(NetworkShare, (network.id, whom)) is None:
        raise Conflict(_("The network {name} is not shared with {project}.", name=network.name, project=name))
    refuse_users(ctx.session, network, whom)
    return Intent(
        kind="network.unshare",
        title=_("Share network {name} with {project} no more", name=network.name, project=name),
        subject=subject_of(network),
        subjects=(tenancy(network.id),),
        project_id=network.project_id,
        arguments={"network_id": network.id, "project_id": whom},
        keys=(Key(f"network:{network.id}"),),
        effects=(_("Members of {project} do not see the network {name} any more.", project=name, name=network.name),),
        still=lambda session: refuse_users(session, network, whom),
        instant=True,
    )


def _whom(ctx: Context, project: str) -> tuple[str, str | Message]:
    """Id and name of whom it is shared with."""
    if project.strip() == ALL:
        ctx.may("network.provide")
        return ALL, _("all projects")
    clean = project.strip().replace("\0", "�")
    query = sa.select(Project).where(sa.or_(Project.id == clean, Project.name == clean), Project.deleted_at.is_(None))
    found = ctx.session.scalar(query)
    if found is None:
        raise not_found("project", clean[:60])
    return found.id, found.name


def refuse_users(session: Session, network: Network, whom: str) -> None:
    """Raise `Conflict` where those who would lose the network still use it; names projects and how many ports and
    routers each has on it."""
    kept = sa.select(NetworkShare.project_id).where(
        NetworkShare.network_id == network.id, NetworkShare.project_id != whom
    )
    others = set(session.scalars(kept))
    if ALL in others:
        return
    ports = sa.select(Port.project_id, sa.func.count()).where(Port.network_id == network.id).group_by(Port.project_id)
    legs = (
        sa.select(Router.project_id, sa.func.count())
        .join(RouterInterface, RouterInterface.router_id == Router.id)
        .where(RouterInterface.network_id == network.id)
        .group_by(Router.project_id)
    )
    counts: dict[str, int] = {}
    for project_id, count in (*session.execute(ports), *session.execute(legs)):
        losing = project_id != network.project_id and project_id not in others and whom in (ALL, project_id)
        if losing:
            counts[project_id] = counts.get(project_id, 0) + int(count)
    if counts:
        rows = session.execute(sa.select(Project.id, Project.name).where(Project.id.in_(list(counts))))
        listed = [f"{name} ({counts[identifier]})" for identifier, name in rows]
        names = ", ".join(sorted(listed)[:SOME]) + ("…" if len(listed) > SOME else "")
        raise Conflict(
            _("The network {name} is in use by ports and routers of {projects}.", name=network.name, projects=names),
            hint=_("They must take their machines off it first, and purge those in the trash."),
            details={"projects": counts},
        )
