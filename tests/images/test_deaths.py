"""The process dies at every commit of an image's operations, and every step is run twice: the end is the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from tests.images.conftest import HOME, MIB, ROOT, ImageCloud, disk
from yun.base.context import Context
from yun.base.db import Database
from yun.drivers.bundle import Drivers, HostDrivers
from yun.images import service
from yun.images.model import Export, Image
from yun.images.service import NewImage
from yun.operations import service as operations
from yun.operations.engine import Engine
from yun.operations.flow import REGISTRY
from yun.operations.intent import Intent
from yun.operations.model import Operation, OperationKey, State
from yun.storage.model import Layer, LayerHold, TrashItem

Ask = Callable[[Context], Intent]


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """The engine's own tests die on both databases; here the steps matter."""
    return f"sqlite:///{tmp_path / 'yun.db'}"


class Died(BaseException):
    """The process is gone."""


class Reaper:
    """Kills before the n-th commit from now takes effect."""

    def __init__(self, database: Database) -> None:
        self.left = -1
        event.listen(database.engine, "commit", self.strike)

    def strike(self, _connection: sa.Connection) -> None:
        """One commit more."""
        self.left -= 1
        if self.left == 0:
            raise Died


def reborn(cloud: ImageCloud) -> None:
    """Another process takes over: the same database and disk."""
    local = HostDrivers(hypervisor=None, volume=cloud.store, machine=None)  # type: ignore[arg-type]
    cloud.engine = Engine(cloud.database, Drivers(network=None, connect=lambda _h: local), cloud.settings)  # type: ignore[arg-type]
    with cloud.database.write() as session:
        session.execute(sa.update(Operation).where(Operation.node_id.is_not(None)).values(node_id="nod_dead"))


def die_and_go_on(cloud: ImageCloud, reaper: Reaper, ask: Ask, nth: int) -> tuple[Operation, bool]:
    """Submit, die at the n-th commit, go on in another process; the operation, and whether it died at all."""
    with cloud.asking(ROOT, HOME) as ctx:
        identifier = operations.submit(ctx, ask(ctx)).id
    reaper.left, died = nth, False
    try:
        cloud.engine.drain()
    except Died:
        died = True
    reaper.left = -1
    reborn(cloud)
    cloud.engine.drain()
    assert cloud.rows(OperationKey) == 0
    return cloud.operation(identifier), died


def nothing_left(cloud: ImageCloud) -> None:
    """As if there had never been an image."""
    assert cloud.images() == {}
    assert cloud.incoming() == cloud.layers() == []
    assert [cloud.rows(t) for t in (Layer, LayerHold, TrashItem, Export)] == [0, 0, 0, 0]


@pytest.mark.parametrize("fails", [False, True], ids=["succeeding", "failing"])
def test_an_import_ends_well_wherever_the_process_dies(cloud: ImageCloud, fails: bool) -> None:
    path = cloud.settings.state_dir / "disk.raw"
    path.write_bytes(disk())
    reaper, deaths = Reaper(cloud.database), 0
    for nth in range(1, 100):
        if fails:
            cloud.store.world.faults.clear()
            cloud.store.world.fail("freeze", times=9)
        operation, died = die_and_go_on(
            cloud, reaper, lambda ctx: service.import_file(ctx, NewImage("mine"), str(path)), nth
        )
        if fails:
            assert operation.state == State.FAILED
        else:
            assert operation.state == State.SUCCEEDED, operation.error
            assert cloud.image("mine").state == "active"
            assert len(cloud.layers()) == cloud.rows(Layer) == cloud.rows(LayerHold) == 1
            assert cloud.incoming() == []
            undone = cloud.do(lambda ctx, o=operation: operations.undo(ctx, o.id), actor=ROOT)
            assert undone.state == State.SUCCEEDED
            assert cloud.image("mine").state == "trashed"
            purged = cloud.do(lambda ctx: service.purge(ctx, service.get(ctx, "mine")), actor=ROOT)
            assert purged.state == State.SUCCEEDED, purged.error
        nothing_left(cloud)
        deaths += died
        if not died:
            break
    assert deaths > 10


@pytest.mark.parametrize("verb", ["export", "purge"])
def test_an_export_and_a_purge_end_well_wherever_the_process_dies(cloud: ImageCloud, verb: str) -> None:
    reaper, deaths = Reaper(cloud.database), 0
    for nth in range(1, 60):
        cloud.bring("mine")
        if verb == "export":
            operation, died = die_and_go_on(
                cloud, reaper, lambda ctx: service.export(ctx, service.get(ctx, "mine")), nth
            )
            assert len(cloud.incoming()) == cloud.rows(Export) == 1
            path = f"{cloud.pool_path}/incoming/{cloud.incoming()[0]}"
            cloud.store.delete(path)
            with cloud.database.write() as session:
                session.execute(sa.delete(Export))
        cloud.do(lambda ctx: service.delete(ctx, service.get(ctx, "mine")), actor=ROOT)
        if verb == "purge":
            operation, died = die_and_go_on(
                cloud, reaper, lambda ctx: service.purge(ctx, service.get(ctx, "mine")), nth
            )
        else:
            cloud.do(lambda ctx: service.purge(ctx, service.get(ctx, "mine")), actor=ROOT)
        assert operation.state == State.SUCCEEDED, operation.error
        nothing_left(cloud)
        deaths += died
        if not died:
            break
    assert deaths >= 5


def test_every_step_may_run_twice(cloud: ImageCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step whose end was lost is run again: same output, same world."""

    def twice(call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            first = call(*args)
            again = call(*args)
            assert again == first or call.__name__ in ("change", "trash", "let_go", "adopt_layer", "drop_layer"), call
            return first

        return run

    for name, made in REGISTRY.steps.items():
        if name.startswith("images.") and not made.transactional:
            monkeypatch.setitem(made.__dict__, "call", twice(made.call))
    cloud.bring("mine", disk(2 * MIB))
    cloud.do(lambda ctx: service.export(ctx, service.get(ctx, "mine")), actor=ROOT)
    done = cloud.do(lambda ctx: service.build(ctx, "tiny"), actor=ROOT)
    assert done.state == State.SUCCEEDED, done.error
    with cloud.database.read() as session:
        assert {i.state for i in session.scalars(sa.select(Image))} == {"active"}
    assert len(cloud.layers()) == 2
    assert len(cloud.incoming()) == 1
