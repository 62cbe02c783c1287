"""The web process: mounts each room's API and pages, says who asks, hands the stream on, maps errors to HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI
from sqlalchemy.orm import Session
from starlette.staticfiles import StaticFiles

from yun import __version__
from yun.base.clock import Clock, SystemClock
from yun.base.config import Settings
from yun.base.context import Actor, Context
from yun.base.db import Database
from yun.base.errors import Forbidden, NotFound, Unauthenticated
from yun.base.messages import PACKAGE
from yun.drivers.bundle import Drivers
from yun.identity import service as identity
from yun.operations.engine import Engine
from yun.operations.model import Reply
from yun.operations.service import last_event
from yun.operations.stream import follow
from yun.rooms import furniture
from yun.web import api as web_api
from yun.web import pages as web_pages
from yun.web.request import Asker, Credentials, Kept
from yun.web.security import Guard
from yun.worker import Cloud

STATIC = PACKAGE / "web" / "static"


class WebCloud:
    """The cloud as the web sees it. ``drivers`` serve console streams alone, ``engine`` the health page."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.clock: Clock = SystemClock()

    @property
    def database(self) -> Database:
        """Where rows are read and intents written."""
        return self.cloud.database

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.cloud.settings

    @property
    def drivers(self) -> Drivers:
        """For console streams."""
        return self.cloud.drivers

    @property
    def engine(self) -> Engine:
        """The engine of this process."""
        return self.cloud.engine

    def authenticate(self, session: Session, credentials: Credentials) -> Asker:
        """Who holds these credentials."""
        return identity.authenticate(session, credentials, self.settings)

    def refused(self, ctx: Context, error: Forbidden) -> None:
        """Note a refusal for the audit."""
        identity.Gate(self.database, self.settings, self.clock).refused(ctx, error)

    def recall(self, session: Session, actor_id: str, key: str) -> Kept | None:
        """The answer kept under an actor's key."""
        found = session.get(Reply, (actor_id, key))
        return Kept(found.request, found.status, found.body) if found else None

    def remember(self, session: Session, actor_id: str, key: str, kept: Kept) -> None:
        """Keep an answer."""
        session.add(Reply(actor_id=actor_id, key=key, request=kept.request, status=kept.status, body=kept.body))

    def newest_event(self, session: Session) -> int:
        """The number that a page's stream goes on after."""
        return last_event(session)

    def events(
        self, asker: Asker, after: int | None, credentials: Credentials
    ) -> AsyncIterator[tuple[int, str, dict[str, Any]]]:
        """The live stream for somebody, as long as his credentials hold."""
        return follow(self.database, asker.actor, after, lambda session: self._still(session, credentials))

    def _still(self, session: Session, credentials: Credentials) -> Actor | None:
        try:
            actor = self.authenticate(session, credentials).actor
        except (Unauthenticated, NotFound):
            return None
        return None if actor.kind == "nobody" else actor


def create_app(cloud: Cloud) -> FastAPI:
    """The whole web application over a cloud."""
    app = FastAPI(
        title="Yun",
        version=__version__,
        description="A private cloud in one process.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.cloud = WebCloud(cloud)
    for room in furniture("api"):
        app.include_router(room.router, prefix="/api/v1")
        for extra in getattr(room, "routers", ()):
            app.include_router(extra)
    for room in furniture("pages"):
        app.include_router(room.router, include_in_schema=False)
    web_api.install(app)
    web_pages.install(app)
    STATIC.mkdir(exist_ok=True)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_middleware(Guard, public_url=cloud.settings.public_url)
    return app
