"""Images purged, brought back, cancelled or given up in a bad moment: nothing is lost and nothing stays behind."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.images.conftest import ROOT, ImageCloud
from tests.images.test_life import delete, undo
from yun.base.errors import Conflict
from yun.base.ids import new_id
from yun.images import service
from yun.images.model import Export, Image, Upload
from yun.images.model import State as ImageState
from yun.images.service import NewImage
from yun.operations import service as operations
from yun.operations.intent import Subject
from yun.operations.model import Notice, Operation, State
from yun.operations.service import submit
from yun.storage import service as storage
from yun.storage.model import Layer, LayerHold, TrashItem


def tidy(cloud: ImageCloud) -> None:
    cloud.engine.nudge("image.tidy", Subject("periodic", "image.tidy", "image.tidy"))
    cloud.engine.drain()


def notices(cloud: ImageCloud) -> set[str]:
    with cloud.database.read() as session:
        return set(session.scalars(sa.select(Notice.key)))


def abandoned(cloud: ImageCloud, name: str = "mine") -> Image:
    """An import that could neither go on nor be taken back, and that an administrator gave up."""
    cloud.store.world.fail("freeze", 1)
    cloud.store.world.fail("delete", 100)
    stuck = cloud.bring(name)
    assert stuck.state == State.STUCK
    with cloud.asking(ROOT) as ctx:
        operations.abandon(ctx, stuck.id)
    cloud.store.world.faults.clear()
    return cloud.image(name)


def test_an_image_brought_back_while_its_purge_waited_keeps_everything(cloud: ImageCloud) -> None:
    cloud.bring("mine")
    done = delete(cloud, "mine")
    with cloud.asking(ROOT) as ctx:
        item = storage.get_item(ctx, "mine")
        submit(ctx, operations.undo(ctx, done.id))
        for purge in (
            lambda c: storage.purge(c, item), lambda c: service.purge(c, service.get(c, "mine")),
        ):  # fmt: skip
            with pytest.raises(Conflict):
                purge(ctx)
        late = submit(ctx, storage.purge_intent(item)).id
    cloud.engine.drain()
    assert cloud.operation(late).state == State.SUCCEEDED
    assert cloud.image("mine").state == ImageState.ACTIVE
    assert len(cloud.layers()) == cloud.rows(Layer) == cloud.rows(LayerHold) == 1


def test_a_purge_cancelled_before_it_began_has_done_nothing(cloud: ImageCloud) -> None:
    cloud.bring("mine")
    delete(cloud, "mine")
    with cloud.asking(ROOT) as ctx:
        purge = submit(ctx, storage.purge(ctx, storage.get_item(ctx, "mine"))).id
    with cloud.asking(ROOT) as ctx:
        operations.cancel(ctx, purge)
    cloud.engine.drain()
    assert cloud.operation(purge).state == State.CANCELLED
    assert cloud.image("mine").state == ImageState.TRASHED
    assert (cloud.rows(TrashItem), cloud.rows(LayerHold), len(cloud.layers())) == (1, 1, 1)


def test_the_layer_is_free_in_the_same_moment_in_which_the_image_is_gone(cloud: ImageCloud) -> None:
    cloud.bring("mine")
    delete(cloud, "mine")
    cloud.store.world.fail("delete", 100)
    cloud.do(lambda ctx: service.purge(ctx, service.get(ctx, "mine")), actor=ROOT)
    assert cloud.rows(Image) == cloud.rows(LayerHold) == 0


def test_an_abandoned_import_is_deleted_brought_back_as_it_was_and_purged_without_a_trace(cloud: ImageCloud) -> None:
    left = abandoned(cloud)
    assert left.state == ImageState.IMPORTING
    done = delete(cloud, "mine")
    assert (done.state, cloud.image("mine").state) == (State.SUCCEEDED, ImageState.TRASHED)
    undo(cloud, done)
    assert cloud.image("mine").state == ImageState.IMPORTING
    delete(cloud, "mine")
    purged = cloud.do(lambda ctx: service.purge(ctx, service.get(ctx, "mine")))
    assert purged.state == State.SUCCEEDED
    assert (cloud.images(), cloud.incoming(), cloud.rows(LayerHold)) == ({}, [], 0)
    cloud.engine.nudge("storage.reconcile", Subject("periodic", "storage.reconcile", "storage.reconcile"))
    cloud.engine.drain()
    assert cloud.rows(Layer) == 0
    assert cloud.bring("mine").state == State.SUCCEEDED


def test_an_image_that_is_being_imported_is_not_deleted(cloud: ImageCloud) -> None:
    path = cloud.settings.state_dir / "a.img"
    with cloud.asking(ROOT) as ctx:
        submit(ctx, service.import_file(ctx, NewImage("mine"), str(path)))
        with pytest.raises(Conflict):
            service.delete(ctx, service.get(ctx, "mine"))


def test_abandoned_imports_and_copies_are_given_up_by_themselves_and_those_under_way_are_not(cloud: ImageCloud) -> None:
    cloud.bring("good")
    abandoned(cloud)
    lost = new_id("exp")
    with cloud.asking(ROOT) as ctx:
        under_way = submit(ctx, service.export(ctx, service.get(ctx, "good"))).arguments["export_id"]
        waiting = submit(ctx, service.import_file(ctx, NewImage("next"), str(cloud.settings.state_dir / "x"))).id
        good = service.get(ctx, "good")
        ctx.session.add(
            Export(
                id=lost, project_id=good.project_id, image_id=good.id, image_name="good", pool_id=good.pool_id,
                path=f"{cloud.pool_path}/incoming/{lost}.raw", format="raw", expires_at=ctx.clock.now(),
            )
        )  # fmt: skip
        ctx.session.execute(sa.update(Operation).where(Operation.state == State.QUEUED).values(state=State.STUCK))
    tidy(cloud)
    assert set(cloud.images()) == {"good", "next"}
    assert cloud.operation(waiting).state == State.STUCK
    with cloud.database.read() as session:
        assert list(session.scalars(sa.select(Export.id))) == [under_way]
    assert (cloud.incoming(), cloud.rows(LayerHold), len(cloud.layers())) == ([], 1, 1)


def an_upload(cloud: ImageCloud, **values: object) -> str:
    """An upload whose time is over, with its file."""
    with cloud.asking() as ctx:
        upload = service.begin_upload(ctx, NewImage("mine"), length=100)
        Path(upload.path).parent.mkdir(parents=True, exist_ok=True)
        Path(upload.path).write_bytes(b"x" * 100)
        upload.expires_at = ctx.clock.now() - timedelta(hours=1)
        for name, value in values.items():
            setattr(upload, name, value)
        return upload.path


def test_an_upload_whose_import_waits_is_not_thrown_away(cloud: ImageCloud) -> None:
    with cloud.asking(ROOT) as ctx:
        waiting = submit(ctx, service.import_file(ctx, NewImage("other"), str(cloud.settings.state_dir / "x"))).id
        ctx.session.execute(sa.update(Operation).values(state=State.STUCK))
    path = an_upload(cloud, operation_id=waiting)
    tidy(cloud)
    assert Path(path).exists()
    assert cloud.rows(Upload) == 1
    with cloud.asking(ROOT) as ctx:
        operations.abandon(ctx, waiting)
    tidy(cloud)
    assert not Path(path).exists()
    assert cloud.rows(Upload) == 0


def test_a_clock_that_jumps_throws_no_upload_away(cloud: ImageCloud) -> None:
    from yun.storage.service import clock as trust

    cloud.engine.nudge("trash.purge_expired", Subject("periodic", "trash.purge_expired", "trash.purge_expired"))
    cloud.engine.drain()
    path = an_upload(cloud)
    with cloud.database.write() as session:
        session.get_one(trust.ClockMark, trust.MARK).seen_at -= timedelta(days=3)
    tidy(cloud)
    assert Path(path).exists()


def test_files_on_their_way_that_belong_to_nothing_are_told_and_left_alone(cloud: ImageCloud) -> None:
    stranger = f"{cloud.pool_path}/incoming/{new_id('img')}.disk"
    cloud.store.create_head(f"{cloud.pool_path}/heads/h.qcow2", size=1 << 20, backing=None)
    cloud.store.convert(
        f"{cloud.pool_path}/heads/h.qcow2", stranger, format="qcow2", progress=lambda _part: None
    )  # fmt: skip
    tidy(cloud)
    assert notices(cloud) == {f"pool-incoming:{cloud.pool_id}"}
    assert stranger in cloud.store.world.files
    cloud.store.delete(stranger)
    tidy(cloud)
    assert notices(cloud) == set()
