"""The tree of an instance's past: nodes of what runs and what is off, and the ways back, without memory."""

from __future__ import annotations

import pytest

from tests.compute.conftest import Lab, both
from tests.snapshots.conftest import Past
from yun.base.errors import Conflict, Invalid, NotFound, YunError
from yun.base.messages import _
from yun.compute import service as compute
from yun.compute.model import Instance
from yun.compute.model import State as InstanceState
from yun.drivers.volume.fake import FakeFile
from yun.operations.intent import Intent, Subject
from yun.operations.model import Notice, State
from yun.snapshots import service
from yun.snapshots.model import Present, Snapshot, SnapshotDisk
from yun.snapshots.service import RestoreWish, SnapshotWish
from yun.storage import service as storage
from yun.storage.model import Layer, LayerHold, Pool, TrashItem, Volume

GIB = 1 << 30


@both
def test_a_running_machine_is_kept_and_goes_on(lab: Lab) -> None:
    lab.create()
    past = Past(lab)
    past.meet()
    before = past.head()
    past.take("first", note=" before the upgrade ")
    row = past.row("first")
    assert (row.state, row.power, row.consistency) == ("available", "running", "quiesced")
    assert row.note == "before the upgrade"
    assert row.definition["memory_mib"] == lab.row().memory_mib
    disk = lab.rows(SnapshotDisk)[0]
    layer = next(x for x in lab.rows(Layer) if x.id == disk.layer_id)
    assert layer.path == before.path
    assert past.head().layer_id == layer.id
    assert [hold.holder for hold in lab.rows(LayerHold) if hold.layer_id == layer.id] == [f"snapshot:{row.id}"]
    assert (lab.row().state, lab.domain().boots) == (InstanceState.RUNNING, 1), "it went on"
    assert past.tree() == ([(0, "first")], "first")
    assert lab.events("snapshot.created")[0].data["consistency"] == "quiesced"


@both
def test_one_goes_back_and_back_again_and_nothing_is_lost(lab: Lab) -> None:
    lab.create()
    past = Past(lab)
    past.meet()
    past.write("one ")
    past.take("first")
    past.write("two ")
    done = past.restore("first", start=True)
    assert "two" not in past.reads()
    assert "one" in past.reads()
    assert past.tree() == ([(0, "first"), (1, "before-first")], "first")
    assert lab.row().state == InstanceState.RUNNING
    past.write("three ")
    past.restore("before-first")
    assert "two" in past.reads()
    assert "three" not in past.reads()
    nodes, here = past.tree()
    assert nodes == [(0, "first"), (1, "before-first"), (1, "before-before-first")]
    assert here == "before-first"
    past.restore("before-before-first")
    assert "three" in past.reads()
    assert "two" not in past.reads()
    assert lab.operation(done).undoable


def test_undo_of_a_restore_brings_the_present_back(past: Past) -> None:
    past.write("one ")
    past.take("first")
    past.write("two ")
    done = past.restore("first")
    past.lab.undo(done)
    assert past.lab.operation(done).state == State.UNDONE
    assert "two" in past.reads()
    assert past.lab.row().state == InstanceState.RUNNING


def test_what_is_off_stays_off_and_a_disk_that_was_not_written_to_is_not_frozen_twice(lab: Lab) -> None:
    lab.create(start=False)
    past = Past(lab)
    past.write("one ")
    past.take("first")
    past.take("again")
    layers = {d.snapshot_id: d.layer_id for d in lab.rows(SnapshotDisk)}
    assert len(layers) == 2
    assert len(set(layers.values())) == 1, "both have the same frozen file"
    past.write("two ")
    past.restore("again")
    assert lab.row().state == InstanceState.STOPPED
    assert "two" not in past.reads()
    assert [row.consistency for row in lab.rows(Snapshot)] == ["stopped"] * 3


def test_without_keeping_the_present_it_is_lost_and_that_is_said(past: Past) -> None:
    past.take("first")
    past.write("two ")
    with past.lab.asking() as ctx:
        intent = service.restore(ctx, service.get(ctx, "first"), RestoreWish(keep=False))
    assert not intent.undoable
    assert intent.destroys
    past.restore("first", keep=False)
    assert "two" not in past.reads()
    assert past.tree() == ([(0, "first")], "first")
    there = {f for f in past.files if "/heads/" in f}
    frozen = {x.path for x in past.lab.rows(Layer) if "/heads/" in x.path}
    assert there == {past.head().path} | frozen, "no file is left"


def test_a_disk_that_was_added_since_stays_as_a_volume_or_goes_to_the_trash(past: Past) -> None:
    past.take("first")
    for name in ("data", "more"):
        past.do(lambda ctx, name=name: compute.add_disk(ctx, compute.get(ctx, "web"), size_bytes=GIB, name=name))
    past.take("second")
    past.restore("first")
    with past.lab.asking() as ctx:
        assert [d.volume.name for d in storage.attachments_of(ctx.session, past.lab.row().id)] == ["web"]
        assert all(storage.get_volume(ctx, n).state == "available" for n in ("data", "more"))
    assert [d.slot for d in past.lab.domain().live.disks if d.device == "disk"] == ["vda"]  # type: ignore[union-attr]
    past.restore("second")
    with past.lab.asking() as ctx:
        disks = storage.attachments_of(ctx.session, past.lab.row().id)
        assert [d.attachment.slot for d in disks] == ["vda", "vdb", "vdc"]
        assert [d.volume.name for d in disks] == ["web", "data-2", "more-2"], "new volumes beside the old ones"
    past.restore("first", added="remove")
    with past.lab.asking() as ctx:
        assert storage.get_volume(ctx, "data-2").state == "trashed"
        assert storage.get_volume(ctx, "data").state == "available"


