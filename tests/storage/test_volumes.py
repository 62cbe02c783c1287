"""Volumes: sizes, names, bases, promises; made, deleted, brought back, purged; every way it can go wrong."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from tests.storage.conftest import Cloud
from yun.base.context import Actor
from yun.base.errors import Conflict, Forbidden, Invalid, NoCapacity, NotFound
from yun.base.units import GIB, MIB, PIB
from yun.operations.service import submit
from yun.storage import service
from yun.storage.model import Attachment, Head, Layer, Pool, TrashItem, Volume, VolumeState
from yun.storage.spec import disks_of, pool_path_of


def volume(cloud: Cloud, name: str = "data", size: int = 10 * GIB) -> Volume:
    done = cloud.do(lambda ctx: service.create_volume(ctx, name=name, size_bytes=size))
    assert done.state == "succeeded", done.error
    return next(v for v in cloud.all(Volume) if v.name == name)


def planned(cloud: Cloud, layer_id: str | None, size: int = 10 * GIB, name: str = "web") -> str:
    """A volume as a room above makes one: planned and written in its own operation, made by our step."""

    def make(ctx):  # type: ignore[no-untyped-def]
        plan = service.plan_volume(ctx, name=name, size_bytes=size, project_id=cloud.project_id, layer_id=layer_id)
        intent = service.create_volume(ctx, name=f"unused-{name}", size_bytes=size)
        return type(intent)(**{
            **vars(intent), "arguments": {"volume_id": plan.volume_id}, "write": plan.write, "keys": (),
            "subject": type(intent.subject)("volume", plan.volume_id, plan.name),
        })  # fmt: skip

    done = cloud.do(make)
    assert done.state == "succeeded", done.error
    return str(done.arguments["volume_id"])


def test_a_volume_is_a_head_on_the_disk_and_rows_that_say_so(cloud: Cloud) -> None:
    made = volume(cloud)
    head = cloud.all(Head)[0]
    assert (made.state, made.size_bytes, made.project_id) == (VolumeState.AVAILABLE, 10 * GIB, cloud.project_id)
    facts = cloud.store.inspect(head.path)
    assert (facts.virtual_bytes, facts.backing, facts.writable) == (10 * GIB, "", True)
    assert head.path.startswith(cloud.pool.path + "/heads/")


@pytest.mark.parametrize("size", [0, -1, -(10**18), MIB - 1, 10 * PIB, 2**80])
def test_an_absurd_size_is_refused_and_changes_nothing(cloud: Cloud, size: int) -> None:
    before = cloud.rows()
    with cloud.asking() as ctx, pytest.raises(Invalid) as caught:
        service.create_volume(ctx, name="v", size_bytes=size)
    assert list(caught.value.fields) == ["size_bytes"]
    assert cloud.rows() == before


def test_a_size_is_rounded_up_to_whole_mebibytes(cloud: Cloud) -> None:
    assert volume(cloud, size=10**10).size_bytes == -(-(10**10) // MIB) * MIB


@pytest.mark.parametrize(
    "name", ["", "  ", "a/b", "a\\b", "a\nb", "a\0b", "\u202eevil", "x" * 300, "vol_01k9zzzzzzzzzzzzzzzzzzzzzz"]
)
def test_a_name_that_cannot_be_is_refused(cloud: Cloud, name: str) -> None:
    with cloud.asking() as ctx, pytest.raises(Invalid) as caught:
        service.create_volume(ctx, name=name, size_bytes=GIB)
    assert list(caught.value.fields) == ["name"]


@pytest.mark.parametrize("name", ["数据盘", "my data", "<b>&'\"; rm -rf $HOME", "👩‍👩‍👧"])
def test_any_readable_name_is_welcome_and_kept(cloud: Cloud, name: str) -> None:
    assert volume(cloud, name).name == name


def test_a_taken_name_is_refused_also_when_it_lies_in_the_trash(cloud: Cloud) -> None:
    made = volume(cloud)
    with cloud.asking() as ctx, pytest.raises(Conflict) as caught:
        service.create_volume(ctx, name="data", size_bytes=GIB)
    assert "name" in caught.value.fields
    cloud.do(lambda ctx: service.delete_volume(ctx, service.get_volume(ctx, made.id)))
    with cloud.asking() as ctx, pytest.raises(Conflict):
        service.create_volume(ctx, name="data", size_bytes=GIB)


def test_two_that_ask_for_one_name_at_once_do_not_both_get_it(cloud: Cloud) -> None:
    with cloud.asking() as ctx:
        first = service.create_volume(ctx, name="data", size_bytes=GIB)
        second = service.create_volume(ctx, name="data", size_bytes=GIB)
        submit(ctx, first)
        with pytest.raises(Conflict):
            submit(ctx, second)


def test_a_planned_volume_takes_the_next_free_name(cloud: Cloud) -> None:
    volume(cloud, "web")
    assert planned(cloud, None, name="web") != planned(cloud, None, name="web")
    assert sorted(v.name for v in cloud.all(Volume)) == ["web", "web-2", "web-3"]


def test_a_volume_on_a_layer_stands_on_its_file_and_is_no_smaller(cloud: Cloud) -> None:
    layer_id = cloud.adopted(size=2 * GIB)
    layer = cloud.all(Layer)[0]
    volume_id = planned(cloud, layer_id)
    path = cloud.read(lambda s: service.disk_path(s, volume_id))
    assert cloud.store.inspect(path).backing == layer.path
    with cloud.asking() as ctx, pytest.raises(Invalid) as caught:
        service.plan_volume(ctx, name="x", size_bytes=GIB, project_id=cloud.project_id, layer_id=layer_id)
    assert "2 GiB" in caught.value.fields["size_bytes"].render("en")
    with cloud.asking() as ctx, pytest.raises(NotFound):
        service.plan_volume(ctx, name="x", size_bytes=GIB, project_id=cloud.project_id, layer_id="lay_none")


def test_undoing_a_creation_keeps_the_data_in_the_trash_and_undoing_that_brings_it_back(cloud: Cloud) -> None:
    done = cloud.do(lambda ctx: service.create_volume(ctx, name="v", size_bytes=GIB))
    rows, disk = cloud.rows(), cloud.world.snapshot()
    back = cloud.undo(done.id)
    assert back.state == "succeeded"
    assert cloud.all(Volume)[0].state == VolumeState.TRASHED
    assert cloud.world.snapshot() == disk, "not a byte of it is gone"
    assert cloud.undo(back.id).state == "succeeded"
    assert (cloud.rows(), cloud.world.snapshot()) == (rows, disk)


def test_deleting_and_undoing_leaves_the_cloud_and_the_disk_as_they_were(cloud: Cloud) -> None:
    made = volume(cloud)
    rows, disk = cloud.rows(), cloud.world.snapshot()
    done = cloud.do(lambda ctx: service.delete_volume(ctx, service.get_volume(ctx, made.id)))
    assert done.state == "succeeded"
    assert cloud.world.snapshot() == disk
    assert cloud.all(Volume)[0].state == VolumeState.TRASHED
    assert cloud.undo(done.id).state == "succeeded"
    assert (cloud.rows(), cloud.world.snapshot()) == (rows, disk)


def test_a_failing_disk_fails_the_operation_and_leaves_nothing(cloud: Cloud) -> None:
    rows, disk = cloud.rows(), cloud.world.snapshot()
    cloud.world.fail("create_head")
    done = cloud.do(lambda ctx: service.create_volume(ctx, name="v", size_bytes=GIB))
    assert done.state == "failed"
    assert (cloud.rows(), cloud.world.snapshot()) == (rows, disk)


def test_a_full_disk_fails_the_operation_clearly_and_leaves_nothing(cloud: Cloud) -> None:
    cloud.world.fill()
    rows = cloud.rows()
    done = cloud.do(lambda ctx: service.create_volume(ctx, name="v", size_bytes=GIB))
    assert done.state == "failed"
    assert done.error is not None
    assert done.error["code"] == "no_capacity"
    assert cloud.rows() == rows


@pytest.mark.parametrize("after", [False, True])
def test_a_storage_that_is_away_for_a_moment_is_waited_for(cloud: Cloud, after: bool) -> None:
    cloud.world.fail("create_head", 3, retryable=True, after=after)
    assert volume(cloud).state == VolumeState.AVAILABLE


def test_an_attached_volume_is_not_deleted_and_its_place_is_told(cloud: Cloud) -> None:
    made, other = volume(cloud), volume(cloud, "other")
    with cloud.database.write() as session:
        service.attach(session, volume_id=made.id, instance_id="ins_x", slot="vda", boot_order=1)
        service.attach(session, volume_id=made.id, instance_id="ins_x", slot="vda", boot_order=1)
        service.attach(session, volume_id=other.id, instance_id="ins_x", slot="vdb")
        with pytest.raises(Conflict):
            service.attach(session, volume_id=made.id, instance_id="ins_y", slot="vda")
    with cloud.asking() as ctx, pytest.raises(Conflict) as caught:
        service.delete_volume(ctx, service.get_volume(ctx, made.id))
    assert caught.value.details == {"instance_id": "ins_x"}
    disks = cloud.read(lambda s: disks_of(s, "ins_x"))
    assert [(d.slot, d.boot_order, d.format) for d in disks] == [("vda", 1, "qcow2"), ("vdb", None, "qcow2")]
    assert all(len(d.serial) == 20 for d in disks)
    assert disks[0].serial != disks[1].serial
    assert cloud.read(lambda s: pool_path_of(s, "ins_x")) == cloud.pool.path
    assert cloud.read(lambda s: pool_path_of(s, "ins_none")) == cloud.pool.path
    with cloud.database.write() as session:
        service.detach(session, made.id)
    assert [a.volume_id for a in cloud.all(Attachment)] == [other.id]


def test_promises_count_the_trash_until_it_is_purged(cloud: Cloud) -> None:
    made = volume(cloud)
    before = cloud.read(lambda s: service.pool_room(s, s.get(Pool, cloud.pool.id)).promised)
    cloud.do(lambda ctx: service.delete_volume(ctx, service.get_volume(ctx, made.id)))
    assert cloud.read(lambda s: service.pool_room(s, s.get(Pool, cloud.pool.id)).promised) == before
    cloud.do(lambda ctx: service.purge(ctx, service.get_item(ctx, made.id)))
    assert cloud.read(lambda s: service.pool_room(s, s.get(Pool, cloud.pool.id)).promised) == 0
    assert cloud.all(TrashItem) == []


def test_a_new_volume_is_not_called_like_an_option_but_one_that_is_can_be_used(cloud: Cloud) -> None:
    with cloud.asking() as ctx, pytest.raises(Invalid) as caught:
        service.create_volume(ctx, name="-rf", size_bytes=GIB)
    assert "hyphen" in caught.value.message.render("en")
    assert list(caught.value.fields) == ["name"]
    cloud.do(lambda ctx: service.create_volume(ctx, name="rf", size_bytes=GIB))
    with cloud.database.write() as session:
        session.execute(sa.update(Volume).values(name="-rf"))
    cloud.do(lambda ctx: service.tag_volume(ctx, service.get_volume(ctx, "-rf"), ["old"]))
    cloud.do(lambda ctx: service.delete_volume(ctx, service.get_volume(ctx, "-rf")))
    assert cloud.all(Volume)[0].state == "trashed"


def test_capacity_is_checked_again_when_the_rows_are_written(cloud: Cloud) -> None:
    cloud.world.capacity = 4 * GIB
    cloud.tend()
    cloud.do(lambda ctx: service.update_pool(ctx, "default", service.PoolChanges(overcommit=1.0, reserve_bytes=0)))
    with cloud.asking() as ctx:
        first = service.create_volume(ctx, name="a", size_bytes=3 * GIB)
        second = service.create_volume(ctx, name="b", size_bytes=3 * GIB)
        submit(ctx, first)
        with pytest.raises(NoCapacity):
            submit(ctx, second)


def test_another_projects_volume_does_not_exist_and_a_reader_changes_nothing(
    cloud: Cloud, member: Actor, stranger: Actor
) -> None:
    made = volume(cloud)
    with cloud.asking(actor=stranger, project_id="prj_other") as ctx:
        assert service.list_volumes(ctx).items == []
        for reference in (made.id, made.name):
            with pytest.raises(NotFound):
                service.get_volume(ctx, reference)
    reader = Actor("user", "usr_r", "rita", {cloud.project_id: "reader"})
    with cloud.asking(actor=reader) as ctx:
        assert service.get_volume(ctx, "data").id == made.id
        with pytest.raises(Forbidden):
            service.create_volume(ctx, name="v", size_bytes=GIB)
        with pytest.raises(Forbidden):
            service.delete_volume(ctx, made)
    with cloud.asking(actor=member) as ctx:
        assert service.delete_volume(ctx, made).kind == "volume.delete"


def test_lists_are_filtered_sorted_and_paged(cloud: Cloud) -> None:
    for number in range(5):
        volume(cloud, f"v{number}", (number + 1) * GIB)
    with cloud.asking() as ctx:
        page = service.list_volumes(ctx, sort="-size_bytes", limit=2)
        assert [v.name for v in page.items] == ["v4", "v3"]
        rest = service.list_volumes(ctx, sort="-size_bytes", limit=2, cursor=page.next)
        assert [v.name for v in rest.items] == ["v2", "v1"]
        assert [v.name for v in service.list_volumes(ctx, q="3").items] == ["v3"]
        assert service.list_volumes(ctx, q="%").items == []
        assert service.list_volumes(ctx, state="trashed").items == []
        with pytest.raises(Invalid):
            service.list_volumes(ctx, state="flying")
        with pytest.raises(NotFound):
            service.list_volumes(ctx, pool="none")
