"""The life of an instance on drivers in memory: create, power, delete, undo, purge; from any point and back."""

from __future__ import annotations

import time
from typing import Any

import pytest
import sqlalchemy as sa

from tests.compute.conftest import Lab, both
from yun.base.errors import Conflict, Invalid, NoCapacity, NotFound
from yun.base.ids import as_uuid
from yun.base.units import GIB, TIB
from yun.compute import service
from yun.compute.model import Flavor, Instance, InstanceSample, State
from yun.drivers.hypervisor.port import Power
from yun.hosts.model import Allocation
from yun.network.model import FloatingIp, Port, Reservation
from yun.operations.model import Notice
from yun.operations.service import cancel, submit
from yun.storage.model import Attachment, Head, Pool, TrashItem, Volume

THINGS: tuple[Any, ...] = (Instance, Port, FloatingIp, Volume, Head, Attachment, Allocation, TrashItem)


def counts(lab: Lab) -> dict[str, int]:
    """How many of everything there is, rows and reality."""
    files = lab.cloud.drivers.on("").volume.world.files  # type: ignore[attr-defined]
    reality = {"domains": len(lab.world.domains), "files": len(files)}
    inventory = {kind: len(ids) for kind, ids in lab.cloud.drivers.network.inventory().items()}
    reserved = {"reserved": len(lab.rows(Reservation))}
    return {t.__tablename__: len(lab.rows(t)) for t in THINGS} | reality | inventory | reserved


@both
def test_a_created_instance_runs_with_its_disk_address_and_seed(lab: Lab) -> None:
    operation = lab.create("网站 <web> & \"co\" $(id)", hostname="web-1", tags=("web",), floating_ip=True)
    assert lab.operation(operation).error is None
    row = lab.rows(Instance)[0]
    assert (row.state, row.hostname, row.uuid) == (State.RUNNING, "web-1", as_uuid(row.id))
    domain = lab.world.domains[row.uuid]
    assert domain.power == Power.RUNNING
    assert domain.spec.title == '网站 <web> & "co" $(id)'
    assert [d.slot for d in domain.spec.disks] == ["vda", "sda"]
    port = lab.rows(Port)[0]
    assert [n.mac for n in domain.spec.nics] == [port.mac]
    assert port.id in lab.cloud.drivers.network.inventory()["port"]
    with lab.asking() as ctx:
        shown = service.detail(ctx, service.get(ctx, row.id))
    assert shown["addresses"] == [port.address]
    assert len(shown["floating_ips"]) == 1
    assert shown["task"] is None
    assert not any("password" in key for key in shown)
    assert [e.subject_id for e in lab.events("instance.running") + lab.events("instance.started")] == [row.id]


def test_an_instance_that_is_not_to_be_started_is_stopped(lab: Lab) -> None:
    lab.create(start=False)
    assert lab.row().state == State.STOPPED
    assert lab.domain().power == Power.STOPPED


def test_a_preview_writes_nothing_and_says_what_would_happen(lab: Lab) -> None:
    before = counts(lab)
    with lab.asking() as ctx:
        intent = service.create(ctx, service.Wish("web", "tiny", "tiny"))
        plan = intent.render("zh", now=ctx.clock.now(), undo_days=7)
    assert counts(lab) == before
    assert plan["title"] == "创建云主机 web"
    assert plan["undo"]["possible"]
    assert any("128 MiB" in text for text in plan["effects"])
    assert plan["depends"]
    assert plan["capacity"]


