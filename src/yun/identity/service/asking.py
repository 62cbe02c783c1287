"""Who is asking: from a session's secret, an API token or the machine's root token to an actor and his project."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from yun.base.clock import Clock, SystemClock
from yun.base.config import Settings
from yun.base.context import NOBODY, Actor, not_found
from yun.base.errors import Unauthenticated
from yun.base.messages import _
from yun.base.permissions import RANK
from yun.identity import secret
from yun.identity.model import ApiToken, Project, User, WebSession
from yun.identity.service.first import DEFAULT
from yun.identity.service.users import roles_of
from yun.web.request import Asker, Credentials

TOUCH = timedelta(seconds=60)
SWITCH = 50
ROOT = Actor("root", "root", "root", {"*": "admin"})


def authenticate(session: Session, credentials: Credentials, settings: Settings, clock: Clock | None = None) -> Asker:
    """Who holds these credentials: a bearer token first, then the cookie; a cookie that does not hold is nobody.

    ``session`` may be a reading one. Raises `Unauthenticated` for a bearer that does not hold, and `NotFound` where a
    bearer wishes for a project in which it has no role. A cookie then falls back to a project that there is.
    """
    clock = clock or SystemClock()
    bearer = credentials.bearer or ""
    if bearer.startswith(secret.ROOT):
        if not secret.is_root_token(settings, bearer):
            raise _does_not_hold()
        return _asker(session, ROOT, credentials.project, strict=True)
    if bearer and not bearer.startswith(secret.SESSION):
        return _by_token(session, credentials, clock)
    plain = bearer or credentials.session
    found = _by_session(session, plain, settings, clock) if plain else None
    if found is None:
        if bearer:
            raise _does_not_hold()
        return Asker(NOBODY)
    kept, user = found
    _touch(session, kept, credentials.address, clock)
    actor = Actor("user", user.id, user.name, roles_of(session, user.id))
    return _asker(session, actor, credentials.project, strict=bool(bearer), user=user, session_id=kept.id)


def _by_session(session: Session, plain: str, settings: Settings, clock: Clock) -> tuple[WebSession, User] | None:
    query = sa.select(WebSession, User).join(User, User.id == WebSession.user_id)
    row = session.execute(query.where(WebSession.secret_hash == secret.digest(plain))).one_or_none()
    if row is None:
        return None
    kept, user, now = row[0], row[1], clock.now()
    idle = timedelta(hours=settings.session_idle_hours)
    holds = user.state == "active" and kept.expires_at > now and kept.seen_at + idle > now
    return (kept, user) if holds else None


def _by_token(session: Session, credentials: Credentials, clock: Clock) -> Asker:
    query = sa.select(ApiToken, User).join(User, User.id == ApiToken.user_id)
    row = session.execute(query.where(ApiToken.secret_hash == secret.digest(credentials.bearer or ""))).one_or_none()
    if row is None:
        raise _does_not_hold()
    token, user = row[0], row[1]
    expired = token.expires_at is not None and token.expires_at <= clock.now()
    if expired or token.revoked_at is not None or user.state != "active":
        raise _does_not_hold()
    _touch(session, token, credentials.address, clock)
    actor = Actor("token", user.id, user.name, _narrowed(session, token), token.id)
    wished, strict = credentials.project or token.project_id, bool(credentials.project)
    return _asker(session, actor, wished, strict=strict, user=user)


def _does_not_hold() -> Unauthenticated:
    return Unauthenticated(
        _("This token does not hold: it is unknown, expired or revoked."),
        hint=_("Create another one, or log in again."),
    )


def _narrowed(session: Session, token: ApiToken) -> dict[str, str]:
    """The owner's roles, none stronger than the token's, in its project alone where it has one."""
    roles = roles_of(session, token.user_id)
    if token.project_id is not None:
        project = session.get(Project, token.project_id)
        gone = project is None or project.deleted_at is not None
        held = [r for r in (roles.get("*"), roles.get(token.project_id)) if r and not gone]
        roles = {token.project_id: max(held, key=RANK.__getitem__)} if held else {}
    return {place: min(role, token.role, key=RANK.__getitem__) for place, role in roles.items()}


def _asker(
    session: Session, actor: Actor, wished: str | None, *, strict: bool, user: User | None = None,
    session_id: str | None = None,
) -> Asker:  # fmt: skip
    """The actor with the project he works in: the wished one, else ``default``, else the first by name, if any."""
    mine = sa.select(Project.id, Project.name).where(Project.deleted_at.is_(None))
    if "*" not in actor.roles:
        mine = mine.where(Project.id.in_(list(actor.roles)))
    chosen = None
    if wished:
        chosen = session.execute(mine.where(sa.or_(Project.id == wished, Project.name == wished))).first()
        if chosen is None and strict:
            raise not_found("project", wished[:70])
    order = (sa.case((Project.name == DEFAULT, 0), else_=1), Project.name)
    listed: sa.Select[str, str] = _FIRST if "*" in actor.roles else mine.order_by(*order).limit(SWITCH)
    first = [(row[0], row[1]) for row in session.execute(listed)]
    identifier, name = (chosen[0], chosen[1]) if chosen else (first[0] if first else (None, ""))
    return Asker(
        actor=actor, project_id=identifier, project_name=name, locale=user.locale if user else None,
        theme=user.theme if user else "auto", projects=tuple(first), session_id=session_id,
    )  # fmt: skip


_FIRST = (
    sa.select(Project.id, Project.name)
    .where(Project.deleted_at.is_(None))
    .order_by(sa.case((Project.name == DEFAULT, 0), else_=1), Project.name)
    .limit(SWITCH)
)
"""Built once: every request of whoever has a role in the whole cloud asks it."""


def _touch(session: Session, used: ApiToken | WebSession, address: str, clock: Clock) -> None:
    """Note the use, at most once a minute. A plain UPDATE: being used is no change, so the revision stays.

    A reading request notes it in a transaction of its own; a database that is busy then misses one note.
    """
    now = clock.now()
    last = used.used_at if isinstance(used, ApiToken) else used.seen_at
    if last is not None and now - last <= TOUCH:
        return
    if isinstance(used, ApiToken):
        note: sa.Update = sa.update(ApiToken).where(ApiToken.id == used.id)
        note = note.values(used_at=now, used_from=address[:64], updated_at=ApiToken.updated_at)
    else:
        note = sa.update(WebSession).where(WebSession.id == used.id)
        note = note.values(seen_at=now, address=address[:64], updated_at=WebSession.updated_at)
    bind = session.get_bind()
    if not isinstance(bind, sa.Engine) or bind.get_execution_options().get("yun_write"):
        session.execute(note.execution_options(synchronize_session=False))
        return
    try:
        with bind.execution_options(yun_write=True).begin() as connection:
            connection.execute(note)
    except OperationalError:
        return
