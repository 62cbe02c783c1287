"""Users and their roles in the whole cloud: create, look, change, disable, passwords."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.context import Context, not_found
from yun.base.errors import Conflict, Forbidden, Invalid, Unauthenticated
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.base.paging import Page, paginate
from yun.identity import names, secret
from yun.identity.model import Grant, Project, User, WebSession
from yun.identity.service import people_search
from yun.operations.intent import Intent, Subject, unchanged

ADMINS = Subject("cloud-admins", "cloud")
KEPT_PASSWORD = _("The old password is not kept, so this cannot be undone. Set another one instead.")


@dataclass(frozen=True)
class NewUser:
    """What a new user is made of. Without ``password`` nobody can log in as him until one is set.

    ``admin`` lets him administer the whole cloud; ``project`` and ``role`` give a first role in one project.
    """

    name: str
    password: str | None = None
    display_name: str = ""
    email: str = ""
    admin: bool = False
    project: str | None = None
    role: str = "member"


def subject_of(user: User) -> Subject:
    """The user as the subject of an operation."""
    return Subject("user", user.id, user.name)


def find_user(session: Session, reference: str) -> User:
    """A user by id or name. Raises `NotFound`. Asks no permission: callers do."""
    found = session.get(User, reference) if reference.startswith("usr_") else None
    found = found or session.scalar(sa.select(User).where(User.name == reference.strip().lower()))
    if found is None:
        raise not_found("user", reference[:70])
    return found


def me(ctx: Context) -> User:
    """The user on whose behalf the actor acts; the machine's root acts for the oldest administrator.

    Raises `Unauthenticated` where the actor is no person's.
    """
    if ctx.actor.kind in ("user", "token") and (found := ctx.session.get(User, ctx.actor.id)) is not None:
        return found
    if ctx.actor.kind == "root" and (admins := cloud_admins(ctx.session)):
        return admins[0]
    raise Unauthenticated(_("Please log in."))


def cloud_admins(session: Session) -> list[User]:
    """The active users who administer the whole cloud, oldest first."""
    query = sa.select(User).join(Grant, Grant.user_id == User.id)
    query = query.where(Grant.project_id.is_(None), Grant.role == "admin", User.state == "active")
    return list(session.scalars(query.order_by(User.created_at, User.id)))


def refuse_last_admin(session: Session, user: User) -> None:
    """Raise `Conflict` where the cloud would have no administrator without this one."""
    if [u.id for u in cloud_admins(session)] == [user.id]:
        raise Conflict(
            _("{name} is the last administrator of the cloud.", name=user.name),
            hint=_("Make somebody else an administrator first."),
        )


def roles_of(session: Session, user_id: str) -> dict[str, str]:
    """The user's roles by project id; ``*`` stands for the whole cloud. Deleted projects give none."""
    query = sa.select(Grant.project_id, Grant.role).outerjoin(Project, Project.id == Grant.project_id)
    query = query.where(Grant.user_id == user_id, Project.deleted_at.is_(None))
    return {project or "*": role for project, role in session.execute(query)}


def get_user(ctx: Context, reference: str) -> User:
    """A user by id or name. Raises `NotFound`."""
    ctx.may("user.show")
    return find_user(ctx.session, reference)


def list_users(
    ctx: Context, *, q: str = "", sort: str = "name", cursor: str | None = None, limit: int = 100
) -> Page[User]:
    """Users; ``q`` is in the query language (`people_search.USERS`, and free text). Raises `Invalid` for a query that
    means nothing."""
    ctx.may("user.list")
    query = sa.select(User).where(*people_search.of_users(ctx.session, q))
    sorts = {"name": User.name, "created_at": User.created_at, "state": User.state}
    return paginate(ctx.session, query, sorts=sorts, key=User.id, sort=sort, cursor=cursor, limit=limit)


def _refuse_taken(session: Session, name: str) -> None:
    if session.scalar(sa.select(User.id).where(User.name == name)):
        taken = _("There is already a user named {name}.", name=name)
        raise Conflict(taken, fields={"name": _("another name")})


def create_user(ctx: Context, new: NewUser) -> Intent:
    """Make a user. Raises `Invalid` for a bad name, address or password, `Conflict` for a name that is taken.

    Raises `Forbidden` where an API token would make an administrator or somebody who can log in.
    """
    ctx.may("user.create")
    if new.password is not None or new.admin:
        refuse_lasting(ctx)
    name = names.login_name(new.name)
    display, mail = names.plain(new.display_name, "display_name", most=100, empty=True), names.email(new.email)
    if new.password is not None:
        names.password(new.password, name)
    _refuse_taken(ctx.session, name)
    grants: list[tuple[str | None, str]] = [(None, "admin")] if new.admin else []
    effects = [_("{name} can administer the whole cloud.", name=name)] if new.admin else []
    if new.project:
        project = _project(ctx.session, new.project)
        grants.append((project.id, names.role(new.role)))
        role = _(new.role)
        effects.append(_("{name} gets the role {role} in {project}.", name=name, role=role, project=project.name))
    if new.password is None:
        effects.append(_("Nobody can log in as {name} until a password is set.", name=name))
    identifier = new_id("usr")

    def write(session: Session) -> None:
        _refuse_taken(session, name)
        hashed = secret.hash_password(new.password) if new.password is not None else None
        session.add(User(id=identifier, name=name, display_name=display, email=mail, password_hash=hashed))
        session.flush()
        session.add_all(Grant(user_id=identifier, project_id=p, role=r) for p, r in grants)

    return Intent(
        kind="user.create", title=_("Create user {name}", name=name), subject=Subject("user", identifier, name),
        arguments={"user_id": identifier}, effects=tuple(effects), write=write, instant=True,
    )  # fmt: skip


