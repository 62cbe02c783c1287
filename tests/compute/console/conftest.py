"""A small cloud for consoles: the web on real tables, two people, one machine on a fake hypervisor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from yun.base.clock import ManualClock
from yun.base.config import Settings
from yun.base.context import NOBODY, Actor
from yun.base.db import Database
from yun.base.errors import Forbidden
from yun.base.ids import as_uuid, new_id
from yun.compute.console import api
from yun.compute.model import Instance, State
from yun.drivers.hypervisor.board import Board
from yun.drivers.hypervisor.fake import FakeHypervisor, FakeWorld
from yun.drivers.hypervisor.port import DomainSpec
from yun.hosts.model import Host
from yun.identity.model import Project
from yun.web import api as web_api
from yun.web.request import Asker, Credentials
from yun.web.security import Guard

PEOPLE = {"ann": "member", "bob": "member", "reader": "reader"}


@dataclass
class SmallCloud:
    """What the web asks of a cloud; the bearer's text is the person's name, ``stranger`` is of another project."""

    database: Database
    settings: Settings
    world: FakeWorld
    drivers: Any
    clock: ManualClock = field(default_factory=lambda: ManualClock(datetime.now(UTC)))
    project_id: str = ""
    roles: dict[str, str] = field(default_factory=lambda: dict(PEOPLE))

    def authenticate(self, _session: Any, credentials: Credentials) -> Asker:
        name = credentials.bearer
        if not name:
            return Asker(NOBODY)
        roles = {self.project_id: self.roles[name]} if name in self.roles else {}
        return Asker(Actor("user", "usr_" + name, name, roles), self.project_id if roles else None)

    def refused(self, ctx: Any, error: Forbidden) -> None:
        """Nothing is audited here."""

    def machine(self, *, running: bool = True, title: str = "web", board: Board | None = None) -> Instance:
        """An instance, and its domain in the fake world."""
        identifier = new_id("ins")
        uuid = as_uuid(identifier)
        driver = self.drivers.on("").hypervisor
        spec = DomainSpec(
            uuid=uuid, name=identifier, title=title, memory_mib=64, vcpus=1, accel="tcg",
            board=board or Board(),
        )  # fmt: skip
        driver.define(spec)
        if running:
            driver.start(uuid)
        row = Instance(
            id=identifier, uuid=uuid, project_id=self.project_id, name=f"{title}-{identifier[-4:]}",
            host_id=self.host_id, state=State.RUNNING if running else State.STOPPED, vcpus=1, memory_mib=64,
            hostname=title,
        )  # fmt: skip
        with self.database.write() as session:
            session.add(row)
        return row

    @property
    def host_id(self) -> str:
        with self.database.read() as session:
            return session.query(Host).one().id


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[SmallCloud]:
    database = Database(f"sqlite:///{tmp_path / 'yun.db'}")
    database.create()
    world = FakeWorld()
    hypervisor = FakeHypervisor(world)
    drivers = SimpleNamespace(on=lambda _host: SimpleNamespace(hypervisor=hypervisor))
    made = SmallCloud(database, Settings(state_dir=tmp_path), world, drivers)
    with database.write() as session:
        project, host = Project(name="lab"), Host(name="h1")
        session.add_all([project, host])
        session.flush()
        made.project_id = project.id
    yield made
    database.close()


@pytest.fixture
def app(cloud: SmallCloud) -> FastAPI:
    app = FastAPI()
    app.state.cloud = cloud
    app.include_router(api.router, prefix="/api/v1")
    app.include_router(api.sockets)
    web_api.install(app)
    app.add_middleware(Guard)
    return app


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://cloud.test", headers={"Authorization": "Bearer ann"}) as client:
        yield client
