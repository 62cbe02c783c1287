"""The trash: of this room and of those above; restore is undo, purge is by name, time empties it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from tests.storage.conftest import Cloud
from tests.storage.test_volumes import volume
from yun.base.context import Actor
from yun.base.errors import Conflict, Forbidden, NotFound
from yun.base.ids import new_id
from yun.base.messages import _
from yun.base.permissions import NEEDS, Need
from yun.base.units import GIB
from yun.operations.flow import Op, operation, tx_step
from yun.operations.intent import Intent, Subject
from yun.operations.model import Operation
from yun.operations.service import submit
from yun.storage import service
from yun.storage.model import Head, HeadState, TrashItem, Volume, VolumeState
from yun.storage.service.trash import MARGIN


@pytest.fixture(autouse=True)
def kites_ask_for_a_role(monkeypatch: pytest.MonkeyPatch) -> None:
    """The verbs of the kite are there while this module's tests run, and no longer."""
    for verb in ("delete", "purge"):
        monkeypatch.setitem(NEEDS, f"kite.{verb}", Need("member"))



def _catch(op: Op, session: Session, output: Any, kite_id: str) -> None:
    session.execute(sa.delete(TrashItem).where(TrashItem.subject_id == kite_id))


@tx_step(undo=_catch)
def lose(op: Op, session: Session, kite_id: str) -> None:
    """What a room above does with a thing of its own."""
    now = op.clock.now()
    session.add(
        TrashItem(
            kind="kite", subject_id=kite_id, project_id=op.project_id, name="red", bytes=GIB, trashed_at=now,
            purge_at=now + timedelta(days=7), operation_id=op.id,
        )
    )  # fmt: skip


@operation("kite.delete")
def delete_kite(op: Op, kite_id: str) -> None:
    op.step(lose, kite_id)


@tx_step()
def burn(op: Op, session: Session, kite_id: str) -> None:
    session.execute(sa.delete(TrashItem).where(TrashItem.subject_id == kite_id))


@operation("kite.purge")
def purge_kite(op: Op, kite_id: str) -> None:
    op.step(burn, kite_id)


def kite(cloud: Cloud) -> str:
    identifier = new_id("kit")
    subject = Subject("kite", identifier, "red")
    cloud.do(
        lambda _ctx: Intent("kite.delete", _("Delete kite"), subject, {"kite_id": identifier}, cloud.project_id)
    )
    return identifier


def trashed(cloud: Cloud, name: str = "data") -> Volume:
    made = volume(cloud, name)
    done = cloud.do(lambda ctx: service.delete_volume(ctx, service.get_volume(ctx, made.id)))
    assert done.state == "succeeded", done.error
    return made


def test_a_deleted_volume_lies_in_the_trash_with_all_that_matters(cloud: Cloud) -> None:
    made = trashed(cloud)
    item = cloud.all(TrashItem)[0]
    assert (item.kind, item.subject_id, item.name, item.bytes) == ("volume", made.id, "data", made.size_bytes)
    assert item.purge_at - item.trashed_at == timedelta(days=cloud.settings.undo_days) + MARGIN
    assert cloud.all(Head)[0].state == HeadState.TRASHED
    with cloud.asking() as ctx:
        assert service.list_volumes(ctx).items == []
        assert [v.id for v in service.list_volumes(ctx, state="trashed").items] == [made.id]
        with pytest.raises(Conflict):
            service.delete_volume(ctx, service.get_volume(ctx, made.id))


@pytest.mark.parametrize("by", ["id", "subject_id", "name"])
def test_restore_brings_it_back_by_any_name(cloud: Cloud, by: str) -> None:
    trashed(cloud)
    reference = getattr(cloud.all(TrashItem)[0], by)
    done = cloud.do(lambda ctx: service.restore(ctx, service.get_item(ctx, reference)))
    assert done.state == "succeeded"
    assert cloud.all(TrashItem) == []
    assert cloud.all(Volume)[0].state == VolumeState.AVAILABLE
    assert cloud.all(Head)[0].state == HeadState.CURRENT


def test_a_thing_of_a_room_above_is_restored_and_purged_without_knowing_that_room(cloud: Cloud) -> None:
    first = kite(cloud)
    assert cloud.do(lambda ctx: service.restore(ctx, service.get_item(ctx, first))).state == "succeeded"
    assert cloud.all(TrashItem) == []
    second = kite(cloud)
    done = cloud.do(lambda ctx: service.purge(ctx, service.get_item(ctx, second)))
    assert (done.kind, done.state) == ("kite.purge", "succeeded")
    assert cloud.all(TrashItem) == []


def test_purging_removes_file_and_rows_and_closes_the_way_back(cloud: Cloud) -> None:
    made = trashed(cloud)
    delete = cloud.all(TrashItem)[0].operation_id
    done = cloud.do(lambda ctx: service.purge(ctx, service.get_item(ctx, made.id)))
    assert done.state == "succeeded"
    assert not done.undoable
    assert (cloud.all(Volume), cloud.all(Head), cloud.all(TrashItem), cloud.world.files) == ([], [], [], {})
    with pytest.raises(Conflict):
        cloud.undo(delete)


def test_time_empties_the_trash_of_every_room_and_orders_nothing_twice(cloud: Cloud) -> None:
    trashed(cloud)
    kite(cloud)
    cloud.tend("trash.purge_expired")
    assert len(cloud.all(TrashItem)) == 2
    cloud.clock.advance(7 * 86400 + MARGIN.total_seconds() - 1)
    cloud.tend("trash.purge_expired")
    assert [i.kind for i in cloud.all(TrashItem)] == ["volume"]
    cloud.clock.advance(1)
    cloud.tend("trash.purge_expired")
    assert (cloud.all(TrashItem), cloud.all(Volume), cloud.world.files) == ([], [], {})
    cloud.tend("trash.purge_expired")
    purges = cloud.read(lambda s: list(s.scalars(sa.select(Operation.kind).where(Operation.kind.endswith(".purge")))))
    assert sorted(purges) == ["kite.purge", "volume.purge"]