def test_the_password_is_nowhere_but_in_the_row_as_a_hash(lab: Lab) -> None:
    operation = lab.create(password="correct horse 密码")
    row = lab.row()
    with lab.database.read() as session:
        stored = session.get_one(Instance, row.id).password_hash
    assert stored.startswith("$6$")
    found = lab.operation(operation)
    assert "correct horse" not in str([found.arguments, found.preview, found.result, found.title])
    assert "$6$" not in str([found.arguments, found.preview, found.result])
    assert "correct horse" not in repr(service.Wish("a", "b", password="correct horse"))


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": "a/b"}, "name"),
        ({"name": "x" * 300}, "name"),
        ({"hostname": "-bad-"}, "hostname"),
        ({"user_data": "#!/bin/sh\n" + "x" * 1_000_000}, "user_data"),
        ({"memory_mib": 0}, "memory_mib"),
        ({"memory_mib": -5}, "memory_mib"),
        ({"vcpus": 0}, "vcpus"),
        ({"disk_bytes": -1}, "disk_bytes"),
        ({"disk_bytes": 10 * 1024**5}, "disk_bytes"),
        ({"disk_bytes": 10**30}, "disk_bytes"),
        ({"disk_bytes": 2 * 1024**2}, "disk_bytes"),
        ({"flavor": None}, "flavor"),
        ({"password": "abc"}, "password"),
        ({"ssh_keys": ("nonsense",)}, "public_key"),
        ({"tags": ("a b",)}, "tags"),
        ({"on_crash": "explode"}, "on_crash"),
        ({"shutdown_seconds": -1}, "shutdown_seconds"),
        ({"address": "10.9.9.9"}, "address"),
    ],
)
def test_bad_input_names_its_field_and_changes_nothing(lab: Lab, values: dict[str, Any], field: str) -> None:
    before = counts(lab)
    with pytest.raises(Invalid) as caught:
        lab.create(**{"name": "web", **values})
    assert field in caught.value.fields
    assert counts(lab) == before


def test_what_is_named_but_not_there_is_not_found(lab: Lab) -> None:
    for values in ({"image": "nope"}, {"flavor": "nope"}, {"network": "nope"}, {"keys": ("nope",)}):
        with pytest.raises(NotFound):
            lab.create(**values)


def test_an_image_that_needs_more_is_refused_in_words(lab: Lab) -> None:
    with pytest.raises(Invalid) as caught:
        lab.create(image="debian-12", flavor="nano")
    assert "memory_mib" in caught.value.fields


def test_what_no_host_can_hold_is_refused_with_the_reason(lab: Lab) -> None:
    with pytest.raises(NoCapacity):
        lab.create(memory_mib=1024 * 1024)


def test_a_disk_for_which_no_pool_has_room_is_named_by_its_field(lab: Lab) -> None:
    with lab.database.write() as session:
        session.execute(sa.update(Pool).values(free_bytes=9 * GIB, used_bytes=0, overcommit=1.0))
    with pytest.raises(NoCapacity) as caught:
        lab.create(disk_bytes=TIB)
    assert list(caught.value.fields) == ["disk_bytes"]
    assert "at most" in caught.value.fields["disk_bytes"].render("en")


def test_an_instance_that_is_called_like_an_option_goes_on_working(lab: Lab) -> None:
    """It was called so before such names were refused."""
    lab.create("web")
    with lab.database.write() as session:
        session.execute(sa.update(Instance).values(name="-rf"))
    lab.do(service.update, "-rf", name="-rf", description="as ever")
    lab.do(service.add_disk, "-rf", size_bytes=GIB)
    lab.do(service.stop, "-rf", force=True)
    assert (lab.row("-rf").description, lab.row("-rf").state) == ("as ever", State.STOPPED)
    with pytest.raises(Invalid):
        lab.do(service.rename, "-rf", "-r")
    lab.do(service.rename, "-rf", "rf")
    assert lab.row("rf").name == "rf"


def test_the_same_name_twice_is_refused_also_while_the_first_lies_in_the_trash(lab: Lab) -> None:
    lab.create("web")
    with pytest.raises(Conflict):
        lab.create("web")
    lab.do(service.delete, "web")
    with pytest.raises(Conflict) as caught:
        lab.create("web")
    assert "trash" in caught.value.message.render()


@both
def test_the_undo_of_a_creation_lays_the_machine_into_the_trash_and_its_own_undo_brings_it_back(lab: Lab) -> None:
    operation = lab.create(floating_ip=True)
    made = counts(lab)
    back = lab.undo(operation)
    assert lab.operation(back).error is None
    assert lab.operation(operation).state == "undone"
    assert lab.row().state == State.TRASHED
    assert counts(lab) == {**made, "trash_item": 1, **{k: v for k, v in counts(lab).items() if k != "trash_item"}}
    assert lab.operation(lab.undo(back)).error is None
    assert lab.operation(operation).state == "succeeded"
    assert lab.row().state == State.RUNNING
    assert counts(lab) == made


@pytest.mark.parametrize("method", ["define", "start"])
def test_a_creation_that_fails_anywhere_leaves_nothing(lab: Lab, method: str) -> None:
    before = counts(lab)
    lab.world.fail(method, retryable=False)
    operation = lab.create(floating_ip=True)
    found = lab.operation(operation)
    assert found.state == "failed"
    assert found.error["code"] == "driver_error"
    assert counts(lab) == before


