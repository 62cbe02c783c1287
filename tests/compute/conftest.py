"""A whole cloud in memory for the tests of instances: images, networks, flavors, and a context to ask with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from yun.base.config import Settings
from yun.base.context import Actor, Context
from yun.base.db import Database
from yun.compute import service
from yun.compute.model import Instance
from yun.drivers.hypervisor.fake import FakeDomain, FakeWorld
from yun.first import prepare
from yun.identity.service import default_project
from yun.operations.intent import Intent
from yun.operations.model import Event, Operation
from yun.operations.service import submit, undo
from yun.seed import fill_images
from yun.worker import Cloud, build, fake_drivers

ROOT = Actor("root", "root", "root", {"*": "admin"})


@dataclass
class Lab:
    """The cloud, and the few words that tests use to speak to it. ``drain`` runs the engine until nothing is left."""

    cloud: Cloud
    project_id: str

    @property
    def database(self) -> Database:
        """Its database."""
        return self.cloud.database

    @property
    def world(self) -> FakeWorld:
        """The machine room in memory."""
        with self.database.read() as session:
            from yun.hosts.model import Host

            host_id = session.scalars(sa.select(Host.id)).one()
        return self.cloud.drivers.on(host_id).hypervisor.world  # type: ignore[attr-defined]

    @contextmanager
    def asking(self, actor: Actor = ROOT, *, project_id: str | None = "", locale: str = "en") -> Iterator[Context]:
        """A context in a writing transaction."""
        project = self.project_id if project_id == "" else project_id
        with self.database.write() as session:
            yield Context(actor, session, self.cloud.settings, project_id=project, locale=locale)

    def do(self, verb: Callable[..., Intent], reference: str | None = None, *args: Any, **values: Any) -> str:
        """Submit what the verb intends for an instance and drain; the operation's id."""
        with self.asking() as ctx:
            first = [service.get(ctx, reference)] if reference else []
            identifier = submit(ctx, verb(ctx, *first, *args, **values)).id
        self.drain()
        return identifier

    def create(self, name: str = "web", **values: Any) -> str:
        """Create an instance; the operation's id."""
        wish = service.Wish(name=name, **{"image": "tiny", "flavor": "tiny", **values})
        return self.do(service.create, None, wish)

    def undo(self, operation_id: str) -> str:
        """Undo an operation and drain; the undoing operation's id."""
        with self.asking() as ctx:
            identifier = submit(ctx, undo(ctx, operation_id)).id
        self.drain()
        return identifier

    def drain(self) -> None:
        """Run until nothing is runnable; nudges delivered first."""
        self.world.flush()
        self.cloud.engine.drain()

    def row(self, reference: str = "web") -> Instance:
        """An instance as it is in the database now."""
        with self.database.read() as session:
            query = sa.select(Instance).where(sa.or_(Instance.name == reference, Instance.id == reference))
            return session.scalars(query).one()

    def rows(self, table: Any) -> list[Any]:
        """All rows of a table."""
        with self.database.read() as session:
            return list(session.scalars(sa.select(table)))

    def domain(self, reference: str = "web") -> FakeDomain:
        """The instance's domain in the machine room."""
        return self.world.domains[self.row(reference).uuid]

    def operation(self, identifier: str) -> Operation:
        """An operation as it is now."""
        with self.database.read() as session:
            return session.scalars(sa.select(Operation).where(Operation.id == identifier)).one()

    def events(self, kind: str) -> list[Event]:
        """All events of a kind, oldest first."""
        with self.database.read() as session:
            return list(session.scalars(sa.select(Event).where(Event.kind == kind).order_by(Event.seq)))


both = pytest.mark.parametrize(
    "lab", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)
"""For tests whose queries or transactions might differ between the databases; the others run on SQLite alone."""


@pytest.fixture
def lab(request: pytest.FixtureRequest, tmp_path: Path, settings: Settings) -> Iterator[Lab]:
    """A cloud in memory with host, pool, networks, flavors and images, its engine driven by hand."""
    kind = getattr(request, "param", "sqlite")
    if kind in ("postgresql", "fresh"):  # a copied world cannot nudge: its threads stay behind
        url = request.getfixturevalue("postgres")() if kind == "postgresql" else ""
        cloud = build(replace(settings, database_url=url), fake_drivers())
        cloud.database.create()
        prepare(cloud)
        fill_images(cloud)
    else:
        cloud = request.getfixturevalue("first_day").copy(tmp_path).cloud
    with cloud.database.read() as session:
        project_id = default_project(session).id
    yield Lab(cloud, project_id)
    cloud.drivers.close()
    cloud.database.close()