def test_an_item_of_an_unknown_kind_waits_for_a_room_that_knows_it(cloud: Cloud) -> None:
    now = cloud.clock.now()
    with cloud.database.write() as session:
        session.add(TrashItem(kind="ufo", subject_id="x", project_id=None, name="x", trashed_at=now, purge_at=now))
    cloud.tend("trash.purge_expired")
    assert [i.kind for i in cloud.all(TrashItem)] == ["ufo"]


def test_what_was_brought_back_while_its_purge_waited_is_not_purged(cloud: Cloud) -> None:
    made = trashed(cloud)
    with cloud.asking() as ctx:
        item = service.get_item(ctx, made.id)
        submit(ctx, service.restore(ctx, item))
        with pytest.raises(Conflict):
            service.purge(ctx, item)
        submit(ctx, service.purge_intent(item))
    cloud.engine.drain()
    assert cloud.all(Volume)[0].state == VolumeState.AVAILABLE
    assert len(cloud.world.files) == 1


def test_what_is_being_brought_back_is_not_purged_though_its_time_is_over(cloud: Cloud) -> None:
    made = trashed(cloud)
    cloud.tend("trash.purge_expired")
    cloud.clock.advance(8 * 86400)
    with cloud.asking() as ctx:
        submit(ctx, service.restore(ctx, service.get_item(ctx, made.id)))
        assert service.due(ctx) == []
    cloud.engine.drain()
    assert cloud.all(Volume)[0].state == VolumeState.AVAILABLE


def test_a_clock_that_jumps_ahead_empties_no_trash_before_it_has_stood_right_for_an_hour(cloud: Cloud) -> None:
    trashed(cloud)
    cloud.tend("trash.purge_expired")
    cloud.clock.time += timedelta(days=9)
    cloud.tend("trash.purge_expired")
    assert cloud.notices() == {"clock-jump"}
    for minutes in (1, 30, 28):
        cloud.clock.advance(minutes * 60)
        cloud.tend("trash.purge_expired")
    assert len(cloud.all(TrashItem)) == 1
    cloud.clock.advance(60)
    cloud.tend("trash.purge_expired")
    assert (cloud.all(TrashItem), cloud.notices()) == ([], set())


def test_a_clock_that_jumps_and_is_put_right_has_emptied_nothing(cloud: Cloud) -> None:
    trashed(cloud)
    cloud.tend("trash.purge_expired")
    for days in (9, -9):
        cloud.clock.time += timedelta(days=days)
        cloud.tend("trash.purge_expired")
        cloud.clock.advance(60)
    cloud.clock.advance(3600)
    cloud.tend("trash.purge_expired")
    assert (len(cloud.all(TrashItem)), cloud.notices()) == (1, set())


@pytest.mark.parametrize("looked", [True, False])
def test_a_host_that_comes_up_days_ahead_empties_no_trash_at_once(cloud: Cloud, looked: bool) -> None:
    made = trashed(cloud)
    if looked:
        cloud.tend("trash.purge_expired")
    cloud.clock.time += timedelta(days=9)
    cloud.clock.ticks = -1.0
    cloud.tend("trash.purge_expired")
    assert (len(cloud.all(TrashItem)), cloud.notices()) == (1, {"clock-jump"})
    done = cloud.do(lambda ctx: service.purge(ctx, service.get_item(ctx, made.id)))
    assert (done.state, cloud.all(TrashItem)) == ("succeeded", [])


def test_a_purge_under_way_is_not_ordered_again(cloud: Cloud) -> None:
    made = trashed(cloud)
    with cloud.asking() as ctx:
        submit(ctx, service.purge(ctx, service.get_item(ctx, made.id)))
        with pytest.raises(Conflict):
            service.purge(ctx, service.get_item(ctx, made.id))


def test_a_purge_that_meets_a_broken_disk_goes_on_when_it_is_mended(cloud: Cloud) -> None:
    made = trashed(cloud)
    cloud.world.fail("delete", 2, retryable=True)
    assert cloud.do(lambda ctx: service.purge(ctx, service.get_item(ctx, made.id))).state == "succeeded"
    assert cloud.world.files == {}


def test_several_things_of_one_name_are_told_apart_by_id(cloud: Cloud) -> None:
    kite(cloud)
    kite(cloud)
    with cloud.asking() as ctx, pytest.raises(Conflict) as caught:
        service.get_item(ctx, "red")
    assert all(i.id in caught.value.hint.render("en") for i in cloud.all(TrashItem))  # type: ignore[union-attr]


def test_another_projects_trash_does_not_exist_and_a_reader_only_looks(cloud: Cloud, stranger: Actor) -> None:
    made = trashed(cloud)
    with cloud.asking(actor=stranger, project_id="prj_other") as ctx:
        assert service.list_trash(ctx).items == []
        with pytest.raises(NotFound):
            service.get_item(ctx, made.id)
    reader = Actor("user", "usr_r", "rita", {cloud.project_id: "reader"})
    with cloud.asking(actor=reader) as ctx:
        item = service.get_item(ctx, made.id)
        assert [i.id for i in service.list_trash(ctx, kind="volume").items] == [item.id]
        with pytest.raises(Forbidden):
            service.restore(ctx, item)
        with pytest.raises(Forbidden):
            service.purge(ctx, item)
