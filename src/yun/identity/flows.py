"""Operations of identity: pure database work, journaled, and taken back from the journal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import Conflict
from yun.base.messages import _
from yun.identity import holdings
from yun.identity.model import ApiToken, Grant, Project, SshKey, User, WebSession
from yun.identity.service.projects import refuse_full
from yun.identity.service.projects import subject_of as project_subject
from yun.identity.service.tokens import subject_of as token_subject
from yun.identity.service.users import cloud_admins, end_sessions
from yun.identity.service.users import subject_of as user_subject
from yun.operations.events import emit
from yun.operations.flow import Op, operation, tx_step
from yun.operations.intent import Subject

KEY_COLUMNS = ("id", "user_id", "name", "kind", "bits", "fingerprint", "comment", "public_key")


def _keep_an_admin(session: Session) -> None:
    """Raise `Conflict` where the change just made leaves the cloud without an administrator."""
    session.flush()
    if not cloud_admins(session):
        raise Conflict(
            _("The cloud would have no administrator left."), hint=_("Make somebody else an administrator first.")
        )


# ── users ──


def _forget_user(op: Op, session: Session, output: Any, user_id: str) -> None:
    user = session.get(User, user_id)
    if user is None:
        return
    for table in (Grant, ApiToken, SshKey, WebSession):
        session.execute(sa.delete(table).where(table.user_id == user_id))
    session.delete(user)
    _keep_an_admin(session)
    emit(session, "user.deleted", subject=user_subject(user), operation_id=op.id)


@tx_step(undo=_forget_user)
def announce_user(op: Op, session: Session, user_id: str) -> None:
    """The user's row was written with the operation; tell of it."""
    emit(session, "user.created", subject=user_subject(session.get_one(User, user_id)), operation_id=op.id)


@operation("user.create")
def create_user(op: Op, user_id: str) -> None:
    """Make a user."""
    op.step(announce_user, user_id)


def _unchange_user(op: Op, session: Session, output: Any, user_id: str, values: dict[str, Any]) -> None:
    user = session.get(User, user_id)
    if user is not None and output is not None:
        _set(user, output)
        emit(session, "user.updated", subject=user_subject(user), operation_id=op.id)


@tx_step(undo=_unchange_user)
def change_user(op: Op, session: Session, user_id: str, values: dict[str, Any]) -> dict[str, Any]:
    """Set some of the user's columns; returns what they held before."""
    user = session.get_one(User, user_id)
    before = _set(user, values)
    emit(session, "user.updated", subject=user_subject(user), operation_id=op.id)
    return before


def _set(row: Any, values: dict[str, Any]) -> dict[str, Any]:
    before = {name: getattr(row, name) for name in values}
    for name, value in values.items():
        setattr(row, name, value)
    return before


@operation("user.update")
def update_user(op: Op, user_id: str, values: dict[str, Any]) -> None:
    """Change a user's profile."""
    op.step(change_user, user_id, values)


@operation("profile.update")
def update_profile(op: Op, user_id: str, values: dict[str, Any]) -> None:
    """Change one's own profile."""
    op.step(change_user, user_id, values)


def _unset_state(op: Op, session: Session, output: Any, user_id: str, state: str) -> None:
    user = session.get(User, user_id)
    if user is not None and output is not None:
        _put_state(op, session, user, output["state"])


@tx_step(undo=_unset_state)
def set_user_state(op: Op, session: Session, user_id: str, state: str) -> dict[str, str]:
    """Disable or enable; sessions of a disabled user end for good. Raises `Conflict` for the last administrator."""
    user = session.get_one(User, user_id)
    before = {"state": user.state}
    _put_state(op, session, user, state)
    return before


def _put_state(op: Op, session: Session, user: User, state: str) -> None:
    user.state = state
    _keep_an_admin(session)
    if state != "active":
        end_sessions(session, user.id)
    kind = "user.enabled" if state == "active" else "user.disabled"
    emit(session, kind, subject=user_subject(user), operation_id=op.id)


@operation("user.disable")
def disable_user(op: Op, user_id: str, state: str) -> None:
    """Keep a user out."""
    op.step(set_user_state, user_id, state)


@operation("user.enable")
def enable_user(op: Op, user_id: str, state: str) -> None:
    """Let a user in again."""
    op.step(set_user_state, user_id, state)