def test_a_disk_that_was_moved_since_goes_back_to_where_it_was(past: Past) -> None:
    past.do(lambda ctx: storage.create_pool(ctx, name="fast", path=str(ctx.settings.state_dir / "fast")))
    past.write("one ")
    past.take("first")
    past.do(lambda ctx: compute.move(ctx, storage.get_volume(ctx, "web"), "fast"))
    past.write("two ")
    assert "/fast/" in past.head().path
    past.restore("first")
    assert "one" in past.reads()
    assert "two" not in past.reads()
    with past.lab.asking() as ctx:
        volume = storage.get_volume(ctx, "web")
        assert past.head().path.startswith(ctx.session.get_one(Pool, volume.pool_id).path)
    past.take("again")
    past.restore("before-first")
    assert "two" in past.reads()
    assert "/fast/" in past.head().path


def test_a_disk_whose_file_is_gone_comes_back_of_a_snapshot(past: Past) -> None:
    past.write("one ")
    past.take("first")
    past.do(lambda ctx: compute.stop(ctx, compute.get(ctx, "web"), force=True))
    del past.files[past.head().path]
    past.do(lambda _ctx: Intent("storage.reconcile", _("Compare"), Subject("periodic", "storage.reconcile")))
    with past.lab.asking() as ctx:
        assert storage.get_volume(ctx, "web").state == "missing"
    with pytest.raises(Conflict), past.lab.asking() as ctx:
        service.restore(ctx, service.get(ctx, "first"), RestoreWish())
    past.restore("first", keep=False, start=True)
    assert "one" in past.reads()
    assert past.lab.row().state == InstanceState.RUNNING
    with past.lab.asking() as ctx:
        assert storage.get_volume(ctx, "web").state == "available"


def test_what_lies_beside_the_disks_for_a_snapshot_is_nobodys_stray_file(past: Past) -> None:
    past.take("first", memory=True)
    row = past.row("first")
    for name in (f"{row.id}.memory", f"{row.id}.memory.facts", "snp_01arz3ndektsv4rrffq69g5fav.memory"):
        past.files[f"{row.pool_path}/seeds/{name}"] = FakeFile("raw", 0, "")
    past.do(lambda _ctx: Intent("storage.reconcile", _("Compare"), Subject("periodic", "storage.reconcile")))
    told = [n for n in past.lab.rows(Notice) if n.key.startswith("pool-unknown:")]
    assert [n.message["params"]["count"] for n in told] == [1]
    assert "snp_01arz3ndektsv4rrffq69g5fav.memory" in str(told[0].message)


def test_size_and_definition_go_back_too(past: Past) -> None:
    past.take("small")
    before = past.lab.row().memory_mib
    past.do(lambda ctx: compute.resize(ctx, compute.get(ctx, "web"), memory_mib=before * 2))
    past.restore("small")
    assert past.lab.row().memory_mib == before
    assert past.lab.domain().live.memory_mib == before  # type: ignore[union-attr]
    past.restore("before-small")
    assert past.lab.row().memory_mib == before * 2


def test_a_disk_that_grew_since_is_as_small_as_then(past: Past) -> None:
    past.take("first")
    with past.lab.asking() as ctx:
        was = storage.get_volume(ctx, "web").size_bytes
    past.do(lambda ctx: compute.grow(ctx, storage.get_volume(ctx, "web"), size_bytes=was + GIB))
    past.restore("first")
    with past.lab.asking() as ctx:
        assert storage.get_volume(ctx, "web").size_bytes == was
    past.restore("before-first")
    with past.lab.asking() as ctx:
        assert storage.get_volume(ctx, "web").size_bytes == was + GIB


def test_disks_can_be_left_out_and_then_stay_as_they_are(past: Past) -> None:
    past.do(lambda ctx: compute.add_disk(ctx, compute.get(ctx, "web"), size_bytes=GIB, name="data"))
    past.take("system", without=("vdb",))
    past.write("more ", "data")
    past.write("two ")
    past.restore("system")
    assert "two" not in past.reads()
    assert "more" in past.reads("data")
    with pytest.raises(Invalid, match="no disk") as refused, past.lab.asking() as ctx:
        service.create(ctx, compute.get(ctx, "web"), SnapshotWish("other", without=("vdz",)))
    assert "without" in refused.value.fields


