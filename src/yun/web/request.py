"""What a request brings with it, and the little that the web knows of the cloud behind it."""

from __future__ import annotations

import contextvars
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import unquote

from sqlalchemy.orm import Session
from starlette.requests import HTTPConnection, Request

from yun.base.clock import Clock
from yun.base.config import Settings
from yun.base.context import NOBODY, Actor, Context
from yun.base.db import Database
from yun.base.errors import Forbidden
from yun.base.messages import negotiate

SESSION_COOKIE = "yun_session"
PROJECT_COOKIE = "yun_project"
LOCALE_COOKIE = "yun_locale"
THEME_COOKIE = "yun_theme"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True)
class Credentials:
    """How somebody shows who he is, and in which project he wants to work (a name or an id, or his default).

    At most one of ``bearer`` (an API token, the root token) and ``session`` (the panel's cookie) counts: the bearer.
    """

    bearer: str | None = None
    session: str | None = None
    project: str | None = None
    address: str = ""


@dataclass(frozen=True)
class Asker:
    """Who asks: the answer to `Cloud.authenticate`.

    ``locale`` is the person's own choice, None where he made none. ``projects`` are (id, name) pairs for the panel's
    switch; they may be left out for bearers.
    """

    actor: Actor = NOBODY
    project_id: str | None = None
    project_name: str = ""
    locale: str | None = None
    theme: str = "auto"
    projects: tuple[tuple[str, str], ...] = ()
    session_id: str | None = None


@dataclass(frozen=True)
class Kept:
    """An answer kept for the repetition of its request: digest of the request, status, body."""

    request: str
    status: int
    body: str


class Cloud(Protocol):
    """What the root puts at ``app.state.cloud``: the only thing the web knows of the rest."""

    database: Database
    settings: Settings
    clock: Clock

    def authenticate(self, session: Session, credentials: Credentials) -> Asker:
        """Who holds these credentials; `NOBODY` where there are none.

        ``session`` is the request's own transaction (reading for GET). Raises `Unauthenticated` for a credential that
        no longer holds and `NotFound` for a project that does not exist for him.
        """
        ...

    def refused(self, ctx: Context, error: Forbidden) -> None:
        """Note for the audit that somebody was refused; called when the request's own transaction has ended."""
        ...

    def recall(self, session: Session, actor_id: str, key: str) -> Kept | None:
        """The answer kept under an actor's ``Idempotency-Key``, if there is one."""
        ...

    def remember(self, session: Session, actor_id: str, key: str, kept: Kept) -> None:
        """Keep an answer, in the transaction of the change it tells."""
        ...

    def newest_event(self, session: Session) -> int:
        """The number of the newest event that ``session`` sees, 0 where there is none."""
        ...

    def events(
        self, asker: Asker, after: int | None, credentials: Credentials
    ) -> AsyncIterator[tuple[int, str, dict[str, Any]]]:
        """Every event he may see after number ``after`` (None: from now on) as (number, kind, JSON).

        Ends when his ``credentials`` no longer hold, or what they are good for has changed.
        """
        ...


def credentials(connection: HTTPConnection) -> Credentials:
    """The credentials that a request or WebSocket carries."""
    scheme, _space, token = connection.headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    project = connection.headers.get("x-yun-project")
    if not project and not bearer:
        project = connection.cookies.get(PROJECT_COOKIE)
    return Credentials(
        bearer=bearer or None,
        session=None if bearer else connection.cookies.get(SESSION_COOKIE),
        project=unquote(project) if project else None,
        address=connection.client.host if connection.client else "",
    )


def language(connection: HTTPConnection, chosen: str | None = None) -> str:
    """The language of the answer: with a bearer the header leads, in the panel the person's last choice."""
    header = connection.headers.get("accept-language")
    if connection.headers.get("authorization") and header and header.strip() != "*":
        return negotiate(header)
    return negotiate(header, connection.cookies.get(LOCALE_COOKIE) or chosen)


def cloud_of(connection: HTTPConnection) -> Cloud:
    """The cloud of the application that serves this request."""
    cloud: Cloud = connection.app.state.cloud
    return cloud


_CURRENT: contextvars.ContextVar[Request] = contextvars.ContextVar("yun_request")


def current() -> Request:
    """The request being answered in this task or worker thread. ``LookupError`` outside of one."""
    return _CURRENT.get()


def enter(request: Request) -> contextvars.Token[Request]:
    """Make ``request`` the current one; give the token to `leave`."""
    return _CURRENT.set(request)


def leave(token: contextvars.Token[Request]) -> None:
    """Undo `enter`."""
    _CURRENT.reset(token)


def in_background(connection: HTTPConnection) -> bool:
    """Whether a page of the panel asks for itself (its live stream, a fragment, a picture), and nobody pressed or
    followed anything."""
    headers = connection.headers
    if connection.scope["type"] != "http" or connection.scope["method"] not in SAFE_METHODS:
        return False
    if headers.get("authorization") or headers.get("hx-boosted") == "true":
        return False
    mode = headers.get("sec-fetch-mode")
    return headers.get("hx-request") == "true" or (mode is not None and mode != "navigate")


def is_htmx(request: Request) -> bool:
    """Whether a fragment is wanted: an htmx request that is neither boosted nor a restored history entry."""
    headers = request.headers
    return (
        headers.get("hx-request") == "true"
        and headers.get("hx-boosted") != "true"
        and headers.get("hx-history-restore-request") != "true"
    )