def _project(session: Session, reference: str) -> Project:
    from yun.identity.service.projects import find_project

    return find_project(session, reference)


def _profile_values(values: dict[str, Any]) -> dict[str, Any]:
    clean: dict[str, Any] = {}
    for field, value in values.items():
        if value is None:
            continue
        if field == "display_name":
            clean[field] = names.plain(value, field, most=100, empty=True)
        elif field == "email":
            clean[field] = names.email(value)
        elif field == "locale":
            clean[field] = one_of(value, field, ("en", "zh", ""))or None
        elif field == "theme":
            clean[field] = one_of(value, field, ("auto", "light", "dark"))
        else:
            raise Invalid(_("{field} cannot be changed.", field=field), fields={field: _("leave it out")})
    return clean


def one_of(value: str, field: str, choices: tuple[str, ...]) -> str:
    """The value, where it is one of the choices. Raises `Invalid`."""
    if value not in choices:
        right = _("one of {names}", names=", ".join(c for c in choices if c))
        raise Invalid(_("{value} is not possible here.", value=value[:40]), fields={field: right})
    return value


def update_user(ctx: Context, reference: str, **values: Any) -> Intent:
    """Change ``display_name``, ``email``, ``locale`` or ``theme``; None leaves a value as it is. Its submission raises
    `Conflict` where somebody else has changed the user meanwhile."""
    ctx.may("user.update")
    user = find_user(ctx.session, reference)
    return Intent(
        kind="user.update", title=_("Change user {name}", name=user.name), subject=subject_of(user),
        arguments={"user_id": user.id, "values": _profile_values(values)}, still=unchanged(user), instant=True,
    )  # fmt: skip


def update_profile(ctx: Context, **values: Any) -> Intent:
    """Change one's own display name, address, language or theme."""
    ctx.may("profile.update")
    user = me(ctx)
    refuse_token(ctx)
    return Intent(
        kind="profile.update", title=_("Change the profile of {name}", name=user.name), subject=subject_of(user),
        arguments={"user_id": user.id, "values": _profile_values(values)}, still=unchanged(user), instant=True,
    )  # fmt: skip


def disable_user(ctx: Context, reference: str) -> Intent:
    """Keep a user out: his sessions end, his tokens no longer hold; what he made stays.

    Raises `Conflict` for the last administrator and for a user who is disabled already.
    """
    ctx.may("user.disable")
    user = find_user(ctx.session, reference)
    if user.state == "disabled":
        raise Conflict(_("{name} is disabled already.", name=user.name))
    refuse_last_admin(ctx.session, user)
    effects = (_("The sessions of {name} end, and the API tokens of this user no longer hold.", name=user.name),)
    return _state(user, "user.disable", _("Disable user {name}", name=user.name), "disabled", effects)


def enable_user(ctx: Context, reference: str) -> Intent:
    """Let a disabled user in again. Raises `Conflict` where he is not disabled."""
    ctx.may("user.enable")
    user = find_user(ctx.session, reference)
    if user.id == ctx.actor.id or "*" in roles_of(ctx.session, user.id):
        refuse_lasting(ctx)
    if user.state == "active":
        raise Conflict(_("{name} is not disabled.", name=user.name))
    effects = (_("{name} can log in again, and the API tokens of this user hold again.", name=user.name),)
    return _state(user, "user.enable", _("Enable user {name}", name=user.name), "active", effects)


def _state(user: User, kind: str, title: Message, state: str, effects: tuple[Message, ...]) -> Intent:
    return Intent(
        kind=kind, title=title, subject=subject_of(user), subjects=(ADMINS,), effects=effects,
        arguments={"user_id": user.id, "state": state}, instant=True,
    )  # fmt: skip


# ── roles in the whole cloud ──


def grant_in_cloud(ctx: Context, reference: str, role: str) -> Intent:
    """Give a user a role in every project there is and will be; ``admin`` also administers the cloud itself."""
    ctx.may("user.grant")
    user, role = find_user(ctx.session, reference), names.role(role)
    refuse_lasting(ctx)
    if role != "admin":
        refuse_last_admin(ctx.session, user)
    return Intent(
        kind="user.grant", title=_("Make {name} {role} of the whole cloud", name=user.name, role=_(role)),
        subject=subject_of(user), subjects=(ADMINS,), instant=True,
        arguments={"user_id": user.id, "role": role},
        effects=(_("The role holds in every project, also in those made later."),),
    )  # fmt: skip


