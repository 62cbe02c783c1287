"""What the lists of users and projects can be searched by, in the query language (`yun.base.query`)."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base import query as language
from yun.base.query import Condition, Field
from yun.identity.model import ROLES, Grant, Project, User


def of_users(session: Session, query: str) -> list[Condition]:
    """What a user must fulfil to match every term of ``query``. Raises `Invalid` naming ``q``."""
    return language.conditions(session, query, USERS, _user_text)


def of_projects(session: Session, query: str) -> list[Condition]:
    """What a project must fulfil to match every term of ``query``. Raises `Invalid` naming ``q``."""
    return language.conditions(session, query, PROJECTS, _project_text)


def _user_text(_session: Session, value: str) -> Condition:
    return sa.or_(language.contains(value, User.name, User.display_name, User.email), User.id == value)


def _project_text(_session: Session, value: str) -> Condition:
    return sa.or_(language.contains(value, Project.name, Project.description), Project.id == value)


def _cloud_role(_session: Session, _operator: str, value: str) -> Condition:
    return User.id.in_(sa.select(Grant.user_id).where(Grant.project_id.is_(None), Grant.role == value))


def _in_project(_session: Session, value: str) -> Condition:
    named = sa.select(Project.id).where(
        sa.or_(Project.id == value, sa.and_(Project.name == value, Project.deleted_at.is_(None)))
    )
    return User.id.in_(sa.select(Grant.user_id).where(Grant.project_id.in_(named)))


def _with_member(_session: Session, value: str) -> Condition:
    named = sa.select(User.id).where(sa.or_(User.id == value, User.name == value.lower()))
    return Project.id.in_(sa.select(Grant.project_id).where(Grant.user_id.in_(named), Grant.project_id.is_not(None)))


USERS: dict[str, Field] = {
    "name": language.text(User.name),
    "display": language.text(User.display_name),
    "email": language.text(User.email),
    "state": language.choice(User.state, ("active", "disabled")),
    "role": Field(language.SAME, _cloud_role, ROLES),
    "project": language.same(_in_project),
    "id": language.exact(User.id),
    "created": language.moment(User.created_at),
}
PROJECTS: dict[str, Field] = {
    "name": language.text(Project.name),
    "description": language.text(Project.description),
    "member": language.same(_with_member),
    "id": language.exact(Project.id),
    "created": language.moment(Project.created_at),
}
