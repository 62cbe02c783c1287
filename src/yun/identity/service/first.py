"""The first start: a project, an administrator and his generated password."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.config import Settings
from yun.base.errors import Unavailable
from yun.base.messages import _
from yun.identity import secret
from yun.identity.model import Grant, Project, User

DEFAULT = "default"
ADMIN = "admin"


def password_path(settings: Settings) -> Path:
    """Where the first administrator finds his password; the file is his to delete."""
    return settings.state_dir / "admin.password"


def ensure_first(session: Session, settings: Settings) -> None:
    """Make the project ``default`` and the administrator ``admin`` where there are no projects or users yet.

    His password is generated into `password_path`, mode 0600. May be called on every start.
    """
    secret.ensure_root_token(settings)
    if session.scalar(sa.select(Project.id).limit(1)) is None:
        session.add(Project(name=DEFAULT))
    if session.scalar(sa.select(User.id).limit(1)) is None:
        password = secret.generated_password()
        secret.write_private(password_path(settings), password + "\n", replace=True)
        admin = User(name=ADMIN, display_name="", password_hash=secret.hash_password(password))
        session.add(admin)
        session.flush()
        session.add(Grant(user_id=admin.id, project_id=None, role="admin"))
    session.flush()


def default_project(session: Session) -> Project:
    """The project named ``default``, else the oldest one. Raises `Unavailable` before the first start is complete."""
    query = sa.select(Project).where(Project.deleted_at.is_(None))
    order = (sa.case((Project.name == DEFAULT, 0), else_=1), Project.created_at, Project.id)
    found = session.scalar(query.order_by(*order).limit(1))
    if found is None:
        raise Unavailable(_("There is no project yet."), hint=_("Start Yun once, or create a project."))
    return found
