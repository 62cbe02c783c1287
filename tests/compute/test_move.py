"""Moves of volumes to another pool: under a running machine, of a stopped one, and all the ways they can end."""

from __future__ import annotations

from typing import Any

import pytest

from tests.compute.conftest import Lab, both
from yun.base.errors import Conflict, NoCapacity
from yun.base.messages import _
from yun.compute import service, steps
from yun.compute.service import Place
from yun.operations.flow import Cancelled, Op
from yun.operations.model import Operation, OperationKey
from yun.operations.model import State as OperationState
from yun.operations.service import retry, submit
from yun.storage import service as storage
from yun.storage.model import Head, Layer, Pool, Volume

GIB = 1 << 30


@pytest.fixture
def room(lab: Lab) -> Any:
    """An instance ``web`` that runs in the default pool, and a second pool ``fast``."""

    class Room:
        def __init__(self) -> None:
            lab.create()
            self.world = lab.world
            self.store = lab.cloud.drivers.on(lab.row().host_id).volume
            with lab.asking() as ctx:
                submit(ctx, storage.create_pool(ctx, name="fast", path=str(ctx.settings.state_dir / "fast")))
            lab.drain()

        def ask(self, name: str = "web", pool: str = "fast") -> str:
            with lab.asking() as ctx:
                return submit(ctx, service.move(ctx, storage.get_volume(ctx, name), pool)).id

        def move(self, name: str = "web", pool: str = "fast") -> Operation:
            identifier = self.ask(name, pool)
            lab.drain()
            return lab.operation(identifier)

        def head(self, name: str = "web") -> Head:
            volume = next(v for v in lab.rows(Volume) if v.name == name)
            return next(h for h in lab.rows(Head) if h.volume_id == volume.id)

        def pool(self, name: str = "web") -> str:
            volume = next(v for v in lab.rows(Volume) if v.name == name)
            return next(p.name for p in lab.rows(Pool) if p.id == volume.pool_id)

        @property
        def files(self) -> dict[str, Any]:
            return self.store.world.files  # type: ignore[no-any-return]

        def unharmed(self, before: Head) -> None:
            """As if nothing had happened."""
            now = self.head()
            assert (now.path, now.layer_id) == (before.path, before.layer_id)
            assert before.path in self.files
            assert not [p for p in self.files if "/fast/" in p]
            assert not lab.domain().mirrors
            assert lab.domain().spec.disks[0].path == before.path
            assert not lab.rows(OperationKey)

    return Room()


@both
def test_a_disk_moves_under_its_running_machine_and_back(lab: Lab, room: Any) -> None:
    before = room.head()
    boots = lab.domain().boots
    done = room.move()
    assert done.state == OperationState.SUCCEEDED, done.error
    assert done.result["value"]["effect"] == "live"
    now = room.head()
    assert (now.id, now.layer_id, room.pool()) == (before.id, None, "fast")
    assert now.path == before.path.replace("/pool/", "/fast/")
    domain = lab.domain()
    assert domain.live.disks[0].path == domain.spec.disks[0].path == now.path  # type: ignore[union-attr]
    assert domain.boots == boots, "it ran on"
    assert before.path not in room.files
    assert [e.subject_name for e in lab.events("volume.moved")] == ["web"]
    back = lab.operation(lab.undo(done.id))
    assert back.state == OperationState.SUCCEEDED, back.error
    assert (room.pool(), room.head().path) == ("default", before.path)
    assert lab.operation(done.id).state == OperationState.UNDONE
    assert not [p for p in room.files if "/fast/heads/" in p]


def test_a_stopped_machines_disk_takes_its_seed_and_its_firmwares_variables_along(lab: Lab, room: Any) -> None:
    lab.create("uefi", start=False)
    with lab.asking() as ctx:
        service.get(ctx, "uefi").firmware = "uefi"
    row = lab.row("uefi")
    old = f"{room.head('uefi').path.partition('/heads/')[0]}/seeds/{row.id}"
    nvram = f"{old}.nvram"
    room.store.create_head(nvram.replace("/seeds/", "/heads/"), size=GIB, backing=None)
    room.files[nvram] = room.files.pop(nvram.replace("/seeds/", "/heads/"))
    done = room.move("uefi")
    assert done.result["value"]["effect"] == "file", done.error
    new = old.replace("/pool/", "/fast/")
    assert {f"{new}.iso", f"{new}.nvram"} <= set(room.files)
    assert not {f"{old}.iso", nvram} & set(room.files)
    assert lab.domain("uefi").spec.nvram == f"{new}.nvram"
    lab.do(service.start, "uefi")
    with pytest.raises(Conflict) as caught:
        room.move("uefi", "default")
    assert "Stop it first" in caught.value.hint.render("en")


