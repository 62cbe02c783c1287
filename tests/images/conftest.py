"""A cloud of one host with a pool, on a store in memory or on real directories; its API; files to bring in."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from yun.base.clock import ManualClock, SystemClock
from yun.base.config import Settings
from yun.base.context import NOBODY, SYSTEM, Actor, Context
from yun.base.db import Database
from yun.drivers.bundle import Drivers, HostDrivers
from yun.drivers.volume.fake import FakeVolumeStore
from yun.hosts.model import Host
from yun.identity.model import Project
from yun.images import api
from yun.images import flows as _flows  # noqa: F401
from yun.images.model import Image
from yun.operations import api as operations_api
from yun.operations import flows as _operations  # noqa: F401
from yun.operations.engine import Engine
from yun.operations.intent import Intent
from yun.operations.model import Operation
from yun.operations.service import submit
from yun.storage import flows as _storage  # noqa: F401
from yun.storage.model import Layer, Pool
from yun.web import api as web_api
from yun.web.request import Asker, Credentials

Asking = Callable[..., AbstractContextManager[Context]]
MIB = 1024**2
GIB = 1024**3
HOME, OTHER = "prj_home", "prj_other"
MEMBER = Actor("user", "usr_li", "li", {HOME: "member"})
READER = Actor("user", "usr_re", "re", {HOME: "reader"})
STRANGER = Actor("user", "usr_wu", "wu", {OTHER: "member"})
ROOT = Actor("root", "root", "root", {"*": "admin"})


def disk(size: int = MIB, text: bytes = b"") -> bytes:
    """A raw disk with a partition table's signature."""
    return (b"\xeb\x63\x90" + text).ljust(510, b"\0") + b"\x55\xaa" + bytes(size - 512)


def qcow2(virtual: int = 8 * MIB, backing: bytes = b"", incompatible: int = 0, l1_size: int = 1) -> bytes:
    """The head of a qcow2 (version 3) that says what it is told to say, 192 KiB long."""
    name_at = 512 if backing else 0
    head = b"QFI\xfb" + struct.pack(
        ">IQIIQIIQQIIQQQQII", 3, name_at, len(backing), 16, virtual, 0, l1_size, 3 * 65536, 65536, 1, 0, 0,
        incompatible, 0, 0, 4, 104,
    )  # fmt: skip
    out = bytearray(4 * 65536)
    out[: len(head)] = head
    out[512 : 512 + len(backing)] = backing
    return bytes(out)


@dataclass
class ImageCloud:
    """The parts of a small cloud that tests of images need."""

    database: Database
    settings: Settings
    store: Any
    engine: Engine
    pool_path: Path
    pool_id: str
    clock: Any

    @contextmanager
    def asking(self, actor: Actor = MEMBER, project: str | None = HOME) -> Iterator[Context]:
        """A context in a writing transaction."""
        with self.database.write() as session:
            yield Context(actor, session, self.settings, project_id=project, clock=self.clock)

    def do(self, verb: Callable[[Context], Intent], actor: Actor = MEMBER, project: str | None = HOME) -> Operation:
        """Submit what a verb returns and run it to its end."""
        with self.asking(actor, project) as ctx:
            identifier = submit(ctx, verb(ctx)).id
        self.engine.drain()
        return self.operation(identifier)

    def operation(self, identifier: str) -> Operation:
        """An operation by id."""
        with self.database.read() as session:
            return session.scalars(sa.select(Operation).where(Operation.id == identifier)).one()

    def images(self) -> dict[str, Image]:
        """All images by name."""
        with self.database.read() as session:
            return {row.name: row for row in session.scalars(sa.select(Image))}

    def image(self, name: str) -> Image:
        """An image by name."""
        return self.images()[name]

    def rows(self, table: Any) -> int:
        """How many rows a table has."""
        with self.database.read() as session:
            return session.scalar(sa.select(sa.func.count()).select_from(table)) or 0

    def incoming(self) -> list[str]:
        """What lies in the pool's directory for files on their way."""
        known = (
            [p.rpartition("/")[2] for p in getattr(self.store, "world", None).files if "/incoming/" in p]
            if hasattr(self.store, "world")
            else []
        )
        folder = self.pool_path / "incoming"
        return sorted(known + ([p.name for p in folder.iterdir()] if folder.exists() else []))

    def layers(self) -> list[str]:
        """The frozen files of the pool."""
        return [p for p in self.store.list_files(str(self.pool_path)) if "/layers/" in p]

    def bring(self, name: str, content: bytes | None = None, **options: Any) -> Operation:
        """Import a host's file."""
        from yun.images import service

        path = self.settings.state_dir / f"file-{len(name)}-{abs(hash(name)) % 1000}.img"
        path.write_bytes(disk(text=name.encode()) if content is None else content)
        new = service.NewImage(name, **options)
        return self.do(lambda ctx: service.import_file(ctx, new, str(path)), actor=ROOT)