def revoke_in_cloud(ctx: Context, reference: str) -> Intent:
    """Take a user's role in the whole cloud away. Raises `Conflict` for the last administrator."""
    ctx.may("user.revoke")
    user = find_user(ctx.session, reference)
    if "*" not in roles_of(ctx.session, user.id):
        raise Conflict(_("{name} has no role in the whole cloud.", name=user.name))
    refuse_last_admin(ctx.session, user)
    return Intent(
        kind="user.revoke", title=_("Take the cloud-wide role of {name} away", name=user.name),
        subject=subject_of(user), subjects=(ADMINS,), arguments={"user_id": user.id}, instant=True,
    )  # fmt: skip


# ── passwords ──


def set_password(ctx: Context, reference: str, password: str) -> Intent:
    """Set a user's password as an administrator; all his sessions end. Raises `Forbidden` for API tokens."""
    ctx.may("user.set_password")
    refuse_lasting(ctx)
    user = find_user(ctx.session, reference)
    return _password_intent(ctx, user, "user.set_password", password, keep_session=None)


def set_own_password(ctx: Context, *, old: str, new: str, keep_session: str | None = None) -> Intent:
    """Change one's own password, proving the old one; all other sessions end.

    Raises `Forbidden` for a wrong old password, and for API tokens. After five wrong ones there is a growing wait.
    """
    ctx.may("profile.set_password")
    refuse_token(ctx)
    user = me(ctx)
    if ctx.actor.kind != "root":
        CONFIRMATIONS.check(user.id)
        if not secret.verify_password(user.password_hash, old):
            CONFIRMATIONS.failed(user.id)
            wrong = _("The old password is not right.")
            raise Forbidden(wrong, fields={"old_password": _("the password you log in with now")})
        CONFIRMATIONS.passed(user.id)
    return _password_intent(ctx, user, "profile.set_password", new, keep_session=keep_session)


def _password_intent(ctx: Context, user: User, kind: str, password: str, *, keep_session: str | None) -> Intent:
    names.password(password, user.name)
    now = ctx.clock.now()
    return Intent(
        kind=kind, title=_("Set the password of {name}", name=user.name), subject=subject_of(user),
        arguments={"user_id": user.id}, instant=True, undoable=False, no_undo=KEPT_PASSWORD,
        effects=(_("All other sessions of {name} end.", name=user.name),),
        write=_password_writer(user.id, password, keep_session, now),
    )  # fmt: skip


def _password_writer(user_id: str, password: str, keep: str | None, now: datetime) -> Callable[[Session], None]:
    def write(session: Session) -> None:
        user = session.get_one(User, user_id)
        user.password_hash, user.password_changed_at = secret.hash_password(password), now
        end_sessions(session, user_id, keep=keep)

    return write


def end_sessions(session: Session, user_id: str, *, keep: str | None = None) -> int:
    """End the user's sessions but ``keep``; how many there were."""
    query = sa.delete(WebSession).where(WebSession.user_id == user_id, WebSession.id != (keep or ""))
    return int(session.execute(query).rowcount)  # type: ignore[attr-defined]


def refuse_token(ctx: Context) -> None:
    """Raise `Forbidden` for API tokens: whoever finds one must not be able to make himself at home with it."""
    if ctx.actor.token_id is not None:
        raise Forbidden(
            _("An API token cannot change its owner's password, profile, sessions or tokens."),
            hint=_("Log in with the password instead."),
        )


def refuse_lasting(ctx: Context) -> None:
    """Raise `Forbidden` for API tokens: what one gives to people outlives it, also where it had been stolen."""
    if ctx.actor.token_id is not None:
        raise Forbidden(
            _("An API token cannot set passwords, nor give anybody power over the whole cloud."),
            hint=_("Log in with the password instead."),
        )


class Confirmations:
    """Wrong old passwords per user, in memory: a stolen session must not become a way to guess the password."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: dict[str, tuple[int, float]] = {}

    def check(self, user_id: str) -> None:
        """Raise `Forbidden` while the user has to wait."""
        with self._lock:
            count, last = self._failures.get(user_id, (0, 0.0))
        wait = last + min(2.0 ** (count - 4), 900.0) - time.monotonic() if count >= 5 else 0.0
        if wait > 0:
            raise Forbidden(_("Too many wrong passwords. Wait {seconds} s.", seconds=int(wait) + 1))

    def failed(self, user_id: str) -> None:
        """Count a wrong one."""
        with self._lock:
            count, _last = self._failures.get(user_id, (0, 0.0))
            self._failures[user_id] = (count + 1, time.monotonic())

    def passed(self, user_id: str) -> None:
        """Forget the wrong ones."""
        with self._lock:
            self._failures.pop(user_id, None)


CONFIRMATIONS = Confirmations()