@both
def test_a_creation_cancelled_before_it_began_leaves_nothing(lab: Lab) -> None:
    before = counts(lab)
    with lab.asking() as ctx:
        operation = submit(ctx, service.create(ctx, service.Wish("web", "tiny", "tiny"))).id
        cancel(ctx, operation)
    lab.drain()
    assert lab.operation(operation).state == "cancelled"
    assert counts(lab) == before


@both
def test_an_instance_that_is_still_being_created_can_be_deleted(lab: Lab) -> None:
    before = counts(lab)
    with lab.asking() as ctx:
        submit(ctx, service.create(ctx, service.Wish("web", "tiny", "tiny")))
    deletion = lab.do(service.delete, "web")
    assert lab.operation(deletion).state == "succeeded"
    assert counts(lab) == before


def test_a_short_absence_of_the_hypervisor_only_delays_a_creation(lab: Lab) -> None:
    lab.world.fail("start", times=2, after=True)
    lab.create()
    assert lab.row().state == State.RUNNING
    assert lab.domain().boots == 1


@both
def test_stop_and_start_and_their_undos(lab: Lab) -> None:
    lab.create()
    stop = lab.do(service.stop, "web")
    assert (lab.row().state, lab.domain().power) == (State.STOPPED, Power.STOPPED)
    assert lab.operation(stop).result["value"]["how"] == "agent"
    lab.undo(stop)
    assert (lab.row().state, lab.domain().power) == (State.RUNNING, Power.RUNNING)
    lab.do(service.stop, "web")
    start = lab.do(service.start, "web")
    assert lab.row().state == State.RUNNING
    lab.undo(start)
    assert (lab.row().state, lab.domain().power) == (State.STOPPED, Power.STOPPED)


def test_a_guest_without_agent_is_stopped_by_its_power_button(lab: Lab) -> None:
    lab.create()
    lab.world.guest(lab.row().uuid, agent=False)
    assert lab.operation(lab.do(service.stop, "web")).result["value"]["how"] == "acpi"


def test_a_guest_that_does_not_listen_is_cut_off_after_its_time(lab: Lab) -> None:
    lab.create(shutdown_seconds=1)
    lab.world.guest(lab.row().uuid, ignores_shutdown=True)
    assert lab.operation(lab.do(service.stop, "web")).result["value"]["how"] == "cut"
    assert lab.domain().power == Power.STOPPED


def test_force_cuts_at_once(lab: Lab) -> None:
    lab.create()
    calls = lab.world.calls["shutdown"]
    assert lab.operation(lab.do(service.stop, "web", force=True)).result["value"]["how"] == "cut"
    assert lab.world.calls["shutdown"] == calls


def test_a_verb_that_does_not_fit_the_state_is_refused_with_the_state(lab: Lab) -> None:
    lab.create()
    with pytest.raises(Conflict) as caught:
        lab.do(service.start, "web")
    assert caught.value.message.render("zh") == "云主机 web 运行中。"
    with pytest.raises(Conflict):
        lab.do(service.resume, "web")
    with pytest.raises(Invalid):
        lab.do(service.stop, "web", timeout=-1)


def test_pause_and_resume_and_their_undos(lab: Lab) -> None:
    lab.create()
    pause = lab.do(service.pause, "web")
    assert (lab.row().state, lab.domain().power) == (State.PAUSED, Power.PAUSED)
    lab.undo(pause)
    assert (lab.row().state, lab.domain().power) == (State.RUNNING, Power.RUNNING)
    lab.do(service.pause, "web")
    resume = lab.do(service.resume, "web")
    assert lab.row().state == State.RUNNING
    lab.undo(resume)
    assert (lab.row().state, lab.domain().power) == (State.PAUSED, Power.PAUSED)


def test_a_paused_machine_can_be_stopped(lab: Lab) -> None:
    lab.create()
    lab.do(service.pause, "web")
    lab.do(service.stop, "web")
    assert lab.row().state == State.STOPPED


@pytest.mark.parametrize("hard", [False, True])
def test_a_reboot_boots_again_and_says_that_it_cannot_be_undone(lab: Lab, hard: bool) -> None:
    lab.create()
    operation = lab.do(service.reboot, "web", hard=hard)
    assert (lab.row().state, lab.domain().boots) == (State.RUNNING, 2)
    assert not lab.operation(operation).undoable
    assert lab.operation(operation).transparent


