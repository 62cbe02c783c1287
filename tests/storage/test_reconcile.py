"""The graph against the disk: every difference is noticed, told, mended where it can be; strangers are left alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from tests.storage.conftest import Cloud
from tests.storage.test_volumes import planned, volume
from yun.base.ids import new_id
from yun.base.units import GIB
from yun.drivers.volume.fake import FakeFile
from yun.operations.model import Notice, Operation
from yun.operations.service import cancel, submit
from yun.storage import service
from yun.storage.model import Head, Layer, LayerState, Volume, VolumeState


def compare(cloud: Cloud) -> None:
    cloud.tend("storage.reconcile")


def remembered(cloud: Cloud) -> int:
    query = sa.select(sa.func.count()).select_from(Operation).where(Operation.kind == "storage.reconcile")
    return int(cloud.read(lambda s: s.scalar(query)))


def test_a_sound_cloud_has_nothing_to_tell_and_leaves_no_trace(cloud: Cloud) -> None:
    planned(cloud, cloud.adopted())
    rows, disk = cloud.rows(), cloud.world.snapshot()
    compare(cloud)
    assert (cloud.rows(), cloud.world.snapshot(), cloud.notices()) == (rows, disk, set())
    assert remembered(cloud) == 0


def test_a_frozen_file_that_was_made_writable_is_read_only_again_and_it_is_told(cloud: Cloud) -> None:
    cloud.adopted()
    layer = cloud.all(Layer)[0]
    cloud.world.files[layer.path].writable = True
    compare(cloud)
    assert not cloud.world.files[layer.path].writable
    assert cloud.notices() == {f"layer-writable:{layer.id}"}
    assert cloud.all(Layer)[0].state == LayerState.ACTIVE


def test_a_frozen_file_that_was_written_to_is_damaged_even_with_the_same_length(cloud: Cloud) -> None:
    cloud.adopted()
    layer = cloud.all(Layer)[0]
    file = cloud.world.files[layer.path]
    file.content, file.mtime_ns = "something else", 99
    compare(cloud)
    assert cloud.all(Layer)[0].state == LayerState.DAMAGED


def test_a_frozen_file_that_was_only_touched_stays_sound(cloud: Cloud) -> None:
    cloud.adopted()
    layer = cloud.all(Layer)[0]
    cloud.world.files[layer.path].mtime_ns = 99
    compare(cloud)
    row = cloud.all(Layer)[0]
    assert (row.state, row.mtime_ns) == (LayerState.ACTIVE, 99)


@pytest.mark.parametrize("how", ["gone", "truncated", "shorter"])
def test_a_lost_or_cut_frozen_file_is_told_once_and_heals_when_it_is_put_back(cloud: Cloud, how: str) -> None:
    cloud.adopted()
    layer = cloud.all(Layer)[0]
    file = cloud.world.files[layer.path]
    if how == "gone":
        del cloud.world.files[layer.path]
    elif how == "truncated":
        file.truncated = True
    else:
        file.length -= 1
    compare(cloud)
    assert cloud.all(Layer)[0].state == (LayerState.MISSING if how == "gone" else LayerState.DAMAGED)
    assert cloud.notices() == {f"layer:{layer.id}"}
    told = remembered(cloud)
    compare(cloud)
    assert remembered(cloud) == told
    cloud.world.files[layer.path] = file
    file.truncated, file.length = False, layer.length
    compare(cloud)
    assert cloud.all(Layer)[0].state == LayerState.ACTIVE
    assert cloud.notices() == set()


@pytest.mark.parametrize("how", ["gone", "truncated", "other base", "no base", "smaller"])
def test_a_head_that_is_not_as_its_row_says_makes_its_volume_unusable_until_it_is(cloud: Cloud, how: str) -> None:
    volume_id = planned(cloud, cloud.adopted())
    head = cloud.all(Head)[0]
    file = cloud.world.files[head.path]
    before = vars(file).copy()
    if how == "gone":
        del cloud.world.files[head.path]
    elif how == "truncated":
        file.truncated = True
    elif how == "smaller":
        file.virtual -= GIB
    else:
        file.backing = "/etc/shadow" if how == "other base" else ""
    compare(cloud)
    assert cloud.all(Volume)[0].state == (VolumeState.MISSING if how == "gone" else VolumeState.DAMAGED)
    assert cloud.notices() == {f"volume:{volume_id}"}
    told = remembered(cloud)
    compare(cloud)
    assert remembered(cloud) == told
    cloud.world.files[head.path] = FakeFile(**before)
    compare(cloud)
    assert cloud.all(Volume)[0].state == VolumeState.AVAILABLE
    assert cloud.notices() == set()


def test_a_lost_head_in_the_trash_is_told_and_stays_in_the_trash(cloud: Cloud) -> None:
    made = volume(cloud)
    cloud.do(lambda ctx: service.delete_volume(ctx, service.get_volume(ctx, made.id)))
    path = cloud.all(Head)[0].path
    file = cloud.world.files.pop(path)
    compare(cloud)
    compare(cloud)
    assert cloud.all(Volume)[0].state == VolumeState.TRASHED
    assert cloud.notices() == {f"volume:{made.id}"}
    cloud.world.files[path] = file
    compare(cloud)
    assert cloud.notices() == set()


def test_a_volume_whose_file_is_lost_can_still_be_deleted_and_purged(cloud: Cloud) -> None:
    made = volume(cloud)
    cloud.world.files.clear()
    compare(cloud)
    assert cloud.do(lambda ctx: service.delete_volume(ctx, service.get_volume(ctx, made.id))).state == "succeeded"
    assert cloud.do(lambda ctx: service.purge(ctx, service.get_item(ctx, made.id))).state == "succeeded"
    assert cloud.all(Volume) == []
    assert cloud.notices() == set()


def test_strangers_files_are_told_once_and_never_deleted(cloud: Cloud) -> None:
    pool = cloud.pool
    strangers = {f"{pool.path}/layers/mine.qcow2", f"{pool.path}/heads/mine.qcow2"}
    for path in strangers:
        cloud.world.files[path] = FakeFile("qcow2", GIB, "x")
    compare(cloud)
    assert strangers <= set(cloud.world.files)
    assert cloud.notices() == {f"pool-unknown:{pool.id}"}
    told = remembered(cloud)
    compare(cloud)
    assert remembered(cloud) == told
    assert strangers <= set(cloud.world.files)
    cloud.world.files.clear()
    compare(cloud)
    assert cloud.notices() == set()


def test_an_unreachable_pool_spoils_nothing(cloud: Cloud) -> None:
    planned(cloud, cloud.adopted())
    cloud.world.pools.clear()
    files, cloud.world.files = cloud.world.files, {}
    compare(cloud)
    cloud.tend()
    compare(cloud)
    assert [layer.state for layer in cloud.all(Layer)] == [LayerState.ACTIVE]
    assert [v.state for v in cloud.all(Volume)] == [VolumeState.AVAILABLE]
    cloud.world.pools.add(cloud.pool.path)
    cloud.world.files = files
    cloud.tend()
    compare(cloud)
    assert cloud.notices() == set()


def test_a_volume_that_was_cancelled_while_it_waited_leaves_no_rows(cloud: Cloud) -> None:
    with cloud.asking() as ctx:
        operation = submit(ctx, service.create_volume(ctx, name="v", size_bytes=GIB))
        cancel(ctx, operation.id)
    cloud.engine.drain()
    assert cloud.operation(operation.id).state == "cancelled"
    assert (cloud.all(Volume), cloud.all(Head)) == ([], [])


def test_rows_in_building_that_no_operation_works_on_are_given_up(cloud: Cloud) -> None:
    with cloud.asking() as ctx:
        plan = service.plan_volume(ctx, name="v", size_bytes=GIB, project_id=cloud.project_id)
        plan.write(ctx.session)
    cloud.clock.time = datetime.now(UTC)
    compare(cloud)
    assert [v.state for v in cloud.all(Volume)] == [VolumeState.BUILDING]
    cloud.clock.time += timedelta(hours=1)
    compare(cloud)
    assert cloud.all(Volume) == []


def test_a_look_at_many_files_asks_the_database_no_more_often_than_at_few(cloud: Cloud) -> None:
    def statements() -> int:
        asked: list[str] = []

        def note(_conn: object, _cursor: object, statement: str, *_rest: object) -> None:
            asked.append(statement)

        sa.event.listen(cloud.database.engine, "before_cursor_execute", note)
        try:
            compare(cloud)
        finally:
            sa.event.remove(cloud.database.engine, "before_cursor_execute", note)
        return sum("head" in s.lower() or "layer" in s.lower() for s in asked)

    for number in range(2):
        volume(cloud, f"a{number}", GIB)
    few = statements()
    for number in range(12):
        volume(cloud, f"b{number}", GIB)
    assert statements() == few


def test_a_file_that_cannot_be_mended_is_told_and_the_others_are_looked_at_all_the_same(cloud: Cloud) -> None:
    lost = planned(cloud, cloud.adopted())
    layer, head = cloud.all(Layer)[0], cloud.all(Head)[0]
    cloud.world.files[layer.path].writable = True
    del cloud.world.files[head.path]
    cloud.world.fail("protect", 2)
    compare(cloud)
    assert cloud.notices() == {f"file:{layer.path}", f"volume:{lost}"}
    told = remembered(cloud)
    compare(cloud)
    assert (remembered(cloud), cloud.notices()) == (told, {f"file:{layer.path}", f"volume:{lost}"})
    compare(cloud)
    assert cloud.notices() == {f"layer-writable:{layer.id}", f"volume:{lost}"}


def test_a_pool_that_goes_away_in_the_middle_tells_of_no_single_file(cloud: Cloud) -> None:
    planned(cloud, cloud.adopted())
    cloud.world.fail("glance", 1, retryable=True)
    cloud.world.fail("inspect", 1, retryable=True)
    cloud.world.fail("pool_facts", 1, retryable=True)
    compare(cloud)
    assert cloud.notices() == set()


def test_a_layer_that_cannot_be_removed_is_told_and_the_others_go(cloud: Cloud) -> None:
    ids = [cloud.adopted(name, f"image:{name}", size=n * GIB) for n, name in enumerate(("a", "b"), 1)]
    with cloud.database.write() as session:
        for layer_id, name in zip(ids, ("a", "b"), strict=True):
            service.let_go(session, layer_id, f"image:{name}")
    cloud.world.fail("delete", 1)
    compare(cloud)
    assert len(cloud.all(Layer)) == 1
    assert cloud.notices() == {f"layer:{cloud.all(Layer)[0].id}"}
    compare(cloud)
    assert (cloud.all(Layer), cloud.notices()) == ([], set())


def test_seeds_of_no_machine_are_told_and_left_alone(cloud: Cloud) -> None:
    mine, lost = new_id("ins"), new_id("ins")
    with cloud.database.write() as session:
        service.attach(session, volume_id=volume(cloud).id, instance_id=mine, slot="vda")
    for owner in (mine, lost):
        cloud.store.write_seed(f"{cloud.pool.path}/seeds/{owner}.iso", {"meta-data": b""})
    files = set(cloud.world.files)
    compare(cloud)
    assert cloud.notices() == {f"pool-unknown:{cloud.pool.id}"}
    assert set(cloud.world.files) == files
    notice = cloud.all(Notice)[0]
    assert (notice.message["params"]["count"], lost in notice.message["params"]["names"]) == (1, True)
