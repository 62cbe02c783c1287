"""What goes wrong while snapshots are taken and gone back to: nothing is lost, nothing is left, and it is said."""

from __future__ import annotations

import pytest

from tests.compute.conftest import Lab
from tests.snapshots.conftest import Past
from yun.base.errors import Conflict, NoCapacity
from yun.compute import service as compute
from yun.compute.model import State as InstanceState
from yun.drivers.volume.fake import FakeFile
from yun.operations.model import State
from yun.operations.service import submit
from yun.snapshots import service
from yun.snapshots.model import Snapshot, SnapshotDisk
from yun.snapshots.service import RestoreWish, SnapshotWish
from yun.storage.model import Layer, LayerHold


def memories(past: Past) -> set[str]:
    """The images of memory that lie there."""
    return set(past.lab.world.memories)


def holds(past: Past) -> list[str]:
    """Who of the snapshots needs frozen files."""
    return [hold.holder for hold in past.lab.rows(LayerHold) if hold.holder.startswith("snapshot:")]


def test_a_snapshot_that_fails_leaves_nothing_and_the_guest_goes_on(past: Past) -> None:
    past.write("one ")
    past.lab.world.fail("freeze_with_memory", times=50, retryable=False)
    done = past.take("first", memory=True, state=State.FAILED)
    assert past.lab.operation(done).error
    assert not past.lab.rows(Snapshot)
    assert not past.lab.rows(SnapshotDisk)
    assert not memories(past)
    assert not holds(past)
    assert past.lab.row().state == InstanceState.RUNNING
    assert past.lab.domain().boots == 1
    assert "one" in past.reads()
    past.lab.world.heal()
    past.take("first", memory=True)


def test_a_lost_answer_is_found_out_and_the_snapshot_is_good(past: Past) -> None:
    past.lab.domain().guest.memory["n"] = 7
    past.lab.world.fail("freeze_with_memory", retryable=True, after=True)
    past.take("first", memory=True)
    assert past.row("first").memory_bytes > 0
    past.lab.domain().guest.memory["n"] = 8
    past.restore("first")
    assert past.lab.domain().guest.memory == {"n": 7}


def test_a_restore_that_cannot_wake_its_guest_lets_the_present_go_on_with_its_memory(past: Past) -> None:
    past.lab.domain().guest.memory["n"] = 1
    past.take("first", memory=True)
    past.lab.domain().guest.memory["n"] = 2
    past.write("two ")
    past.lab.world.fail("wake", times=1, retryable=False)
    done = past.restore("first", state=State.FAILED)
    assert past.lab.operation(done).error
    assert past.lab.row().state == InstanceState.RUNNING
    assert past.lab.domain().guest.memory == {"n": 2}, "it was switched off, and goes on all the same"
    assert past.lab.domain().boots == 1
    assert "two" in past.reads()
    assert past.tree() == ([(0, "first")], "first"), "the present that was kept for it is gone again"
    assert len(memories(past)) == 1
    past.restore("first")
    assert past.lab.domain().guest.memory == {"n": 1}


def test_memory_that_does_not_fit_is_refused_before_anything_happens(past: Past) -> None:
    past.take("first", memory=True)
    image = past.lab.world.memories[past.row("first").memory_path]
    for attribute, value in (("broken", True), ("emulator", "99.0.0"), ("host_cpu", "another")):
        was = getattr(image, attribute)
        setattr(image, attribute, value)
        done = past.restore("first", state=State.FAILED)
        error = past.lab.operation(done).error
        assert error is not None
        assert error["code"] == "conflict"
        assert "disks only" in str(error["hint"])
        setattr(image, attribute, was)
        assert past.tree() == ([(0, "first")], "first")
        assert past.lab.row().state == InstanceState.RUNNING
        assert past.lab.domain().boots == 1
    image.broken = True
    past.restore("first", memory=False)
    assert past.lab.domain().boots == 2, "the disks can be had without it"