@tx_step()
def announce_password(op: Op, session: Session, user_id: str) -> None:
    """The hash was written with the operation; tell of it."""
    emit(session, "user.password_set", subject=user_subject(session.get_one(User, user_id)), operation_id=op.id)


@operation("user.set_password")
def set_password(op: Op, user_id: str) -> None:
    """Set a user's password as an administrator."""
    op.step(announce_password, user_id)


@operation("profile.set_password")
def set_own_password(op: Op, user_id: str) -> None:
    """Change one's own password."""
    op.step(announce_password, user_id)


# ── roles ──


def _unset_role(op: Op, session: Session, output: Any, user_id: str, project_id: str | None, role: str | None) -> None:
    if output is not None and session.get(User, user_id) is not None:
        _put_role(op, session, user_id, project_id, output["role"])


@tx_step(undo=_unset_role)
def set_role(
    op: Op, session: Session, user_id: str, project_id: str | None, role: str | None
) -> dict[str, str | None]:
    """Give the user a role in a project or (None) the cloud, or take it away; returns the one he had."""
    return {"role": _put_role(op, session, user_id, project_id, role)}


def _put_role(op: Op, session: Session, user_id: str, project_id: str | None, role: str | None) -> str | None:
    place = Grant.project_id == project_id if project_id is not None else Grant.project_id.is_(None)
    found = session.scalar(sa.select(Grant).where(Grant.user_id == user_id, place))
    before = found.role if found is not None else None
    if role is None and found is not None:
        session.delete(found)
    elif role is not None and found is not None:
        found.role = role
    elif role is not None:
        session.add(Grant(user_id=user_id, project_id=project_id, role=role))
    if project_id is None:
        _keep_an_admin(session)
    user = session.get_one(User, user_id)
    user.updated_at = datetime.now(UTC)  # his roles are shown with him: his revision moves on
    if project_id is not None:
        session.get_one(Project, project_id).updated_at = datetime.now(UTC)
    kind = "user.granted" if role is not None else "user.revoked"
    data = {"role": role, "before": before}
    emit(session, kind, subject=user_subject(user), project_id=project_id, data=data, operation_id=op.id)
    return before


@operation("user.grant")
def grant_in_cloud(op: Op, user_id: str, role: str) -> None:
    """Give a user a role in the whole cloud."""
    op.step(set_role, user_id, None, role)


@operation("user.revoke")
def revoke_in_cloud(op: Op, user_id: str) -> None:
    """Take a user's role in the whole cloud away."""
    op.step(set_role, user_id, None, None)


@operation("project.grant")
def grant_in_project(op: Op, user_id: str, project_id: str, role: str) -> None:
    """Give a user a role in a project."""
    op.step(set_role, user_id, project_id, role)


@operation("project.revoke")
def revoke_in_project(op: Op, user_id: str, project_id: str) -> None:
    """Take a user's role in a project away."""
    op.step(set_role, user_id, project_id, None)


# ── projects ──


def _undelete(op: Op, session: Session, output: Any, project_id: str) -> None:
    project = session.get(Project, project_id)
    if project is not None and project.deleted_at is not None:
        project.deleted_at = None
        session.flush()
        holdings.bring_back(op, session, output or {})
        emit(session, "project.created", subject=project_subject(project), project_id=project_id, operation_id=op.id)


def _delete(op: Op, session: Session, project_id: str) -> dict[str, Any]:
    project, away = session.get_one(Project, project_id), {}
    if project.deleted_at is None:
        refuse_full(session, project)
        away = holdings.put_away(op, session, project_id)
        project.deleted_at = op.clock.now()
        emit(session, "project.deleted", subject=project_subject(project), project_id=project_id, operation_id=op.id)
    return away


def _uncreate(op: Op, session: Session, output: Any, project_id: str) -> None:
    _delete(op, session, project_id)


@tx_step(undo=_uncreate)
def announce_project(op: Op, session: Session, project_id: str) -> None:
    """The project's row was written with the operation; tell of it."""
    project = session.get_one(Project, project_id)
    emit(session, "project.created", subject=project_subject(project), project_id=project_id, operation_id=op.id)


@operation("project.create")
def create_project(op: Op, project_id: str) -> None:
    """Make a project."""
    op.step(announce_project, project_id)


def _unchange_project(op: Op, session: Session, output: Any, project_id: str, values: dict[str, Any]) -> None:
    if output is not None:
        _put_project(op, session, project_id, output)