def test_base_files_that_only_it_needed_go_and_others_stay(lab: Lab, room: Any) -> None:
    lab.do(service.clone, "web", service.CloneWish("copy"))
    shared = room.head().layer_id
    assert room.move().state == OperationState.SUCCEEDED
    assert shared in [x.id for x in lab.rows(Layer)], "the copy stands on it"
    assert room.move("copy").state == OperationState.SUCCEEDED
    assert shared not in [x.id for x in lab.rows(Layer)]


def test_a_purged_machine_leaves_no_seed_in_the_pool_it_ran_in(lab: Lab, room: Any) -> None:
    room.move()
    seeds = [p for p in room.files if "/seeds/" in p]
    assert len(seeds) == 2, "what the running machine has open stays"
    lab.do(service.delete, "web")
    lab.do(service.purge, "web")
    assert not [p for p in room.files if "/seeds/" in p or "/heads/" in p]


def test_where_it_cannot_go_is_refused_and_changes_nothing(lab: Lab, room: Any) -> None:
    with pytest.raises(Conflict) as caught:
        room.move(pool="default")
    assert "pool" in caught.value.fields
    with lab.asking() as ctx:
        ctx.session.get_one(Pool, storage.get_pool(ctx, "fast").id).overcommit = 0.0
    with pytest.raises(NoCapacity):
        room.move()


def test_a_disk_that_a_running_machine_only_reads_stays_where_it_is(lab: Lab, room: Any) -> None:
    with lab.asking() as ctx:
        submit(ctx, storage.create_volume(ctx, name="data", size_bytes=GIB))
    lab.drain()
    with lab.asking() as ctx:
        volume, instance = storage.get_volume(ctx, "data"), service.get(ctx, "web")
        submit(ctx, service.attach(ctx, volume, instance, Place(readonly=True)))
    lab.drain()
    with pytest.raises(Conflict) as caught:
        room.move("data")
    assert "read-only" in caught.value.message.render("en")


def test_a_full_pool_stops_the_copy_with_its_reason_and_leaves_the_source_alone(lab: Lab, room: Any) -> None:
    before = room.head()
    identifier = room.ask()
    room.store.world.fill()
    lab.drain()
    failed = lab.operation(identifier)
    assert failed.state == OperationState.FAILED
    assert failed.error["code"] == "no_capacity"
    room.store.world.capacity = 1 << 50
    room.unharmed(before)


def while_copying(lab: Lab, monkeypatch: pytest.MonkeyPatch, what: Any) -> None:
    """Let something happen once, in the middle of the first copy."""
    world, happened = lab.world, []
    world.copy_looks = 6
    calm = Op.progress

    def progress(self: Op, fraction: float, text: Any = None) -> None:
        calm(self, fraction, text)
        if self.kind == "volume.move" and fraction > 0.4 and not happened:
            happened.append(fraction)
            what()

    monkeypatch.setattr(Op, "progress", progress)


