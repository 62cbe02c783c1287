"""Projects and who works in them."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context, not_found
from yun.base.errors import Conflict
from yun.base.ids import new_id
from yun.base.messages import _
from yun.base.paging import Page, paginate
from yun.identity import names
from yun.identity.holdings import contents, effects, listed
from yun.identity.model import Grant, Project, User
from yun.identity.service import people_search
from yun.identity.service.users import find_user
from yun.operations.intent import Intent, Subject, unchanged


@dataclass(frozen=True)
class Member:
    """A user with his role in a project; ``everywhere`` where the role comes from the whole cloud."""

    user: User
    role: str
    everywhere: bool


def subject_of(project: Project) -> Subject:
    """The project as the subject of an operation."""
    return Subject("project", project.id, project.name)


def _name_subject(name: str) -> Subject:
    # Whoever took a freed name stands in the way of undoing what freed it.
    return Subject("project-name", name, name)


def find_project(session: Session, reference: str) -> Project:
    """A project that is not deleted, by id or name. Raises `NotFound`. Asks no permission: callers do."""
    column = Project.id if reference.startswith("prj_") else Project.name
    found = session.scalar(sa.select(Project).where(column == reference.strip(), Project.deleted_at.is_(None)))
    if found is None:
        raise not_found("project", reference[:70])
    return found


def get_project(ctx: Context, reference: str) -> Project:
    """A project by id or name. Raises `NotFound`, also for a project in which the actor has no role."""
    found = find_project(ctx.session, reference)
    ctx.must_see(found.id, "project", reference[:70])
    ctx.may("project.show", found.id)
    return found


def list_projects(
    ctx: Context, *, q: str = "", sort: str = "name", cursor: str | None = None, limit: int = 100
) -> Page[Project]:
    """The projects in which the actor has a role; ``q`` is in the query language (`people_search.PROJECTS`, and free
    text). Raises `Invalid` for a query that means nothing."""
    ctx.may("project.list")
    query = sa.select(Project).where(Project.deleted_at.is_(None))
    if "*" not in ctx.actor.roles:
        query = query.where(Project.id.in_(list(ctx.actor.roles)))
    query = query.where(*people_search.of_projects(ctx.session, q))
    sorts = {"name": Project.name, "created_at": Project.created_at}
    return paginate(ctx.session, query, sorts=sorts, key=Project.id, sort=sort, cursor=cursor, limit=limit)


def _refuse_taken(session: Session, name: str, but: str = "") -> None:
    query = sa.select(Project.id).where(Project.name == name, Project.deleted_at.is_(None), Project.id != but)
    if session.scalar(query):
        taken = _("There is already a project named {name}.", name=name)
        raise Conflict(taken, fields={"name": _("another name")})


def create_project(ctx: Context, *, name: str, description: str = "") -> Intent:
    """Make an empty project. Raises `Conflict` for a name that is taken."""
    ctx.may("project.create")
    name = names.plain(name)
    text = names.plain(description, "description", most=500, empty=True)
    _refuse_taken(ctx.session, name)
    identifier = new_id("prj")

    def write(session: Session) -> None:
        _refuse_taken(session, name)
        session.add(Project(id=identifier, name=name, description=text))

    return Intent(
        kind="project.create", title=_("Create project {name}", name=name),
        subject=Subject("project", identifier, name), subjects=(_name_subject(name),),
        arguments={"project_id": identifier}, write=write, instant=True,
    )  # fmt: skip


def update_project(ctx: Context, reference: str, *, name: str | None = None, description: str | None = None) -> Intent:
    """Rename or describe a project; None leaves a value as it is. Raises `Conflict` for a name that is taken; its
    submission does where somebody else has changed the project meanwhile."""
    project = get_project(ctx, reference)
    ctx.may("project.update", project.id)
    values: dict[str, str] = {}
    subjects: list[Subject] = []
    if name not in (None, project.name) and (clean := names.plain(name)) != project.name:
        _refuse_taken(ctx.session, clean, but=project.id)
        values["name"] = clean
        subjects = [_name_subject(clean), _name_subject(project.name)]
    if description is not None:
        values["description"] = names.plain(description, "description", most=500, empty=True)
    return Intent(
        kind="project.update", title=_("Change project {name}", name=project.name), subject=subject_of(project),
        subjects=tuple(subjects), project_id=project.id, still=unchanged(project), instant=True,
        arguments={"project_id": project.id, "values": values},
    )  # fmt: skip


def refuse_full(session: Session, project: Project) -> None:
    """Raise `Conflict` where something still belongs to the project."""
    if found := contents(session, project.id):
        raise Conflict(
            _("The project {name} is not empty: {contents}.", name=project.name, contents=listed(found)),
            hint=_("Delete what is in it first, and empty its trash."),
            details={"contents": found},
        )


def delete_project(ctx: Context, reference: str) -> Intent:
    """Remove an empty project; its members' roles and its API tokens no longer hold. Raises `Conflict` if not empty."""
    project = get_project(ctx, reference)
    ctx.may("project.delete")
    refuse_full(ctx.session, project)
    return Intent(
        kind="project.delete", title=_("Delete project {name}", name=project.name), subject=subject_of(project),
        subjects=(_name_subject(project.name),), arguments={"project_id": project.id}, instant=True,
        effects=(_("Roles and API tokens of this project no longer hold."), *effects(ctx.session, project.id)),
    )  # fmt: skip


