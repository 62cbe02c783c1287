"""Pools: the first one makes itself; limits, promises, and what is refused."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from tests.storage.conftest import Cloud
from yun.base.context import Actor
from yun.base.errors import Conflict, Forbidden, Invalid, NoCapacity, NotFound, Unavailable
from yun.base.units import GIB, TIB
from yun.images.model import Image
from yun.storage import service
from yun.storage.capacity import check
from yun.storage.model import Pool, PoolState
from yun.storage.service import PoolChanges


def test_the_first_pool_is_the_default_one(cloud: Cloud) -> None:
    pool = cloud.pool
    assert (pool.name, pool.is_default, pool.state) == ("default", True, PoolState.ACTIVE)
    assert pool.capacity_bytes == cloud.world.capacity
    assert pool.path in cloud.world.pools
    cloud.tend()
    assert len(cloud.all(Pool)) == 1


def test_where_there_is_no_pool_yet_that_is_said(cloud: Cloud) -> None:
    with cloud.database.write() as session:
        session.delete(session.merge(cloud.pool))
    with cloud.asking() as ctx, pytest.raises(Unavailable):
        service.default_pool(ctx.session)


def test_a_second_pool_is_made_and_deleted_and_undo_brings_it_back(cloud: Cloud) -> None:
    done = cloud.do(lambda ctx: service.create_pool(ctx, name="fast", path="/srv/fast"))
    assert done.state == "succeeded"
    assert not done.undoable
    assert "/srv/fast" in cloud.world.pools
    before = cloud.rows()
    gone = cloud.do(lambda ctx: service.delete_pool(ctx, "fast"))
    assert gone.state == "succeeded"
    assert "/srv/fast" not in cloud.world.pools
    assert [p.name for p in cloud.all(Pool)] == ["default"]
    assert cloud.undo(gone.id).state == "succeeded"
    assert cloud.rows() == before
    assert "/srv/fast" in cloud.world.pools


@pytest.mark.parametrize(
    ("name", "path", "field"),
    [
        ("Über", "/srv/x", "name"), ("", "/srv/x", "name"), ("a/b", "/srv/x", "name"), ("a" * 80, "/srv/x", "name"),
        ("ok", "srv", "path"), ("ok", "/srv/../etc", "path"), ("ok", "/srv/\n", "path"),
        ("ok", "/" + "a" * 300, "path"), ("ok", "/srv/a,b", "path"), ("ok", "/srv/x/", "path"),
        *(("ok", place, "path") for place in (
            "/", "/etc", "/etc/yun", "/proc/x", "/sys", "/dev", "/dev/shm/x", "/run", "/run/yun", "/usr/local/yun",
            "/boot", "/var/run/x", "/var", "/var/lib", "/var/lib/dpkg/x", "/srv", "/home", "/lib64/x",
        )),
    ],
)  # fmt: skip
def test_a_pool_with_a_wrong_name_or_place_is_refused(cloud: Cloud, name: str, path: str, field: str) -> None:
    with cloud.asking() as ctx, pytest.raises(Invalid) as caught:
        service.create_pool(ctx, name=name, path=path)
    assert list(caught.value.fields) == [field]
    assert "/srv/yun" in caught.value.fields[field].render("en") or field == "name"


def test_a_pool_may_lie_where_disks_do_and_below_yun_s_own_directory_but_not_in_its_place(cloud: Cloud) -> None:
    with cloud.asking() as ctx:
        own = str(ctx.settings.state_dir)
        for path in ("/srv/yun", "/var/lib/yun-disks", "/home/yun/disks", "/mnt/a", "/etcetera", own + "/fast"):
            service.create_pool(ctx, name="ok", path=path)
        for path in (own, own.rpartition("/")[0]):
            with pytest.raises(Invalid) as caught:
                service.create_pool(ctx, name="ok", path=path)
            assert list(caught.value.fields) == ["path"]


def test_a_directory_that_the_host_refuses_fails_and_leaves_no_row(cloud: Cloud) -> None:
    cloud.world.fail("prepare_pool")
    done = cloud.do(lambda ctx: service.create_pool(ctx, name="bad", path="/srv/bad"))
    assert done.state == "failed"
    assert done.error is not None
    assert done.error["code"] == "driver_error"
    assert len(cloud.all(Pool)) == 1


def test_pools_do_not_share_a_name_a_directory_or_lie_inside_of_each_other(cloud: Cloud) -> None:
    with cloud.asking() as ctx:
        with pytest.raises(Conflict):
            service.create_pool(ctx, name="default", path="/srv/x")
        with pytest.raises(Conflict):
            service.create_pool(ctx, name="x", path=cloud.pool.path)
        with pytest.raises(Invalid):
            service.create_pool(ctx, name="x", path=cloud.pool.path + "/heads")


def test_a_pool_that_is_full_or_the_default_is_not_deleted(cloud: Cloud) -> None:
    with cloud.asking() as ctx, pytest.raises(Conflict):
        service.delete_pool(ctx, "default")
    cloud.do(lambda ctx: service.create_pool(ctx, name="fast", path="/srv/fast"))
    cloud.do(lambda ctx: service.create_volume(ctx, name="v", size_bytes=GIB, pool="fast"))
    with cloud.asking() as ctx, pytest.raises(Conflict):
        service.delete_pool(ctx, "fast")


def test_limits_change_and_change_back_and_one_pool_stays_the_default(cloud: Cloud) -> None:
    cloud.do(lambda ctx: service.create_pool(ctx, name="fast", path="/srv/fast"))
    before = cloud.rows()
    done = cloud.do(
        lambda ctx: service.update_pool(ctx, "fast", PoolChanges(overcommit=1.5, reserve_bytes=GIB, is_default=True))
    )
    assert done.state == "succeeded"
    assert [p.name for p in cloud.all(Pool) if p.is_default] == ["fast"]
    cloud.undo(done.id)
    assert cloud.rows() == before


@pytest.mark.parametrize(
    "changes",
    [PoolChanges(), PoolChanges(overcommit=0.5), PoolChanges(reserve_bytes=-1), PoolChanges(is_default=False)],
)
def test_wrong_limits_are_refused(cloud: Cloud, changes: PoolChanges) -> None:
    with cloud.asking() as ctx, pytest.raises(Invalid):
        service.update_pool(ctx, "default", changes)


def test_more_than_may_be_promised_is_refused_and_what_is_short_is_named(cloud: Cloud) -> None:
    cloud.do(lambda ctx: service.update_pool(ctx, "default", PoolChanges(overcommit=2.0)))
    cloud.world.capacity = 4 * TIB
    cloud.tend()
    cloud.do(lambda ctx: service.create_volume(ctx, name="big", size_bytes=7 * TIB))
    with cloud.asking() as ctx:
        with pytest.raises(NoCapacity) as caught:
            service.create_volume(ctx, name="more", size_bytes=2 * TIB)
        assert caught.value.details["short_bytes"] == TIB
        assert "1 TiB" in caught.value.message.render("en")
        assert {n: right.render("en") for n, right in caught.value.fields.items()} == {"size_bytes": "at most 1 TiB"}
        preview = service.create_volume(ctx, name="fits", size_bytes=TIB // 2)
        assert "512 GiB" in preview.capacity[0].render("en")


def test_a_nearly_full_disk_refuses_new_volumes_and_tells_the_operator(cloud: Cloud) -> None:
    cloud.world.fill()
    cloud.tend()
    assert f"pool-full:{cloud.pool.id}" in cloud.notices()
    with cloud.asking() as ctx, pytest.raises(NoCapacity) as caught:
        check(ctx.session, ctx.session.merge(replace_free(cloud.pool)), 0, now=1)
    assert caught.value.hint is not None
    cloud.world.capacity = TIB
    cloud.tend()
    assert cloud.notices() == set()


def replace_free(pool: Pool) -> Pool:
    """The pool with enough to promise and nothing free: the other of the two limits."""
    pool.used_bytes, pool.free_bytes = TIB, 0
    return pool


def test_a_pool_that_is_away_is_said_so_and_comes_back(cloud: Cloud) -> None:
    cloud.world.pools.clear()
    cloud.tend()
    assert cloud.pool.state == PoolState.UNREACHABLE
    assert f"pool:{cloud.pool.id}" in cloud.notices()
    with cloud.asking() as ctx, pytest.raises(Unavailable):
        service.create_volume(ctx, name="v", size_bytes=GIB)
    cloud.world.pools.add(cloud.pool.path)
    cloud.tend()
    assert cloud.pool.state == PoolState.ACTIVE
    assert cloud.notices() == set()


def test_looking_at_space_does_not_move_a_pools_revision(cloud: Cloud) -> None:
    before = cloud.pool.revision
    cloud.do(lambda ctx: service.create_volume(ctx, name="v", size_bytes=GIB))
    cloud.tend()
    assert cloud.pool.used_bytes > 0
    assert cloud.pool.revision == before


def test_members_see_pools_and_only_administrators_change_them(cloud: Cloud, member: Actor) -> None:
    with cloud.asking(actor=member) as ctx:
        assert [p.name for p in service.list_pools(ctx).items] == ["default"]
        with pytest.raises(Forbidden):
            service.create_pool(ctx, name="x", path="/srv/x")
        with pytest.raises(Forbidden):
            service.update_pool(ctx, "default", PoolChanges(overcommit=9))
        with pytest.raises(Forbidden):
            service.delete_pool(ctx, "default")
        with pytest.raises(NotFound):
            service.get_pool(ctx, "none")


def test_a_new_pool_of_the_same_name_or_place_stands_in_the_way_of_undoing_a_deletion(cloud: Cloud) -> None:
    made = cloud.do(lambda ctx: service.create_pool(ctx, name="fast", path="/srv/fast"))
    gone = cloud.do(lambda ctx: service.delete_pool(ctx, "fast"))
    for name, path in (("fast", "/srv/other"), ("other", "/srv/fast")):
        again = cloud.do(lambda ctx, n=name, p=path: service.create_pool(ctx, name=n, path=p))
        assert (made.state, again.state) == ("succeeded", "succeeded")
        with pytest.raises(Conflict) as caught:
            cloud.undo(gone.id)
        assert caught.value.details["blockers"][0]["id"] == again.id
        cloud.do(lambda ctx, n=name: service.delete_pool(ctx, n))


def test_an_undo_that_finds_its_pools_place_taken_ends_failed_and_takes_nothing_back(cloud: Cloud) -> None:
    """However the place was taken: the undo looks before it touches anything."""
    cloud.do(lambda ctx: service.create_pool(ctx, name="fast", path="/srv/fast"))
    gone = cloud.do(lambda ctx: service.delete_pool(ctx, "fast"))
    with cloud.database.write() as session:
        session.add(Pool(host_id=cloud.pool.host_id, name="fast", path="/srv/elsewhere"))
    done = cloud.undo(gone.id)
    assert done.state == "failed"
    assert done.error is not None
    assert done.error["code"] == "conflict"
    assert "/srv/fast" not in cloud.world.pools
    assert cloud.operation(gone.id).state == "succeeded"


def test_a_pool_that_a_room_above_still_uses_is_not_deleted(cloud: Cloud) -> None:
    cloud.do(lambda ctx: service.create_pool(ctx, name="fast", path="/srv/fast"))
    with cloud.database.write() as session:
        pool_id = session.scalars(sa.select(Pool.id).where(Pool.name == "fast")).one()
        session.add(
            Image(project_id=cloud.project_id, name="tiny", state="importing", pool_id=pool_id, source="upload")
        )
    done = cloud.do(lambda ctx: service.delete_pool(ctx, "fast"))
    assert done.state == "failed"
    assert done.error is not None
    assert done.error["code"] == "conflict"
    assert "/srv/fast" in cloud.world.pools
    assert len(cloud.all(Pool)) == 2
