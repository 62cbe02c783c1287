"""Frozen files: taken in under the name of their content, once; never written; removed when nothing needs them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.storage.conftest import Cloud
from tests.storage.test_volumes import planned, volume
from yun.base.errors import Conflict
from yun.base.ids import new_id
from yun.base.units import GIB
from yun.operations.service import abandon
from yun.storage import service
from yun.storage.model import Head, Layer, LayerHold, LayerState, Volume
from yun.storage.steps.shared import refuse_base, refuse_frozen


def adopt(cloud: Cloud, path: str, holder: str = "image:a", **more: Any) -> Any:
    return cloud.toy("toy.adopt", layer_id=new_id("lay"), pool_id=cloud.pool.id, path=path, holder=holder, **more)


def test_a_file_is_frozen_under_the_name_of_its_content(cloud: Cloud) -> None:
    path = cloud.layer_file(size=3 * GIB)
    digest = cloud.store.digest(path, lambda _f: None)
    done = adopt(cloud, path)
    layer = cloud.all(Layer)[0]
    assert done.result["value"]["fresh"] is True
    assert layer.path == f"{cloud.pool.path}/layers/{digest}.qcow2"
    assert (layer.digest, layer.state, layer.virtual_bytes) == (digest, LayerState.ACTIVE, 3 * GIB)
    facts = cloud.store.inspect(layer.path)
    assert not facts.writable
    assert (facts.length, facts.file_bytes, facts.mtime_ns) == (layer.length, layer.file_bytes, layer.mtime_ns)
    assert not cloud.store.inspect(path).exists


def test_the_same_content_is_kept_once_and_goes_with_its_last_holder(cloud: Cloud) -> None:
    first = cloud.adopted("a", "image:a")
    second = adopt(cloud, cloud.layer_file("b"), "image:b").result["value"]
    assert (second["layer_id"], second["fresh"]) == (first, False)
    assert len(cloud.store.list_files(cloud.pool.path)) == 1
    assert cloud.toy("toy.drop", layer_id=first, holder="image:a").result == {"value": {"gone": False}}
    assert len(cloud.store.list_files(cloud.pool.path)) == 1
    assert cloud.toy("toy.drop", layer_id=first, holder="image:b").result == {"value": {"gone": True}}
    assert cloud.store.list_files(cloud.pool.path) == []
    assert (cloud.all(Layer), cloud.all(LayerHold)) == ([], [])


def test_what_fails_after_the_adoption_leaves_nothing(cloud: Cloud) -> None:
    rows, disk = cloud.rows(), cloud.world.snapshot()
    done = adopt(cloud, cloud.layer_file(), fail=True)
    assert done.state == "failed"
    assert (cloud.rows(), cloud.world.snapshot()) == (rows, disk)


def test_undoing_an_adoption_leaves_what_others_need(cloud: Cloud) -> None:
    first = adopt(cloud, cloud.layer_file("a"), "image:a")
    rows, disk = cloud.rows(), cloud.world.snapshot()
    second = adopt(cloud, cloud.layer_file("b"), "image:b")
    assert cloud.undo(second.id).state == "succeeded"
    assert (cloud.rows(), cloud.world.snapshot()) == (rows, disk)
    assert cloud.undo(first.id).state == "succeeded"
    assert cloud.store.list_files(cloud.pool.path) == []


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("method", ["digest", "freeze", "inspect", "glance", "delete"])
def test_an_adoption_that_dies_before_or_after_any_call_is_finished_by_the_next_try(
    cloud: Cloud, method: str, after: bool
) -> None:
    path = cloud.layer_file()
    cloud.world.fail(method, 2, retryable=True, after=after)
    done = adopt(cloud, path)
    assert done.state == "succeeded", done.error
    assert [layer.state for layer in cloud.all(Layer)] == [LayerState.ACTIVE]
    assert len(cloud.world.files) == 1


def test_a_volumes_own_file_is_not_taken_in_behind_its_back(cloud: Cloud) -> None:
    volume(cloud)
    path = cloud.all(Head)[0].path
    done = adopt(cloud, path)
    assert done.state == "failed"
    assert done.error["code"] == "conflict"


def test_what_is_no_qcow2_or_not_there_is_not_taken_in(cloud: Cloud) -> None:
    cloud.store.write_seed(f"{cloud.pool.path}/seeds/x.iso", {"meta-data": b""})
    assert adopt(cloud, f"{cloud.pool.path}/seeds/x.iso").state == "failed"
    assert adopt(cloud, f"{cloud.pool.path}/incoming/none.qcow2").state == "failed"
    assert cloud.all(Layer) == []


def test_a_layer_with_a_disk_on_it_stays_until_that_disk_is_purged_from_the_trash(cloud: Cloud) -> None:
    layer_id = cloud.adopted()
    volume_id = planned(cloud, layer_id)
    path = cloud.all(Layer)[0].path
    cloud.toy("toy.drop", layer_id=layer_id, holder="image:a")
    assert cloud.store.inspect(path).exists
    cloud.do(lambda ctx: service.delete_volume(ctx, service.get_volume(ctx, volume_id)))
    cloud.tend("storage.reconcile")
    assert cloud.store.inspect(path).exists
    cloud.do(lambda ctx: service.purge(ctx, service.get_item(ctx, volume_id)))
    assert not cloud.store.inspect(path).exists
    assert cloud.world.files == {}
    assert cloud.all(Layer) == []


def test_a_layer_that_an_interrupted_purge_left_is_collected(cloud: Cloud) -> None:
    layer_id = cloud.adopted()
    with cloud.database.write() as session:
        service.let_go(session, layer_id, "image:a")
    cloud.tend("storage.reconcile")
    assert cloud.world.files == {}
    assert cloud.all(Layer) == []


def test_a_row_of_any_room_that_refers_to_a_layer_keeps_it(cloud: Cloud) -> None:
    """Even where the holder forgot to hold: the database is asked before the file goes."""
    parent = cloud.adopted("a", "image:a")
    child = cloud.adopted("b", "image:b", size=2 * GIB)
    with cloud.database.write() as session:
        session.get_one(Layer, child).parent_id = parent
        service.let_go(session, parent, "image:a")
    cloud.tend("storage.reconcile")
    assert {layer.id for layer in cloud.all(Layer)} == {parent, child}
    assert cloud.toy("toy.drop", layer_id=child, holder="image:b").state == "succeeded"
    assert cloud.all(Layer) == []
    assert cloud.world.files == {}


def test_the_guards_refuse_to_write_or_delete_what_others_stand_on(cloud: Cloud) -> None:
    layer_id = cloud.adopted()
    planned(cloud, layer_id)
    layer, head = cloud.all(Layer)[0], cloud.all(Head)[0]
    with cloud.database.read() as session:
        with pytest.raises(Conflict):
            refuse_base(session, layer.path)
        with pytest.raises(Conflict):
            refuse_frozen(session, layer.path)
        with pytest.raises(Conflict):
            refuse_frozen(session, "/elsewhere")
        refuse_base(session, head.path)
        refuse_frozen(session, head.path)


def test_a_volume_whose_row_was_bent_to_a_base_is_neither_made_nor_purged(cloud: Cloud) -> None:
    """A bug or a bent database must not cost a base: the steps ask again before they touch a file."""
    layer_id = cloud.adopted()
    planned(cloud, layer_id)
    made = volume(cloud, "victim")
    layer = cloud.all(Layer)[0]
    with cloud.database.write() as session:
        head = session.query(Head).filter_by(volume_id=made.id).one()
        head.path = layer.path
    cloud.do(lambda ctx: service.delete_volume(ctx, service.get_volume(ctx, made.id)))
    done = cloud.do(lambda ctx: service.purge(ctx, service.get_item(ctx, made.id)))
    assert done.state == "stuck"
    assert cloud.store.inspect(layer.path).exists
    assert cloud.all(Volume)


def test_a_spoilt_layer_cannot_be_stood_on_and_the_same_content_mends_it(cloud: Cloud) -> None:
    layer_id = cloud.adopted()
    layer = cloud.all(Layer)[0]
    for state in (LayerState.MISSING, LayerState.DAMAGED):
        spoil(cloud, layer, state)
        cloud.tend("storage.reconcile")
        assert cloud.all(Layer)[0].state == state
        with cloud.asking() as ctx, pytest.raises(Conflict):
            service.plan_volume(ctx, name="x", size_bytes=GIB, project_id=cloud.project_id, layer_id=layer_id)
        again = adopt(cloud, cloud.layer_file("b"), f"image:{state}")
        assert again.result["value"]["layer_id"] == layer_id
        assert cloud.all(Layer)[0].state == LayerState.ACTIVE
        assert not cloud.store.inspect(layer.path).writable
        assert cloud.notices() == set()


def spoil(cloud: Cloud, layer: Layer, state: LayerState) -> None:
    if state == LayerState.MISSING:
        del cloud.world.files[layer.path]
    else:
        cloud.world.files[layer.path].truncated = True


def test_content_that_rotted_unseen_gives_way_to_the_same_image_brought_in_again(cloud: Cloud) -> None:
    """No row and no time of writing tells of it: only the content does."""
    layer_id = cloud.adopted()
    layer = cloud.all(Layer)[0]
    cloud.world.files[layer.path].content = "rotten"
    cloud.tend("storage.reconcile")
    assert cloud.all(Layer)[0].state == LayerState.ACTIVE
    again = adopt(cloud, cloud.layer_file("b"), "image:b")
    assert again.result["value"]["layer_id"] == layer_id
    assert cloud.store.digest(layer.path, lambda _part: None) == layer.digest
    assert cloud.all(Layer)[0].state == LayerState.ACTIVE


def test_a_mending_that_fails_leaves_the_layer_missing_and_the_next_one_mends_it(cloud: Cloud) -> None:
    layer_id = cloud.adopted()
    del cloud.world.files[cloud.all(Layer)[0].path]
    cloud.world.fail("freeze", 1)
    assert adopt(cloud, cloud.layer_file("b"), "image:b").state == "failed"
    assert cloud.all(Layer)[0].state == LayerState.MISSING
    assert cloud.notices() == {f"layer:{layer_id}"}
    assert adopt(cloud, cloud.layer_file("c"), "image:c").state == "succeeded"
    assert cloud.all(Layer)[0].state == LayerState.ACTIVE
    assert cloud.notices() == set()


def test_a_layer_whose_adoption_was_abandoned_is_looked_at_and_one_that_goes_on_is_not(cloud: Cloud) -> None:
    cloud.adopted()
    layer = cloud.all(Layer)[0]
    file, newcomer = cloud.world.files.pop(layer.path), cloud.layer_file("b")
    cloud.world.fail("delete", 100)
    stuck = adopt(cloud, newcomer, "image:b")
    assert stuck.state == "stuck"
    with cloud.database.write() as session:
        session.get_one(Layer, layer.id).state = LayerState.ADOPTING
        service.hold(session, layer.id, "image:b")
    cloud.world.faults.clear()
    cloud.world.files[layer.path] = file
    cloud.tend("storage.reconcile")
    assert cloud.all(Layer)[0].state == LayerState.ADOPTING
    with cloud.asking() as ctx:
        abandon(ctx, stuck.id)
    cloud.tend("storage.reconcile")
    assert cloud.all(Layer)[0].state == LayerState.ACTIVE
    assert cloud.notices() == set()