# ── members ──


def list_members(ctx: Context, reference: str) -> list[Member]:
    """Who has a role in the project, by name; the strongest role of each."""
    project = get_project(ctx, reference)
    ctx.may("project.list_members", project.id)
    query = sa.select(User, Grant).join(Grant, Grant.user_id == User.id)
    query = query.where(sa.or_(Grant.project_id == project.id, Grant.project_id.is_(None)))
    rank = {"reader": 1, "member": 2, "admin": 3}
    best: dict[str, Member] = {}
    for user, grant in ctx.session.execute(query.order_by(User.name)):
        found = best.get(user.id)
        if found is None or rank[grant.role] > rank[found.role]:
            best[user.id] = Member(user, grant.role, grant.project_id is None)
    return list(best.values())


def grant_in_project(ctx: Context, reference: str, user: str, role: str) -> Intent:
    """Give a user a role in a project, instead of the one he has there."""
    project = get_project(ctx, reference)
    ctx.may("project.grant", project.id)
    found, role = find_user(ctx.session, user), names.role(role)
    return Intent(
        kind="project.grant", project_id=project.id, subject=subject_of(project), instant=True,
        title=_("Make {name} {role} of {project}", name=found.name, role=_(role), project=project.name),
        subjects=(Subject("user", found.id, found.name),),
        arguments={"user_id": found.id, "project_id": project.id, "role": role},
    )  # fmt: skip


def revoke_in_project(ctx: Context, reference: str, user: str) -> Intent:
    """Take a user's role in a project away. Raises `Conflict` where he has none of its own there."""
    project = get_project(ctx, reference)
    ctx.may("project.revoke", project.id)
    found = find_user(ctx.session, user)
    query = sa.select(Grant.id).where(Grant.user_id == found.id, Grant.project_id == project.id)
    if ctx.session.scalar(query) is None:
        raise Conflict(_("{name} has no role of their own in {project}.", name=found.name, project=project.name))
    return Intent(
        kind="project.revoke", project_id=project.id, subject=subject_of(project), instant=True,
        title=_("Take the role of {name} in {project} away", name=found.name, project=project.name),
        subjects=(Subject("user", found.id, found.name),),
        arguments={"user_id": found.id, "project_id": project.id},
        effects=(_("{name} no longer sees anything in {project}, unless by a role in the whole cloud.",
                   name=found.name, project=project.name),),
    )  # fmt: skip