def make_cloud(database: Database, settings: Settings, store: Any, pool_path: Path) -> ImageCloud:
    """Host, projects and pool are there; nothing else."""
    store.prepare_pool(str(pool_path))
    with database.write() as session:
        host = Host(name="node1", state="up", memory_mib=8192, cpus=2)
        session.add_all([host, Project(id=HOME, name="home"), Project(id=OTHER, name="other")])
        session.flush()
        pool = Pool(
            host_id=host.id, name="default", path=str(pool_path), is_default=True, capacity_bytes=500 * GIB,
            free_bytes=500 * GIB, reserve_bytes=0,
        )  # fmt: skip
        session.add(pool)
        session.flush()
        pool_id = pool.id
    local = HostDrivers(hypervisor=None, volume=store, machine=None)  # type: ignore[arg-type]
    clock = SystemClock()
    engine = Engine(database, Drivers(network=None, connect=lambda _h: local), settings)  # type: ignore[arg-type]
    return ImageCloud(database, settings, store, engine, pool_path, pool_id, clock)


@pytest.fixture
def store() -> FakeVolumeStore:
    return FakeVolumeStore()


@pytest.fixture
def cloud(database: Database, settings: Settings, store: FakeVolumeStore, tmp_path: Path) -> ImageCloud:
    return make_cloud(database, settings, store, tmp_path / "pool")


class Face:
    """What the web asks of the cloud: whoever the test says is asking."""

    def __init__(self, cloud: ImageCloud) -> None:
        self.database, self.settings, self.clock = cloud.database, cloud.settings, cloud.clock
        self.actors = {"member": MEMBER, "reader": READER, "stranger": STRANGER, "root": ROOT}

    def authenticate(self, session: Session, credentials: Credentials) -> Asker:
        actor = self.actors.get(credentials.bearer or "", NOBODY)
        project = next((p for p in actor.roles if p != "*"), HOME if actor is ROOT else None)
        return Asker(actor=actor, project_id=project)

    def refused(self, ctx: Context, error: Exception) -> None:
        """Nobody keeps an audit here."""

    def events(self, asker: Asker, after: int | None) -> Any:
        """No stream here."""
        raise AssertionError


def make_app(cloud: ImageCloud) -> FastAPI:
    """The images' API alone."""
    app = FastAPI()
    app.state.cloud = Face(cloud)
    app.include_router(api.router, prefix="/api/v1")
    app.include_router(operations_api.router, prefix="/api/v1")
    web_api.install(app)
    return app


@pytest.fixture
def web(cloud: ImageCloud) -> Callable[..., TestClient]:
    """A client of the API for somebody."""
    app = make_app(cloud)

    def client(who: str = "member") -> TestClient:
        return TestClient(
            app,
            base_url="http://127.0.0.1/api/v1",
            headers={"Authorization": f"Bearer {who}"},
            raise_server_exceptions=False,
        )

    return client


__all__ = [
    "GIB",
    "HOME",
    "MEMBER",
    "MIB",
    "OTHER",
    "READER",
    "ROOT",
    "STRANGER",
    "SYSTEM",
    "Layer",
    "ManualClock",
    "replace",
]
