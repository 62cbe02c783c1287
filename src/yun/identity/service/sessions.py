"""One's own log-ins: which there are, ending them, and what a session remembers."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from yun.base.context import Context, not_found
from yun.identity.model import User, WebSession
from yun.identity.service.audit import Entry, record
from yun.identity.service.users import end_sessions, find_user, me, one_of, refuse_token, subject_of
from yun.operations.intent import Subject


def list_sessions(ctx: Context, user: str | None = None) -> list[WebSession]:
    """One's own sessions, last used first; an administrator may ask for another user's."""
    ctx.may("session.list")
    if user is not None:
        ctx.may("user.show")
    owner = find_user(ctx.session, user) if user is not None else me(ctx)
    query = sa.select(WebSession).where(WebSession.user_id == owner.id, WebSession.expires_at > ctx.clock.now())
    return list(ctx.session.scalars(query.order_by(WebSession.seen_at.desc())))


def logout_session(ctx: Context, identifier: str) -> User:
    """End one session of one's own, or of anybody for an administrator; whose it was. Raises `NotFound`."""
    ctx.may("session.logout")
    refuse_token(ctx)
    found = ctx.session.get(WebSession, identifier)
    if found is None or not (found.user_id == ctx.actor.id or ctx.actor.is_admin):
        raise not_found("session", identifier[:70])
    ctx.session.delete(found)
    _record(ctx, "session.logout", Subject("session", found.id))
    return ctx.session.get_one(User, found.user_id)


def logout_everywhere(ctx: Context, user: str | None = None) -> tuple[User, int]:
    """End all sessions of one's own, or of another user for an administrator; whose, and how many there were."""
    ctx.may("session.logout")
    refuse_token(ctx)
    if user is not None:
        ctx.may("user.logout")
    owner = find_user(ctx.session, user) if user is not None else me(ctx)
    count = end_sessions(ctx.session, owner.id)
    _record(ctx, "session.logout_everywhere", subject_of(owner), count=count)
    return owner, count


def _record(ctx: Context, action: str, subject: Subject, **data: Any) -> None:
    record(ctx.session, ctx.clock.now(), Entry(action, ctx.actor, ctx.address, subject, data=data))


def prefer(ctx: Context, *, locale: str | None = None, theme: str | None = None) -> None:
    """Remember one's language and theme: switches of the panel, not changes of the cloud, so outside the journal.

    An empty language leaves it to the browser. Raises `Invalid` for an unknown language or theme.
    """
    ctx.may("profile.update")
    refuse_token(ctx)
    values: dict[str, Any] = {}
    if locale is not None:
        values["locale"] = one_of(locale, "locale", ("en", "zh", "")) or None
    if theme is not None:
        values["theme"] = one_of(theme, "theme", ("auto", "light", "dark"))
    if values:
        ctx.session.execute(sa.update(User).where(User.id == me(ctx).id).values(**values))