@both
def test_a_deleted_instance_comes_back_running_as_it_was(lab: Lab) -> None:
    lab.create(floating_ip=True, tags=("web",))
    before, spec, state = counts(lab), lab.domain().spec, lab.row()
    address = lab.rows(Port)[0].address
    deletion = lab.do(service.delete, "web")
    assert lab.row().state == State.TRASHED
    assert state.uuid not in lab.world.domains
    item = lab.rows(TrashItem)[0]
    assert (item.kind, item.subject_id, item.name, item.operation_id) == ("instance", state.id, "web", deletion)
    assert not lab.rows(Allocation)
    assert lab.rows(Port)[0].id not in lab.cloud.drivers.network.inventory()["port"]
    with lab.asking() as ctx:
        assert service.list_instances(ctx).items == []
        assert len(service.list_instances(ctx, q="state:trashed").items) == 1
    assert lab.operation(lab.undo(deletion)).error is None
    assert (lab.row().state, lab.domain().power) == (State.RUNNING, Power.RUNNING)
    assert lab.domain().spec == spec
    assert lab.rows(Port)[0].address == address
    assert counts(lab) == before


def test_an_instance_deleted_while_stopped_comes_back_stopped(lab: Lab) -> None:
    lab.create(start=False)
    lab.undo(lab.do(service.delete, "web"))
    assert (lab.row().state, lab.domain().power) == (State.STOPPED, Power.STOPPED)


def test_a_protected_instance_is_not_deleted(lab: Lab) -> None:
    lab.create(protected=True)
    with pytest.raises(Conflict) as caught:
        lab.do(service.delete, "web")
    assert "--no-protect" in caught.value.hint.render()
    lab.do(service.update, "web", protected=False)
    lab.do(service.delete, "web")
    assert lab.row().state == State.TRASHED


def test_a_deletion_that_fails_leaves_the_machine_running(lab: Lab) -> None:
    lab.create()
    before = counts(lab)
    lab.world.fail("undefine", retryable=False)
    assert lab.operation(lab.do(service.delete, "web")).state == "failed"
    assert (lab.row().state, lab.domain().power) == (State.RUNNING, Power.RUNNING)
    assert counts(lab) == before


@both
def test_purge_leaves_nothing_and_frees_name_and_address(lab: Lab) -> None:
    before = counts(lab)
    creation = lab.create(floating_ip=True)
    deletion = lab.do(service.delete, "web")
    purge = lab.do(service.purge, "web")
    assert lab.operation(purge).error is None
    floating = lab.rows(FloatingIp)
    assert [f.port_id for f in floating] == [None], "the project keeps its floating IP, loose"
    after = counts(lab)
    assert after | {"floating_ip": 0, "reserved": after["reserved"] - 1} == before
    for operation in (creation, deletion):
        with pytest.raises(Conflict):
            lab.undo(operation)
    lab.create("web")


def test_purge_needs_the_trash(lab: Lab) -> None:
    lab.create()
    with pytest.raises(Conflict):
        lab.do(service.purge, "web")


def test_what_has_lain_long_enough_is_purged_by_itself(lab: Lab) -> None:
    import sqlalchemy as sa

    lab.create()
    lab.do(service.delete, "web")
    with lab.database.write() as session:
        session.execute(sa.update(TrashItem).values(purge_at=TrashItem.trashed_at))
    from yun.operations.intent import Subject

    lab.cloud.engine.nudge("trash.purge_expired", Subject("periodic", "trash.purge_expired"))
    lab.drain()
    assert lab.rows(Instance) == []
    assert lab.rows(TrashItem) == []


@both
def test_rename_tag_and_policies_and_their_undos(lab: Lab) -> None:
    lab.create()
    rename = lab.do(service.rename, "web", "数据库")
    assert lab.row("数据库").hostname == "web"
    tag = lab.do(service.tag, "数据库", ["a", "b"])
    change = lab.do(service.update, "数据库", autostart=False, on_crash="leave", description="云", shutdown_seconds=5)
    row = lab.row("数据库")
    assert (row.tags, row.autostart, row.on_crash, row.description) == (["a", "b"], False, "leave", "云")
    for operation in (change, tag, rename):
        lab.undo(operation)
    row = lab.row("web")
    assert (row.tags, row.autostart, row.on_crash, row.shutdown_seconds) == ([], True, "restart", 60)


