"""A small cloud for the web's own tests: one table, a few people, no rooms."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from starlette.testclient import TestClient

from yun.base.clock import SystemClock
from yun.base.config import Settings
from yun.base.context import NOBODY, Actor, Context
from yun.base.db import Database
from yun.base.errors import Forbidden, Unauthenticated
from yun.base.messages import _
from yun.web import api, pages
from yun.web.request import Asker, Credentials, Kept
from yun.web.security import Guard


class Tables(DeclarativeBase):
    """Tables of these tests alone."""


class Note(Tables):
    """A row to write."""

    __tablename__ = "web_note"

    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    text: Mapped[str] = mapped_column(sa.String(400))
    revision: Mapped[int] = mapped_column(default=1)


PEOPLE = {
    "alice": Actor("user", "usr_1", "alice", {"prj_1": "member"}),
    "root": Actor("root", "root", "root", {"*": "admin"}),
    "newcomer": Actor("user", "usr_2", "newcomer"),
}


@dataclass
class SmallCloud:
    """What the web asks of a cloud."""

    database: Database
    settings: Settings
    clock: SystemClock = field(default_factory=SystemClock)
    refusals: list[str] = field(default_factory=list)
    news: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    kept: dict[tuple[str, str], Kept] = field(default_factory=dict)

    def authenticate(self, session: Session, credentials: Credentials) -> Asker:
        session.execute(sa.text("SELECT 1"))
        name = credentials.bearer or credentials.session
        if name is None:
            return Asker(NOBODY)
        if name not in PEOPLE:
            raise Unauthenticated(_("Please log in."))
        locale = "zh" if credentials.session and credentials.project == "chinese" else None
        return Asker(PEOPLE[name], credentials.project or "prj_1", locale=locale)

    def refused(self, ctx: Context, error: Forbidden) -> None:
        self.refusals.append(f"{ctx.actor.name}: {error.private}")

    def recall(self, session: Session, actor_id: str, key: str) -> Kept | None:
        return self.kept.get((actor_id, key))

    def remember(self, session: Session, actor_id: str, key: str, kept: Kept) -> None:
        self.kept[actor_id, key] = kept

    def newest_event(self, session: Session) -> int:
        return max((number for number, _kind, _data in self.news), default=0)

    async def events(
        self, asker: Asker, after: int | None, credentials: Credentials
    ) -> AsyncIterator[tuple[int, str, dict[str, Any]]]:
        for number, kind, data in self.news:
            if number > (after or 0):
                yield number, kind, data


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallCloud]:
    """The cloud."""
    database = Database(f"sqlite:///{tmp_path / 'web.db'}")
    Tables.metadata.create_all(database.engine)
    yield SmallCloud(database, Settings(state_dir=tmp_path))
    database.close()


@pytest.fixture
def app(small: SmallCloud) -> FastAPI:
    """An application with nothing but the web's own routes; tests add theirs with `include_router`."""
    made = FastAPI()
    made.state.cloud = small
    api.install(made)
    pages.install(made)
    made.add_middleware(Guard)
    return made


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    """A caller with alice's token."""
    with TestClient(app, headers={"Authorization": "Bearer alice"}, raise_server_exceptions=False) as made:
        yield made


def notes(small: SmallCloud) -> list[str]:
    """What lies in the table now."""
    with small.database.read() as session:
        return list(session.scalars(sa.select(Note.text).order_by(Note.id)))