def test_a_machine_that_dies_while_its_disk_is_copied_fails_the_move_with_the_reason(
    lab: Lab, room: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = room.head()
    uuid = lab.row().uuid
    while_copying(lab, monkeypatch, lambda: room.world.crash(uuid))
    failed = room.move()
    assert failed.state == OperationState.FAILED
    assert "went down while its disk was copied" in str(failed.error)
    room.unharmed(before)
    monkeypatch.undo()
    lab.drain()
    assert room.move().state == OperationState.SUCCEEDED


def test_a_hypervisor_that_gives_up_fails_the_move_with_the_reason(
    lab: Lab, room: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = room.head()
    uuid = lab.row().uuid
    while_copying(lab, monkeypatch, lambda: room.world.lose_copies(uuid))
    failed = room.move()
    assert failed.state == OperationState.FAILED
    assert "gave up copying" in str(failed.error)
    room.unharmed(before)


def test_a_move_is_cancelled_while_it_copies(lab: Lab, room: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = room.head()

    def stop() -> None:
        raise Cancelled(_("Cancelled on request."))

    while_copying(lab, monkeypatch, stop)
    ended = room.move()
    assert ended.state == OperationState.CANCELLED
    room.unharmed(before)


def test_a_machine_that_goes_down_before_it_uses_the_copy_is_copied_again_and_loses_nothing(
    lab: Lab, room: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = lab.row().uuid
    calm = steps.bring_over.call

    def and_die(op: Op, *args: Any) -> Any:
        how = calm(op, *args)
        room.world.crash(uuid)
        return how

    object.__setattr__(steps.bring_over, "call", and_die)
    try:
        done = room.move()
    finally:
        object.__setattr__(steps.bring_over, "call", calm)
    assert done.state == OperationState.SUCCEEDED, done.error
    assert done.result["value"]["effect"] == "file"
    assert room.files[room.head().path].content.startswith("qcow2:"), "a whole copy of the file, not half of one"


@pytest.mark.parametrize("patience", [3, 1000])
def test_a_move_whose_machine_died_before_a_full_pool_waits_for_room_and_names_the_way_out(
    lab: Lab, room: Any, monkeypatch: pytest.MonkeyPatch, patience: int
) -> None:
    """It ends by itself where room is made in time, and by a retry afterwards."""
    uuid, before, tries = lab.row().uuid, room.head(), []
    calm, convert = steps.bring_over.call, room.store.convert

    def and_die(op: Op, *args: Any) -> Any:
        how = calm(op, *args)
        room.world.crash(uuid)
        room.store.world.fill()
        return how

    def and_look(*args: Any, **values: Any) -> Any:
        tries.append(args)
        if len(tries) > patience:
            room.store.world.capacity = 1 << 50
        return convert(*args, **values)

    object.__setattr__(steps.bring_over, "call", and_die)
    monkeypatch.setattr(room.store, "convert", and_look)
    try:
        identifier = room.ask()
        lab.drain()
    finally:
        object.__setattr__(steps.bring_over, "call", calm)
    if patience > 100:
        stuck = lab.operation(identifier)
        assert (stuck.state, len(tries) > 10) == (OperationState.STUCK, True)
        assert "went down before it used the copy" in stuck.error["message"]["text"]
        assert stuck.error["hint"]["params"]["command"] == f"yun operation retry {identifier}"
        assert (room.head().path, room.files[before.path].writable) == (before.path, True)
        room.store.world.capacity = 1 << 50
        with lab.asking() as ctx:
            retry(ctx, identifier)
        lab.drain()
    done = lab.operation(identifier)
    assert done.state == OperationState.SUCCEEDED, done.error
    assert "/fast/" in room.head().path
    assert before.path not in room.files


def test_a_machine_that_went_down_with_the_copy_keeps_what_it_wrote_there(lab: Lab, room: Any) -> None:
    hypervisor = lab.cloud.drivers.on(lab.row().host_id).hypervisor
    calm = hypervisor.finish_copy

    def and_die(uuid: str, slot: str) -> None:
        calm(uuid, slot)
        room.files[room.head().path.replace("/pool/", "/fast/")].content = "written after"
        room.world.crash(uuid)

    hypervisor.finish_copy = and_die  # type: ignore[method-assign]
    done = room.move()
    assert done.state == OperationState.SUCCEEDED, done.error
    assert room.files[room.head().path].content == "written after"


def test_a_lost_answer_of_the_hypervisor_ends_like_none(lab: Lab, room: Any) -> None:
    for method in ("begin_copy", "copy_state", "finish_copy"):
        room.world.fail(method, after=True)
    done = room.move()
    assert done.state == OperationState.SUCCEEDED, done.error
    assert room.pool() == "fast"


def test_files_of_a_move_under_way_are_no_strangers(lab: Lab, room: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from yun.storage.steps.strangers import _strangers

    seen: list[str] = []

    def look() -> None:
        with lab.database.read() as session:
            for pool in session.query(Pool):
                paths = [p for p in room.files if p.startswith(pool.path) and "/heads/" in p]
                seen.extend(_strangers(session, pool, paths))

    while_copying(lab, monkeypatch, look)
    assert room.move().state == OperationState.SUCCEEDED
    assert seen == []


def test_a_move_that_waited_while_the_volume_was_attached_elsewhere_says_so(lab: Lab, room: Any) -> None:
    with lab.asking() as ctx:
        submit(ctx, storage.create_volume(ctx, name="data", size_bytes=GIB))
    lab.drain()
    with lab.asking() as ctx:
        volume, instance = storage.get_volume(ctx, "data"), service.get(ctx, "web")
        submit(ctx, service.attach(ctx, volume, instance))
        waiting = submit(ctx, service.move(ctx, volume, "fast")).id
    lab.drain()
    assert lab.operation(waiting).state == OperationState.FAILED
    assert room.pool("data") == "default"


def test_a_pool_that_a_disk_is_on_its_way_to_is_not_deleted_below_it(lab: Lab, room: Any) -> None:
    with lab.asking() as ctx:
        deletion = submit(ctx, storage.delete_pool(ctx, "fast")).id
        moving = submit(ctx, service.move(ctx, storage.get_volume(ctx, "web"), "fast")).id
        with pytest.raises(Conflict):
            storage.delete_pool(ctx, "fast")
    lab.drain()
    failed = lab.operation(deletion)
    assert failed.state == OperationState.FAILED
    assert "under way" in failed.error["message"]["text"]
    assert lab.operation(moving).state == OperationState.SUCCEEDED, lab.operation(moving).error
    assert room.pool() == "fast"