def test_a_snapshot_becomes_a_new_machine_with_name_size_and_place_of_its_own(past: Past) -> None:
    past.write("one ")
    past.take("first")
    past.write("two ")
    done = past.restore_as("first", "copy", memory_mib=512)
    new, old = past.lab.row("copy"), past.lab.row()
    assert (new.state, new.memory_mib) == (InstanceState.RUNNING, 512)
    assert "one" in past.reads("copy")
    assert "two" not in past.reads("copy")
    assert "two" in past.reads(), "the machine it is of goes on"
    assert new.uuid != old.uuid
    assert new.renew_identity
    past.restore_as("first", "alone", full=True, start=False)
    assert past.head("alone").layer_id is None
    assert past.lab.row("alone").state == InstanceState.STOPPED
    past.lab.undo(done)
    assert past.lab.row("copy").state == InstanceState.TRASHED


def test_a_machine_in_the_trash_can_still_be_had_anew(past: Past) -> None:
    past.write("one ")
    past.take("first")
    past.do(lambda ctx: compute.delete(ctx, compute.get(ctx, "web"), force=True))
    with pytest.raises(YunError), past.lab.asking() as ctx:
        service.restore(ctx, service.get(ctx, "first"), RestoreWish())
    past.restore_as("first", "copy")
    assert "one" in past.reads("copy")


def test_deleted_ones_lie_in_the_trash_and_leave_the_others_alone(past: Past) -> None:
    for name in ("a", "b", "c"):
        past.write(f"{name} ")
        past.take(name)
    done = past.delete("b")
    assert past.tree() == ([(0, "a"), (1, "c")], "c")
    assert [item.kind for item in past.lab.rows(TrashItem)] == ["snapshot"]
    past.lab.undo(done)
    assert past.tree()[0] == [(0, "a"), (1, "b"), (2, "c")]
    past.delete("b")
    held = {d.snapshot_id: d.layer_id for d in past.lab.rows(SnapshotDisk)}
    gone = held[past.row("b").id]
    past.purge("b")
    assert [row.name for row in past.lab.rows(Snapshot)] == ["a", "c"]
    assert past.row("c").parent_id == past.row("a").id
    assert not [hold for hold in past.lab.rows(LayerHold) if hold.layer_id == gone], "nobody holds it any more"
    past.restore("c")
    assert all(word in past.reads() for word in ("a", "b", "c")), "what stands on it reads it still"


def test_a_purged_machine_takes_its_snapshots_along(past: Past) -> None:
    past.take("first")
    past.take("second")
    past.do(lambda ctx: compute.delete(ctx, compute.get(ctx, "web"), force=True))
    past.do(lambda ctx: compute.purge(ctx, compute.get(ctx, "web")))
    assert not past.lab.rows(Instance)
    assert len(past.lab.rows(Snapshot)) == 2
    past.do(lambda _ctx: Intent("snapshot.tend", _("Tend"), Subject("periodic", "snapshot.tend"), quiet=True))
    past.lab.drain()
    assert not past.lab.rows(Snapshot)
    assert not past.lab.rows(Present)
    assert not [x for x in past.lab.rows(Layer) if not x.has_digest], "nor what only they needed"
    assert not past.lab.rows(Volume)


def test_a_disk_of_a_snapshot_is_taken_as_a_volume(past: Past) -> None:
    past.write("one ")
    past.take("first")
    past.write("two ")
    past.do(lambda ctx: service.take_disk(ctx, service.get(ctx, "first"), "vda", name="rescue"))
    assert "one" in past.reads("rescue")
    assert "two" not in past.reads("rescue")
    with pytest.raises(Invalid), past.lab.asking() as ctx:
        service.take_disk(ctx, service.get(ctx, "first"), "vdx")


def test_two_are_compared(past: Past) -> None:
    past.take("a")
    past.write("x" * 50)
    past.do(lambda ctx: compute.resize(ctx, compute.get(ctx, "web"), memory_mib=past.lab.row().memory_mib * 2))
    past.take("b")
    with past.lab.asking() as ctx:
        found = service.compare(ctx, service.get(ctx, "a"), service.get(ctx, "b"))
    assert "memory_mib" in found["definition"]
    assert found["disks"][0]["slot"] == "vda"
    assert found["disks"][0]["first_bytes"] == 0 < found["disks"][0]["second_bytes"]


def test_what_cannot_be_is_refused_and_nothing_is_changed(past: Past) -> None:
    past.take("first")
    cases = [
        (SnapshotWish("first"), Conflict, "name"),
        (SnapshotWish(""), Invalid, "name"),
        (SnapshotWish("x", note="n" * 1001), Invalid, "note"),
        (SnapshotWish("x", without=("vda",)), Invalid, "without"),
    ]
    for wish, kind, field in cases:
        with pytest.raises(kind) as refused, past.lab.asking() as ctx:
            service.create(ctx, compute.get(ctx, "web"), wish)
        assert field in refused.value.fields
    with pytest.raises(NotFound), past.lab.asking() as ctx:
        service.get(ctx, "second")
    with pytest.raises(Invalid) as refused, past.lab.asking() as ctx:
        service.restore(ctx, service.get(ctx, "first"), RestoreWish(memory=True))
    assert "memory" in refused.value.fields
    assert len(past.lab.rows(Snapshot)) == 1