def test_a_full_disk_is_told_before_the_guest_is_touched(past: Past) -> None:
    host_id = past.lab.row().host_id
    past.lab.cloud.drivers.on(host_id).volume.world.fill()  # type: ignore[attr-defined]
    with past.lab.database.write() as session:
        from yun.storage.model import Pool

        for pool in session.query(Pool):
            pool.free_bytes = 0
    with pytest.raises(NoCapacity), past.lab.asking() as ctx:
        service.create(ctx, compute.get(ctx, "web"), SnapshotWish("first", memory=True))
    assert not past.lab.rows(Snapshot)


def test_two_restores_at_once_come_one_after_the_other(past: Past) -> None:
    past.write("one ")
    past.take("a")
    past.write("two ")
    past.take("b")
    with past.lab.asking() as ctx:
        submit(ctx, service.restore(ctx, service.get(ctx, "a"), RestoreWish()))
    with past.lab.asking() as ctx:
        submit(ctx, service.restore(ctx, service.get(ctx, "b"), RestoreWish()))
    past.lab.drain()
    assert "two" in past.reads()
    assert past.tree()[1] == "b"
    names = {row.name for row in past.lab.rows(Snapshot)}
    assert names == {"a", "b", "before-a", "before-b"}


def test_disks_that_changed_while_it_waited_end_it_with_nothing_changed(past: Past) -> None:
    with past.lab.asking() as ctx:
        waiting = submit(ctx, service.create(ctx, compute.get(ctx, "web"), SnapshotWish("first"))).id
        more = compute.add_disk(ctx, compute.get(ctx, "web"), size_bytes=1 << 30, name="data")
    past.do(lambda _ctx: more)
    past.lab.drain()
    ended = past.lab.operation(waiting)
    assert ended.state in (State.SUCCEEDED, State.FAILED)
    names = [row.name for row in past.lab.rows(Snapshot)]
    assert names == (["first"] if ended.state == State.SUCCEEDED else [])


def test_a_deep_tree_is_gone_back_into(past: Past) -> None:
    for number in range(12):
        past.write(f"w{number}; ")
        past.take(f"n{number}")
    nodes, here = past.tree()
    assert [name for _depth, name in nodes] == [f"n{number}" for number in range(12)]
    assert nodes[-1][0] == 11
    assert here == "n11"
    past.restore("n3")
    assert "w3;" in past.reads()
    assert "w4;" not in past.reads()
    assert len([x for x in past.lab.rows(Layer) if not x.has_digest]) >= 12


def test_what_is_in_the_trash_is_not_gone_back_to(past: Past) -> None:
    past.take("first")
    past.delete("first")
    with pytest.raises(Conflict), past.lab.asking() as ctx:
        service.restore(ctx, service.get(ctx, "first"), RestoreWish())


@pytest.mark.parametrize("running", [True, False])
def test_a_failed_restore_takes_nothing_from_a_machine_with_uefi_and_tpm(lab: Lab, running: bool) -> None:
    past = Past(lab)
    lab.create(start=False, memory_mib=256)
    past.do(lambda ctx: compute.configure(ctx, compute.get(ctx, "web"), tpm=True, firmware="uefi"))
    past.do(lambda ctx: compute.start(ctx, compute.get(ctx, "web")))
    past.meet()
    past.take("first", memory=running)
    if not running:
        past.do(lambda ctx: compute.stop(ctx, compute.get(ctx, "web"), force=True))
    beside = f"{past.row('first').pool_path}/seeds/{lab.row().id}"
    past.files[f"{beside}.nvram"] = FakeFile("raw", 0, "boot entries")
    tpm, seed = lab.world.tpms[lab.row().uuid], past.files[f"{beside}.iso"].content
    lab.world.fail("wake" if running else "start", times=1, retryable=False)
    past.restore("first", state=State.FAILED, start=True)
    assert lab.world.tpms[lab.row().uuid] == tpm
    assert past.files[f"{beside}.nvram"].content == "boot entries"
    assert past.files[f"{beside}.iso"].content == seed
    assert lab.row().state == (InstanceState.RUNNING if running else InstanceState.STOPPED)
    assert past.tree()[1] == "first"