@tx_step(undo=_unchange_project)
def change_project(op: Op, session: Session, project_id: str, values: dict[str, Any]) -> dict[str, Any]:
    """Set the project's name or description; returns what they were. Raises `Conflict` for a name that is taken."""
    return _put_project(op, session, project_id, values)


def _put_project(op: Op, session: Session, project_id: str, values: dict[str, Any]) -> dict[str, Any]:
    project = session.get_one(Project, project_id)
    if "name" in values:
        same = sa.select(Project.id).where(Project.name == values["name"], Project.deleted_at.is_(None))
        if session.scalar(same.where(Project.id != project_id)):
            raise Conflict(_("There is already a project named {name}.", name=values["name"]))
    before = _set(project, values)
    emit(session, "project.updated", subject=project_subject(project), project_id=project_id, operation_id=op.id)
    return before


@operation("project.update")
def update_project(op: Op, project_id: str, values: dict[str, Any]) -> None:
    """Rename or describe a project."""
    op.step(change_project, project_id, values)


@tx_step(undo=_undelete)
def delete_empty(op: Op, session: Session, project_id: str) -> dict[str, Any]:
    """Mark an empty project as deleted; returns what rooms had given it. Raises `Conflict` where more is in it."""
    return _delete(op, session, project_id)


@operation("project.delete")
def delete_project(op: Op, project_id: str) -> None:
    """Remove an empty project."""
    op.step(delete_empty, project_id)


# ── tokens ──


def _forget_token(op: Op, session: Session, output: Any, token_id: str) -> None:
    token = session.get(ApiToken, token_id)
    if token is not None:
        session.delete(token)
        emit(session, "token.revoked", subject=token_subject(token), operation_id=op.id)


@tx_step(undo=_forget_token)
def announce_token(op: Op, session: Session, token_id: str) -> None:
    """The token's row was written with the operation; tell of it."""
    emit(session, "token.created", subject=token_subject(session.get_one(ApiToken, token_id)), operation_id=op.id)


@operation("token.create")
def create_token(op: Op, token_id: str) -> None:
    """Make an API token."""
    op.step(announce_token, token_id)


@tx_step()
def end_token(op: Op, session: Session, token_id: str) -> None:
    """The token no longer holds."""
    token = session.get_one(ApiToken, token_id)
    token.revoked_at = token.revoked_at or op.clock.now()
    emit(session, "token.revoked", subject=token_subject(token), operation_id=op.id)


@operation("token.revoke")
def revoke_token(op: Op, token_id: str) -> None:
    """End an API token."""
    op.step(end_token, token_id)


# ── keys ──


def _key_subject(key: SshKey) -> Subject:
    return Subject("key", key.id, key.name)


def _forget_key(op: Op, session: Session, output: Any, key_id: str) -> None:
    key = session.get(SshKey, key_id)
    if key is not None:
        session.delete(key)
        emit(session, "key.deleted", subject=_key_subject(key), operation_id=op.id)


@tx_step(undo=_forget_key)
def announce_key(op: Op, session: Session, key_id: str) -> None:
    """The key's row was written with the operation; tell of it."""
    emit(session, "key.created", subject=_key_subject(session.get_one(SshKey, key_id)), operation_id=op.id)


@operation("key.create")
def create_key(op: Op, key_id: str) -> None:
    """Keep a public SSH key."""
    op.step(announce_key, key_id)


def _put_key_back(op: Op, session: Session, output: Any, key_id: str) -> None:
    if output is None or session.get(SshKey, key_id) is not None or session.get(User, output["user_id"]) is None:
        return
    key = SshKey(**output)
    session.add(key)
    emit(session, "key.created", subject=_key_subject(key), operation_id=op.id)


@tx_step(undo=_put_key_back)
def remove_key(op: Op, session: Session, key_id: str) -> dict[str, Any]:
    """Forget the key; returns what it was."""
    key = session.get_one(SshKey, key_id)
    kept = {name: getattr(key, name) for name in KEY_COLUMNS}
    session.delete(key)
    emit(session, "key.deleted", subject=_key_subject(key), operation_id=op.id)
    return kept


@operation("key.delete")
def delete_key(op: Op, key_id: str) -> None:
    """Forget a public SSH key."""
    op.step(remove_key, key_id)
