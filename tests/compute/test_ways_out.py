"""Ways out: what was brought back is not purged, what got stuck can be deleted, what blocks an undo is said at once."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from tests.compute.conftest import Lab
from tests.compute.test_tending import tend
from yun.base.context import Actor
from yun.base.errors import Conflict
from yun.base.messages import Message
from yun.compute import service
from yun.compute.model import Instance, State
from yun.drivers.hypervisor.port import Power
from yun.hosts.model import Host
from yun.operations.model import Notice, OperationKey
from yun.operations.model import State as OperationState
from yun.operations.service import list_operations, submit, undo
from yun.storage.model import Volume


def test_what_was_brought_back_while_its_purge_waited_is_not_purged(lab: Lab) -> None:
    lab.create()
    deletion = lab.do(service.delete, "web")
    with lab.asking() as ctx:
        planned = service.purge(ctx, service.get(ctx, "web"))
    with lab.asking() as ctx:
        submit(ctx, undo(ctx, deletion))
        with pytest.raises(Conflict):
            service.purge(ctx, service.get(ctx, "web"))
        purge = submit(ctx, planned).id
    lab.drain()
    assert lab.operation(purge).state == OperationState.SUCCEEDED
    assert lab.row().state == State.RUNNING
    assert lab.domain().power == Power.RUNNING
    assert [v.state for v in lab.rows(Volume)] == ["available"]


def test_a_purge_that_is_cancelled_while_it_waits_leaves_everything(lab: Lab) -> None:
    from yun.operations.service import cancel

    lab.create()
    lab.do(service.delete, "web")
    with lab.asking() as ctx:
        purge = submit(ctx, service.purge(ctx, service.get(ctx, "web"))).id
        cancel(ctx, purge)
    lab.drain()
    assert lab.operation(purge).state == OperationState.CANCELLED
    assert lab.row().state == State.TRASHED
    assert len(lab.rows(Volume)) == 1


@pytest.mark.parametrize("method", ["define", "start"])
def test_a_creation_that_is_stuck_can_be_deleted_and_purged(lab: Lab, method: str) -> None:
    lab.world.fail(method, 50, retryable=False)
    lab.world.fail("undefine", 50, retryable=False)
    lab.world.fail("state", 50, retryable=False)
    creation = lab.create()
    assert lab.operation(creation).state == OperationState.STUCK
    lab.world.heal()
    deletion = lab.do(service.delete, "web")
    assert lab.operation(creation).state == OperationState.ABANDONED
    assert lab.operation(deletion).state == OperationState.SUCCEEDED
    lab.do(service.purge, "web")
    assert (lab.rows(Instance), lab.rows(Volume), lab.world.domains) == ([], [], {})


@pytest.mark.parametrize("change", [{"accepts": False}, {"state": "down"}])
def test_a_host_that_takes_nothing_new_takes_back_what_was_deleted(lab: Lab, change: dict[str, Any]) -> None:
    lab.create()
    deletion = lab.do(service.delete, "web")
    with lab.database.write() as session:
        session.execute(sa.update(Host).values(**change))
    assert lab.operation(lab.undo(deletion)).state == OperationState.SUCCEEDED
    assert lab.row().state == State.RUNNING


def test_an_undo_for_which_there_is_no_room_fails_at_once_and_holds_nothing(lab: Lab) -> None:
    lab.create(vcpus=1, memory_mib=512)
    deletion = lab.do(service.delete, "web")
    with lab.database.write() as session:
        session.execute(sa.update(Host).values(memory_mib=600))
    failed = lab.operation(lab.undo(deletion))
    assert failed.state == OperationState.FAILED
    assert "memory" in str(failed.error)
    with lab.database.write() as session:
        session.execute(sa.update(Host).values(memory_mib=65536))
    lab.undo(deletion)
    assert lab.row().state == State.RUNNING


def test_an_undo_of_a_renaming_whose_old_name_was_taken_says_so_and_holds_nothing(lab: Lab) -> None:
    lab.create("a")
    renaming = lab.do(service.rename, "a", "b")
    lab.create("a")
    refused = lab.operation(lab.undo(renaming))
    assert refused.state == OperationState.FAILED
    assert "a" in str(refused.error)
    lab.do(service.stop, "b", timeout=0)
    assert lab.row("b").state == State.STOPPED


def test_undoing_again_and_again_reaches_what_was_made_first(lab: Lab) -> None:
    for name in ("a", "b"):
        lab.create(name)
    for _again in range(2):
        with lab.asking() as ctx:
            submit(ctx, undo(ctx))
        lab.drain()
    assert [lab.row(name).state for name in ("a", "b")] == [State.TRASHED, State.TRASHED]


def test_a_notice_about_a_machine_goes_with_its_cause(lab: Lab) -> None:
    lab.create()
    lab.world.guest(lab.row().uuid, agent=False)
    lab.world.pause(lab.row().uuid)
    tend(lab)
    assert [n.subject_id for n in lab.rows(Notice)] == [lab.row().id]
    lab.do(service.resume, "web")
    assert lab.rows(Notice) == []
    lab.world.pause(lab.row().uuid)
    tend(lab)
    lab.do(service.delete, "web")
    assert lab.rows(Notice) == []


def test_a_machine_is_noticed_while_others_are_slow_to_power_off(lab: Lab) -> None:
    """Quiet work has threads of its own."""
    import time

    engine = lab.cloud.engine
    names = [f"slow-{n}" for n in range(engine.settings.workers)]
    for name in (*names, "web"):
        lab.create(name)
    for name in names:
        lab.world.guest(lab.row(name).uuid, ignores_shutdown=True, agent=False)
    engine.start()
    try:
        with lab.asking() as ctx:
            for name in names:
                submit(ctx, service.stop(ctx, service.get(ctx, name), timeout=30))
        end = time.monotonic() + 20
        while len(engine.active) < len(names):
            assert time.monotonic() < end
            time.sleep(0.05)
        lab.world.crash(lab.row().uuid)
        while not lab.events("instance.crashed"):
            assert time.monotonic() < end
            time.sleep(0.05)
        assert any(quiet is False for quiet in engine.active.values())
    finally:
        engine.stop(2)




def test_the_preview_of_an_undo_tells_what_it_does(lab: Lab) -> None:
    lab.create(start=False)
    start = lab.do(service.start, "web")
    with lab.asking() as ctx:
        seen = undo(ctx, start).render("en", now=ctx.clock.now(), undo_days=7)
    assert seen["effects"][1] == "It is powered off again, as its guest allows."
    assert seen["destroys"] == ["What the guest holds only in memory."]


def test_what_was_changed_between_the_plan_of_an_undo_and_its_acceptance_stops_it(lab: Lab) -> None:
    lab.create("a")
    renaming = lab.do(service.rename, "a", "b")
    with lab.asking() as ctx:
        planned = undo(ctx, renaming)
    again = lab.do(service.rename, "b", "c")
    with lab.asking() as ctx:
        refused = submit(ctx, planned).id
    lab.drain()
    assert lab.operation(refused).state == OperationState.FAILED
    assert again in str(lab.operation(refused).error)
    assert lab.row("c").name == "c"


def test_a_role_in_the_whole_cloud_sees_its_history(lab: Lab) -> None:
    lab.create()
    reader = Actor("user", "usr_cora", "cora", {"*": "reader"})
    with lab.asking(reader) as ctx:
        assert "instance.create" in [o.kind for o in list_operations(ctx).items]


# ── a machine that cannot be started ──


def broken(lab: Lab) -> None:
    """From now on no machine of this host comes up."""
    lab.world.fail("start", 1000, retryable=False)


def is_off_and_told(lab: Lab) -> None:
    """The machine is off and says why, and nothing waits for anything."""
    row = lab.row()
    assert (row.state, row.reason) == (State.STOPPED, "not_started")
    assert lab.domain().power == Power.STOPPED
    notice = next(n for n in lab.rows(Notice) if n.key == f"instance:{row.id}")
    assert notice.level == "error"
    assert "web cannot be started again" in Message.from_json(notice.message).render("en")
    assert lab.rows(OperationKey) == []


@pytest.mark.parametrize("hard", [True, False])
def test_a_reboot_that_the_machine_does_not_come_back_from_fails_and_holds_nothing(lab: Lab, hard: bool) -> None:
    lab.create()
    broken(lab)
    reboot = lab.operation(lab.do(service.reboot, "web", hard=hard))
    assert reboot.state == OperationState.FAILED
    assert "ordered fault" in str(reboot.error)
    is_off_and_told(lab)
    lab.do(service.update, "web", description="not kept waiting")
    lab.world.heal()
    assert lab.operation(lab.do(service.start, "web")).state == OperationState.SUCCEEDED
    assert lab.row().state == State.RUNNING
    assert [n for n in lab.rows(Notice) if n.key.startswith("instance:")] == []


def test_a_deletion_that_fails_half_way_leaves_a_machine_that_cannot_start_off(lab: Lab) -> None:
    lab.create()
    broken(lab)
    lab.world.fail("undefine", 1, retryable=False)
    deletion = lab.operation(lab.do(service.delete, "web", force=True))
    assert deletion.state == OperationState.FAILED
    is_off_and_told(lab)


def test_a_deleted_machine_comes_back_also_where_it_cannot_be_started(lab: Lab) -> None:
    lab.create()
    deletion = lab.do(service.delete, "web")
    broken(lab)
    back = lab.operation(lab.undo(deletion))
    assert back.state == OperationState.SUCCEEDED
    assert lab.operation(deletion).state == OperationState.UNDONE
    is_off_and_told(lab)


def test_the_undo_of_a_stop_that_cannot_start_the_machine_fails_at_once_and_can_be_asked_again(lab: Lab) -> None:
    lab.create()
    stop = lab.do(service.stop, "web", force=True)
    broken(lab)
    back = lab.operation(lab.undo(stop))
    assert back.state == OperationState.FAILED
    assert "cannot be started again" in str(back.error)
    assert lab.row().state == State.STOPPED
    assert lab.rows(OperationKey) == []
    lab.world.heal()
    assert lab.operation(lab.undo(stop)).state == OperationState.SUCCEEDED
    assert lab.row().state == State.RUNNING


def test_a_stop_below_others_that_are_undone_with_it_keeps_nobody_waiting(lab: Lab) -> None:
    lab.create()
    stop = lab.do(service.stop, "web", force=True)
    lab.do(service.rename, "web", "other")
    broken(lab)
    with lab.asking() as ctx:
        identifier = submit(ctx, undo(ctx, stop, through=True)).id
    lab.drain()
    assert lab.operation(identifier).state == OperationState.SUCCEEDED
    is_off_and_told(lab)


def test_a_hypervisor_that_is_only_away_is_waited_for(lab: Lab) -> None:
    lab.create()
    lab.world.fail("start", 7, retryable=True)
    reboot = lab.operation(lab.do(service.reboot, "web", hard=True))
    assert reboot.state == OperationState.FAILED
    assert lab.row().state == State.RUNNING, "its undo started it again"


@pytest.mark.parametrize("verb", ["resize", "configure", "add_disk"])
def test_a_change_whose_definition_is_refused_for_good_is_taken_back_and_keeps_nobody_waiting(
    lab: Lab, verb: str
) -> None:
    lab.create(start=False)
    before = lab.row().memory_mib
    lab.world.fail("define", 1000, retryable=False)
    asked: dict[str, Any] = {
        "resize": lambda: lab.do(service.resize, "web", memory_mib=before * 2),
        "configure": lambda: lab.do(service.configure, "web", video="virtio"),
        "add_disk": lambda: lab.do(service.add_disk, "web", size_bytes=1 << 30),
    }
    done = lab.operation(asked[verb]())
    assert done.state == OperationState.FAILED
    assert lab.row().memory_mib == before
    assert lab.rows(OperationKey) == []
    told = [Message.from_json(n.message).render("en") for n in lab.rows(Notice)]
    assert [text for text in told if "refuses the definition of the instance web" in text]
    lab.world.heal()
    assert lab.operation(lab.do(service.start, "web")).state == OperationState.SUCCEEDED
    assert [n for n in lab.rows(Notice) if n.key.startswith("instance:")] == []
