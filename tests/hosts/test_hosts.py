"""Hosts: looked at every few seconds, started by a verb, limited by a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from tests.hosts.conftest import Asking
from yun.base.context import Actor
from yun.base.db import Database
from yun.base.errors import Conflict, Forbidden, Invalid, NoCapacity, NotFound, Unavailable
from yun.drivers.host.fake import FakeMachine
from yun.hosts import service
from yun.hosts.model import Allocation, Host, HostService
from yun.operations.engine import Engine
from yun.operations.model import Event, Notice, Operation
from yun.operations.service import submit

MEMBER = Actor("user", "usr_1", "li", {"prj_1": "member"})
Tend = Callable[[], None]


def kinds(database: Database) -> list[str]:
    with database.read() as session:
        return [e.kind for e in session.scalars(sa.select(Event).order_by(Event.seq))]


def operations(session: Session) -> int | None:
    return session.scalar(sa.select(sa.func.count()).select_from(Operation))


def test_the_first_look_makes_the_host_and_its_services(database: Database, tend: Tend) -> None:
    tend()
    with database.read() as session:
        host = service.local_host(session)
        assert (host.name, host.state, host.cpus, host.memory_mib) == ("node1", "up", 4, 8192)
        assert host.libvirt_version == "9.0.0"
        assert host.facts["disk_free_bytes"] > 0
        assert [s.name for s in service.services_of(session, host.id)] == [
            "openvswitch", "ovn-central", "ovn-controller", "virtlogd", "libvirt",
        ]  # fmt: skip
    assert kinds(database).count("host.added") == 1


def test_the_processor_models_of_a_host_are_read_once_and_again_for_another_boot(
    database: Database, tend: Tend, engine: Engine, machine: FakeMachine
) -> None:
    hypervisor: Any = engine.drivers.on("any").hypervisor
    hypervisor.world.away = True
    tend()
    with database.read() as session:
        assert service.local_host(session).facts["cpu_models"] == {}, "nobody answered, and the rest is told"
    hypervisor.world.away = False
    tend()
    tend()
    assert hypervisor.world.calls["cpu_models"] == 2
    with database.read() as session:
        assert service.local_host(session).facts["cpu_models"]["usable"]["Nehalem"] is True
    machine.inventory = replace(machine.inventory, boot_id="another")
    hypervisor.world.away = True
    tend()
    with database.read() as session:
        assert service.local_host(session).facts["cpu_models"]["usable"], "what is known stays"
    hypervisor.world.away = False
    tend()
    assert hypervisor.world.calls["cpu_models"] == 4


def test_a_look_that_finds_nothing_new_leaves_no_trace(database: Database, tend: Tend) -> None:
    tend()
    before = kinds(database)
    with database.read() as session:
        host = service.local_host(session)
        seen, revision, known = host.seen_at, host.revision, operations(session)
    tend()
    assert kinds(database) == before
    with database.read() as session:
        host = service.local_host(session)
        assert host.seen_at > seen
        assert host.revision == revision
        assert operations(session) == known


def test_a_dead_service_degrades_the_host_tells_it_and_is_forgotten_when_it_is_back(
    database: Database, tend: Tend, machine: FakeMachine
) -> None:
    tend()
    machine.break_service("ovn-controller", "unresponsive")
    tend()
    with database.read() as session:
        host = service.local_host(session)
        assert host.state == "degraded"
        notice = session.scalars(sa.select(Notice)).one()
        assert notice.key == f"host.{host.id}.ovn-controller"
        assert "yun host start-service node1 ovn-controller" in str(notice.hint)
    assert "host.changed" in kinds(database)
    machine.start_service("ovn-controller")
    tend()
    with database.read() as session:
        assert service.local_host(session).state == "up"
        assert session.scalars(sa.select(Notice)).all() == []


def test_a_host_without_libvirt_is_down_and_keeps_the_version_it_had(
    database: Database, tend: Tend, machine: FakeMachine
) -> None:
    tend()
    machine.break_service("libvirt")
    tend()
    with database.read() as session:
        host = service.local_host(session)
        assert (host.state, host.libvirt_version) == ("down", "9.0.0")
        row = session.scalars(sa.select(HostService).where(HostService.name == "libvirt")).one()
        assert (row.state, row.version) == ("stopped", "9.0.0")


def test_a_reboot_into_kvm_is_written(database: Database, tend: Tend, machine: FakeMachine) -> None:
    tend()
    machine.inventory = replace(machine.inventory, boot_id="next", accel="kvm", accel_reason="proved", cpus=8)
    tend()
    with database.read() as session:
        host = service.local_host(session)
        assert (host.accel, host.accel_reason, host.cpus, host.boot_id) == ("kvm", "proved", 8, "next")


def test_starting_a_service_makes_it_run_and_the_row_says_so_at_once(
    database: Database, engine: Engine, tend: Tend, machine: FakeMachine, asking: Asking
) -> None:
    machine.break_service("libvirt")
    tend()
    with asking() as ctx:
        intent = service.start_service(ctx, "node1", "libvirt")
        assert "will run" in intent.effects[0].render()
        identifier = submit(ctx, intent).id
    engine.drain()
    with database.read() as session:
        done = session.scalars(sa.select(Operation).where(Operation.id == identifier)).one()
        assert done.state == "succeeded"
        assert not done.undoable
        assert service.local_host(session).state == "up"


def test_a_mute_service_is_announced_to_be_woken_or_restarted_and_answers_again(
    database: Database, engine: Engine, tend: Tend, machine: FakeMachine, asking: Asking
) -> None:
    machine.break_service("libvirt", "unresponsive")
    tend()
    with asking() as ctx:
        intent = service.start_service(ctx, "node1", "libvirt")
        assert "does not answer" in intent.effects[0].render()
        assert "Instances go on running" in intent.effects[0].render()
        submit(ctx, intent)
    engine.drain()
    with database.read() as session:
        assert service.local_host(session).state == "up"
    assert machine.started_services() == []  # it had been started by somebody else, who also stops it


def test_a_service_that_will_not_start_fails_the_operation_with_its_reason(
    database: Database, engine: Engine, tend: Tend, machine: FakeMachine, asking: Asking
) -> None:
    machine.break_service("libvirt")
    machine.refuse.add("libvirt")
    tend()
    with asking() as ctx:
        identifier = submit(ctx, service.start_service(ctx, "node1", "libvirt")).id
    engine.drain()
    with database.read() as session:
        done = session.scalars(sa.select(Operation).where(Operation.id == identifier)).one()
        assert done.state == "failed"
        assert done.error is not None
        assert done.error["code"] == "driver_error"
        assert service.local_host(session).state == "down"


def test_a_missing_service_is_refused_with_the_remedy(tend: Tend, machine: FakeMachine, asking: Asking) -> None:
    machine.break_service("libvirt", "missing")
    tend()
    with asking() as ctx, pytest.raises(Conflict) as caught:
        service.start_service(ctx, "node1", "libvirt")
    assert caught.value.hint is not None
    with asking() as ctx, pytest.raises(NotFound):
        service.start_service(ctx, "node1", "cron")


def test_limits_change_and_are_taken_back_by_undo(
    database: Database, engine: Engine, tend: Tend, asking: Asking
) -> None:
    from yun.operations.service import undo

    tend()
    with asking() as ctx:
        intent = service.update(ctx, "node1", service.Changes(memory_overcommit=2.0, accepts=False))
        identifier = submit(ctx, intent).id
    with database.read() as session:
        host = service.local_host(session)
        assert (host.memory_overcommit, host.accepts) == (2.0, False)
    with asking() as ctx:
        submit(ctx, undo(ctx, identifier))
    engine.drain()
    with database.read() as session:
        host = service.local_host(session)
        assert (host.memory_overcommit, host.accepts) == (1.0, True)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        (service.Changes(memory_overcommit=0.0), "memory_overcommit"),
        (service.Changes(cpu_overcommit=1e9), "cpu_overcommit"),
        (service.Changes(reserved_mib=-1), "reserved_mib"),
        (service.Changes(reserved_mib=1 << 50), "reserved_mib"),
        (service.Changes(description="a\nb"), "description"),
        (service.Changes(description="x" * 501), "description"),
    ],
)
def test_impossible_limits_are_refused_by_field(
    tend: Tend, asking: Asking, changes: service.Changes, field: str
) -> None:
    tend()
    with asking() as ctx, pytest.raises(Invalid) as caught:
        service.update(ctx, "node1", changes)
    assert set(caught.value.fields) == {field}


def test_an_empty_change_is_refused(tend: Tend, asking: Asking) -> None:
    tend()
    with asking() as ctx, pytest.raises(Invalid):
        service.update(ctx, "node1", service.Changes())


def test_only_administrators_see_and_change_hosts(tend: Tend, asking: Asking) -> None:
    tend()
    with asking(MEMBER) as ctx:
        for call in (
            lambda: service.list_hosts(ctx),
            lambda: service.get(ctx, "node1"),
            lambda: service.start_service(ctx, "node1", "libvirt"),
            lambda: service.update(ctx, "node1", service.Changes(accepts=False)),
        ):
            with pytest.raises(Forbidden):
                call()


def test_before_the_first_look_there_is_no_host(asking: Asking) -> None:
    with asking() as ctx:
        with pytest.raises(Unavailable):
            service.local_host(ctx.session)
        with pytest.raises(NoCapacity) as caught:
            service.choose(ctx.session, vcpus=1, memory_mib=1)
    assert caught.value.hint is not None


def test_promises_fill_the_host_until_nothing_fits(tend: Tend, asking: Asking) -> None:
    tend()
    with asking() as ctx:
        host = service.choose(ctx.session, vcpus=1, memory_mib=4096)
        service.allocate(ctx.session, host_id=host.id, owner="ins_a", vcpus=1, memory_mib=4096)
        service.allocate(ctx.session, host_id=host.id, owner="ins_b", vcpus=1, memory_mib=3072)
        with pytest.raises(NoCapacity) as caught:
            service.choose(ctx.session, vcpus=1, memory_mib=64)
        assert "node1: 64 MiB of memory short" in caught.value.message.render()
        assert "node1：内存还差 64 MiB" in caught.value.message.render("zh")
        service.release(ctx.session, "ins_a")
        service.release(ctx.session, "ins_a")
        assert service.choose(ctx.session, vcpus=1, memory_mib=4096).id == host.id


def test_a_promise_is_checked_again_when_it_is_made_and_may_always_shrink(tend: Tend, asking: Asking) -> None:
    tend()
    with asking() as ctx:
        host = service.local_host(ctx.session)
        service.allocate(ctx.session, host_id=host.id, owner="ins_a", vcpus=2, memory_mib=7168)
        with pytest.raises(NoCapacity):
            service.allocate(ctx.session, host_id=host.id, owner="ins_b", vcpus=1, memory_mib=1)
        with pytest.raises(NoCapacity):
            service.allocate(ctx.session, host_id=host.id, owner="ins_a", vcpus=2, memory_mib=7169)
        host.reserved_mib = 4096
        ctx.session.flush()
        service.allocate(ctx.session, host_id=host.id, owner="ins_a", vcpus=1, memory_mib=6000)
        kept = ctx.session.scalars(sa.select(Allocation)).one()
        assert (kept.vcpus, kept.memory_mib) == (1, 6000)


def test_hosts_are_listed_sorted_and_filtered(tend: Tend, asking: Asking) -> None:
    tend()
    with asking() as ctx:
        ctx.session.add(Host(name="alpha", state="down", memory_mib=1))
        ctx.session.flush()
        assert [h.name for h in service.list_hosts(ctx).items] == ["alpha", "node1"]
        assert [h.name for h in service.list_hosts(ctx, sort="-memory_mib").items] == ["node1", "alpha"]
        assert [h.name for h in service.list_hosts(ctx, state="up").items] == ["node1"]
        with pytest.raises(NotFound):
            service.get(ctx, "beta")
