"""A cloud of one fake host with a disk in memory: its database, its engine, and contexts to call verbs with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.clock import ManualClock
from yun.base.config import Settings
from yun.base.context import SYSTEM, Actor, Context
from yun.base.db import Database
from yun.base.ids import new_id
from yun.base.messages import _
from yun.drivers.bundle import Drivers, HostDrivers
from yun.drivers.host.fake import FakeMachine
from yun.drivers.hypervisor.fake import FakeHypervisor
from yun.drivers.volume.fake import FakeVolumeStore, VolumeWorld
from yun.drivers.volume.port import VolumeStore
from yun.hosts import flows as _hosts  # noqa: F401
from yun.identity.model import Project
from yun.operations import flows as _operations  # noqa: F401
from yun.operations.engine import Engine
from yun.operations.flow import Op, operation
from yun.operations.intent import Intent, Subject
from yun.operations.model import Notice, Operation
from yun.operations.service import submit, undo
from yun.storage import flows as _flows  # noqa: F401
from yun.storage import steps
from yun.storage.model import Pool
from yun.storage.service import create_pool


@operation("toy.adopt")
def adopt(op: Op, layer_id: str, pool_id: str, path: str, holder: str, fail: bool = False) -> Any:
    """What an image's import does with a finished file."""
    found = op.step(steps.adopt_layer, layer_id, pool_id, path, holder)
    if fail:
        raise RuntimeError("after the adoption")
    return found


@operation("toy.drop")
def drop(op: Op, layer_id: str, holder: str) -> Any:
    """What an image's purge does."""
    return {"gone": op.step(steps.drop_layer, layer_id, holder)}


@dataclass
class Cloud:
    """The database, the disk and the engine of a test, and the verbs most tests use."""

    database: Database
    settings: Settings
    store: VolumeStore
    engine: Engine
    project_id: str
    clock: ManualClock
    world: VolumeWorld

    @contextmanager
    def asking(self, actor: Actor = SYSTEM, project_id: str | None = "", locale: str = "en") -> Iterator[Context]:
        project = self.project_id if project_id == "" else project_id
        with self.database.write() as session:
            yield Context(
                actor=actor, session=session, settings=self.settings, project_id=project, locale=locale,
                clock=self.clock,
            )  # fmt: skip

    def tend(self, kind: str = "pool.tend") -> None:
        """Do periodic work once, now."""
        self.engine.nudge(kind, Subject("periodic", kind, kind))
        self.engine.drain()

    def do(self, make: Callable[[Context], Intent], **who: Any) -> Operation:
        """Submit what ``make`` intends, let the engine run dry, and give the operation as it ended."""
        with self.asking(**who) as ctx:
            identifier = submit(ctx, make(ctx)).id
        self.engine.drain()
        return self.operation(identifier)

    def toy(self, kind: str, **arguments: Any) -> Operation:
        """Submit a toy operation and let it end."""
        return self.do(lambda _ctx: Intent(kind, _("Toy"), Subject("toy", new_id("toy")), arguments))

    def undo(self, identifier: str) -> Operation:
        """Take a finished operation back."""
        return self.do(lambda ctx: undo(ctx, identifier))

    def operation(self, identifier: str) -> Operation:
        with self.database.read() as session:
            return session.scalars(sa.select(Operation).where(Operation.id == identifier)).one()

    def read(self, look: Callable[[Session], Any]) -> Any:
        """What a look at the database finds."""
        with self.database.read() as session:
            return look(session)

    def all(self, table: type[Any]) -> list[Any]:
        """Every row of a table, by id."""
        return self.read(lambda s: list(s.scalars(sa.select(table).order_by(sa.inspect(table).primary_key[0]))))

    def rows(self) -> dict[str, Any]:
        """What storage knows, without times and revisions: equal where two states are equal."""
        dull = {"created_at", "updated_at", "revision", "free_bytes", "used_bytes", "capacity_bytes"}
        names = ("pool", "layer", "layer_hold", "volume", "head", "attachment", "trash_item")
        found = {}
        for name in names:
            table = Pool.metadata.tables[name]
            lines = self.read(lambda s, t=table: [dict(r._mapping) for r in s.execute(sa.select(t))])
            found[name] = sorted(str({k: v for k, v in line.items() if k not in dull}) for line in lines)
        return found

    def notices(self) -> set[str]:
        return set(self.read(lambda s: list(s.scalars(sa.select(Notice.key)))))

    @property
    def pool(self) -> Pool:
        return self.all(Pool)[0]

    def layer_file(self, name: str = "a", size: int = 1 << 30) -> str:
        """A finished file in the pool's ``incoming``, as an import leaves it."""
        head, path = f"{self.pool.path}/heads/tmp-{name}.qcow2", f"{self.pool.path}/incoming/{name}.qcow2"
        self.store.create_head(head, size=size, backing=None)
        self.store.convert(head, path, format="qcow2", progress=lambda _f: None)
        self.store.delete(head)
        return path

    def adopted(self, name: str = "a", holder: str = "image:a", size: int = 1 << 30) -> str:
        """A layer's id."""
        done = self.toy(
            "toy.adopt", layer_id=new_id("lay"), pool_id=self.pool.id, path=self.layer_file(name, size), holder=holder
        )
        assert done.state == "succeeded", done.error
        assert done.result is not None
        return str(done.result["value"]["layer_id"])


def make_cloud(database: Database, settings: Settings, store: VolumeStore, world: VolumeWorld) -> Cloud:
    """A cloud with a project, a host seen once and the default pool."""
    local = HostDrivers(hypervisor=FakeHypervisor(), volume=store, machine=FakeMachine("node1"))  # type: ignore[arg-type]
    drivers = Drivers(network=None, connect=lambda _h: local)  # type: ignore[arg-type]
    clock = ManualClock()
    engine = Engine(database, drivers, settings, clock=clock)
    project = Project(id=new_id("prj"), name="default")
    with database.write() as session:
        session.add(project)
    cloud = Cloud(database, settings, store, engine, project.id, clock, world)
    cloud.tend("host.tend")
    done = cloud.do(lambda ctx: create_pool(ctx, name="default", path=str(settings.state_dir / "pool")))
    assert done.state == "succeeded", done.error
    return cloud


@pytest.fixture
def world() -> VolumeWorld:
    return VolumeWorld()


@pytest.fixture
def cloud(database: Database, settings: Settings, world: VolumeWorld) -> Cloud:
    return make_cloud(database, settings, FakeVolumeStore(world), world)


@pytest.fixture
def member(cloud: Cloud) -> Actor:
    return Actor("user", "usr_m", "mia", {cloud.project_id: "member"})


@pytest.fixture
def stranger() -> Actor:
    return Actor("user", "usr_s", "sam", {"prj_other": "admin"})
