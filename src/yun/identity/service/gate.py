"""The door: logging in and out, and noting whom it refused.

It opens its own short transactions: a password is looked at outside of any, and a refusal is kept although the
request that caused it is rolled back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.clock import Clock, SystemClock
from yun.base.config import Settings
from yun.base.context import Actor, Context
from yun.base.db import Database
from yun.base.errors import Forbidden, Unauthenticated
from yun.base.messages import _
from yun.identity import secret
from yun.identity.model import AuditEntry, LoginAttempt, User, WebSession
from yun.identity.service import throttle
from yun.identity.service.audit import Entry, record
from yun.identity.service.users import subject_of
from yun.operations.intent import Subject
from yun.web.request import Credentials


@dataclass(frozen=True)
class Opened:
    """A fresh log-in: the secret for the cookie or the bearer header, and until when it holds at the longest."""

    secret: str
    session_id: str
    user_id: str
    expires_at: datetime


@dataclass(frozen=True)
class _Arrival:
    user_id: str
    fresh_hash: str | None
    user_agent: str


class Gate:
    """Logging in and out over a database, in transactions of its own."""

    def __init__(self, database: Database, settings: Settings, clock: Clock | None = None) -> None:
        self.database = database
        self.settings = settings
        self.clock = clock or SystemClock()

    # ── logging in and out ──

    def login(self, credentials: Credentials, name: str, password: str, user_agent: str = "") -> Opened:
        """Open a session. A session that the request carried ends: nobody can plant one beforehand.

        Raises `Unauthenticated`, in the same words and after the same time, for an unknown name, a wrong password
        and a disabled user; and while the account or the address has to wait (``details.retry_after``, seconds).
        """
        account, address = name.strip().lower()[:64], throttle.network_of(credentials.address)
        attempt_id, user = self._begin(account, address)
        good = secret.verify_password(user.password_hash if user else None, password)
        if user is None or not good or user.state != "active":
            self._failed(account, credentials.address, user, user_agent)
        fresh = secret.hash_password(password) if secret.outdated(user.password_hash or "") else None
        with self.database.write() as session:
            return self._open(session, attempt_id, _Arrival(user.id, fresh, user_agent), credentials)

    def _begin(self, account: str, address: str) -> tuple[int, User | None]:
        with self.database.write() as session:
            throttle.one_by_one(session)
            now = self.clock.now()
            left = throttle.wait(session, now=now, account=account, address=address)
            if left > 0:
                seconds = int(left) + 1
                raise Unauthenticated(
                    _("Too many failed log-ins. Wait {seconds} s and try again.", seconds=seconds),
                    details={"retry_after": seconds},
                )
            attempt = throttle.charge(session, now=now, account=account, address=address)
            return attempt.id, session.scalar(sa.select(User).where(User.name == account))

    def _failed(self, account: str, address: str, user: User | None, user_agent: str) -> NoReturn:
        subject = subject_of(user) if user else Subject("user", "", account)
        entry = Entry(
            "session.login_failed", Actor("nobody", "", account), address, subject, "failed",
            data={"user_agent": user_agent[:300]},
        )  # fmt: skip
        with self.database.write() as session:
            record(session, self.clock.now(), entry)
        raise Unauthenticated(
            _("Name or password is wrong."), hint=_("Check both; an administrator can set a new password.")
        )

    def _open(self, session: Session, attempt_id: int, arrival: _Arrival, credentials: Credentials) -> Opened:
        now = self.clock.now()
        user = session.get_one(User, arrival.user_id)
        if arrival.fresh_hash is not None:
            user.password_hash = arrival.fresh_hash
        session.execute(sa.update(LoginAttempt).where(LoginAttempt.id == attempt_id).values(succeeded=True))
        self._tidy(session, now)
        if credentials.session:
            carried = WebSession.secret_hash == secret.digest(credentials.session)
            session.execute(sa.delete(WebSession).where(carried))
        plain, expires = secret.new_secret(secret.SESSION), now + timedelta(days=self.settings.session_days)
        made = WebSession(
            user_id=user.id, secret_hash=secret.digest(plain), expires_at=expires, seen_at=now,
            address=credentials.address[:64], user_agent=arrival.user_agent[:300],
        )  # fmt: skip
        session.add(made)
        session.flush()
        actor, data = Actor("user", user.id, user.name), {"session": made.id, "user_agent": made.user_agent}
        record(session, now, Entry("session.login", actor, credentials.address, subject_of(user), data=data))
        return Opened(plain, made.id, user.id, expires)

    def _tidy(self, session: Session, now: datetime) -> None:
        throttle.forget(session, now)
        session.execute(sa.delete(WebSession).where(WebSession.expires_at < now))
        old = now - timedelta(days=self.settings.history_days)
        session.execute(sa.delete(AuditEntry).where(AuditEntry.at < old))

    def logout(self, credentials: Credentials) -> None:
        """End the session that the request carries; nothing happens where there is none."""
        key = credentials.bearer or credentials.session or ""
        with self.database.write() as session:
            found = session.scalar(sa.select(WebSession).where(WebSession.secret_hash == secret.digest(key)))
            if found is None:
                return
            user = session.get_one(User, found.user_id)
            session.delete(found)
            actor = Actor("user", user.id, user.name)
            entry = Entry("session.logout", actor, credentials.address, Subject("session", found.id))
            record(session, self.clock.now(), entry)

    # ── noting refusals ──

    def refused(self, ctx: Context, error: Forbidden, what: str = "") -> None:
        """Note that somebody was refused a permission. Call it after the request's own transaction has ended."""
        subject = Subject("permission", error.private or what, error.private or what)
        entry = Entry("permission.refused", ctx.actor, ctx.address, subject, "refused", ctx.project_id)
        with self.database.write() as session:
            record(session, self.clock.now(), entry)