def test_edits_that_are_wrong_or_change_nothing_are_refused(lab: Lab) -> None:
    lab.create()
    lab.create("db")
    for changes in ({"state": "running"}, {"autostart": "yes"}, {"shutdown_seconds": -1}, {"on_crash": "x"}):
        with pytest.raises(Invalid):
            lab.do(service.update, "web", **changes)
    with pytest.raises(Conflict):
        lab.do(service.rename, "web", "db")
    with pytest.raises(Conflict):
        lab.do(service.rename, "web", "web")


@both
def test_flavors_are_offered_and_withdrawn_and_both_undone(lab: Lab) -> None:
    creation = lab.do(
        lambda ctx: service.create_flavor(ctx, name="巨大", vcpus=4, memory_mib=4096, disk_bytes=1024**3)
    )
    with pytest.raises(Conflict):
        lab.do(lambda ctx: service.create_flavor(ctx, name="巨大", vcpus=4, memory_mib=4096, disk_bytes=1024**3))
    lab.create(flavor="巨大", image="debian-12", disk_bytes=3 * 1024**3)
    deletion = lab.do(lambda ctx: service.delete_flavor(ctx, "巨大"))
    with lab.asking() as ctx, pytest.raises(NotFound):
        service.get_flavor(ctx, "巨大")
    assert lab.row().vcpus == 4
    lab.undo(deletion)
    with lab.asking() as ctx:
        assert service.get_flavor(ctx, "巨大").state == "active"
    lab.undo(creation)
    assert "巨大" not in [f.name for f in lab.rows(Flavor) if f.state == "active"]


def test_default_flavors_are_made_once(lab: Lab) -> None:
    with lab.database.write() as session:
        assert service.ensure_flavors(session) == []
    assert {"tiny", "small", "medium", "large"} <= {f.name for f in lab.rows(Flavor)}


@both
def test_use_is_measured_and_shown(lab: Lab) -> None:
    from yun.operations.intent import Subject

    lab.create()
    for _round in range(2):
        with lab.database.write() as session:
            for row in session.query(InstanceSample):
                row.at = row.at.replace(year=row.at.year)
        lab.cloud.engine.nudge("instance.sample", Subject("periodic", "instance.sample"))
        lab.drain()
    with lab.asking() as ctx:
        found = service.metrics(ctx, service.get(ctx, "web"))
    assert len(found["points"]) == 1, "the second came too soon"
    assert found["now"]["memory_kib"] == 128 * 1024
    assert found["points"][0]["cpu"] is None
    assert not lab.rows(Notice)


@pytest.mark.parametrize("lab", ["fresh"], indirect=True)
def test_a_creation_in_the_middle_of_its_work_gives_way_to_a_deletion(lab: Lab) -> None:
    before = counts(lab)
    lab.world.slow("define", 1.0)
    engine = lab.cloud.engine
    engine.start()
    try:
        with lab.asking() as ctx:
            creation = submit(ctx, service.create(ctx, service.Wish("web", "tiny", "tiny"))).id
        wait_until(lambda: lab.world.calls["define"] > 0)
        with lab.asking() as ctx:
            deletion = submit(ctx, service.delete(ctx, service.get(ctx, "web"))).id
        wait_until(lambda: lab.operation(deletion).finished_at is not None)
    finally:
        engine.stop()
    assert lab.operation(creation).state == "cancelled"
    assert lab.operation(deletion).state == "succeeded"
    assert counts(lab) == before


@pytest.mark.parametrize("lab", ["postgresql"], indirect=True)
@pytest.mark.postgresql
def test_of_many_who_want_a_name_at_once_one_gets_it(lab: Lab) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def one(_n: int) -> str:
        try:
            with lab.asking() as ctx:
                return submit(ctx, service.create(ctx, service.Wish("web", "tiny", "tiny"))).id
        except Conflict:
            return ""

    with ThreadPoolExecutor(6) as pool:
        won = [identifier for identifier in pool.map(one, range(6)) if identifier]
    assert len(won) == 1
    lab.drain()
    assert lab.row().state == State.RUNNING


def wait_until(fulfilled: Any, seconds: float = 20.0) -> None:
    """Wait for something that other threads bring about."""
    end = time.monotonic() + seconds
    while not fulfilled():
        assert time.monotonic() < end, "it did not come to be so in time"
        time.sleep(0.02)
