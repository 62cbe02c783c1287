"""Disks of instances: attached and detached while they run, grown under them, kept when the instance goes."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from tests.compute.conftest import Lab, both
from yun.base.errors import Conflict, Invalid, NoCapacity
from yun.compute import service
from yun.compute.model import State
from yun.compute.service import Place
from yun.operations.model import State as OperationState
from yun.operations.service import submit, undo, waits_for
from yun.storage import service as storage
from yun.storage.model import Attachment, Head, Pool, Volume

GIB = 1 << 30


@pytest.fixture
def disks(lab: Lab) -> Any:
    """An instance ``web`` that runs and a volume ``data``; verbs by volume name."""

    class Disks:
        def ask(self, verb: Any, *args: Any, **values: Any) -> str:
            with lab.asking() as ctx:
                identifier = submit(ctx, verb(ctx, *(a(ctx) if callable(a) else a for a in args), **values)).id
            lab.drain()
            return identifier

        def attach(self, place: Place | None = None, *, volume: str = "data", instance: str = "web") -> str:
            return self.ask(
                service.attach, lambda ctx: storage.get_volume(ctx, volume), lambda ctx: service.get(ctx, instance),
                place,
            )  # fmt: skip

        def detach(self, volume: str = "data", **values: Any) -> str:
            return self.ask(service.detach, lambda ctx: storage.get_volume(ctx, volume), **values)

        def live(self, instance: str = "web") -> list[str]:
            domain = lab.domain(instance)
            return [d.slot for d in domain.live.disks] if domain.live else []

        def defined(self, instance: str = "web") -> list[str]:
            return [d.slot for d in lab.domain(instance).spec.disks]

        def volume(self, name: str = "data") -> Volume:
            return next(v for v in lab.rows(Volume) if v.name == name)

    made = Disks()
    lab.create()
    made.ask(storage.create_volume, name="data", size_bytes=GIB)
    return made


@both
def test_a_volume_is_attached_and_detached_while_the_instance_runs(lab: Lab, disks: Any) -> None:
    done = lab.operation(disks.attach())
    assert done.state == OperationState.SUCCEEDED, done.error
    assert done.result["value"]["effect"] == "live"
    assert "vdb" in disks.live()
    assert "vdb" in disks.defined()
    done = lab.operation(disks.detach())
    assert done.result["value"]["effect"] == "live"
    assert "vdb" not in disks.live() + disks.defined()
    assert disks.volume().state == "available"


def test_a_disk_on_a_bus_that_cannot_take_it_now_is_there_after_the_next_start(lab: Lab, disks: Any) -> None:
    with lab.asking() as ctx:
        seen = service.attach(
            ctx, storage.get_volume(ctx, "data"), service.get(ctx, "web"), Place(bus="sata")
        ).render("en", now=ctx.clock.now(), undo_days=7)
    assert "It takes effect at the next start of the instance." in seen["effects"]
    done = lab.operation(disks.attach(Place(bus="sata")))
    assert done.result["value"]["effect"] == "next"
    assert "sdh" not in disks.live()
    assert "sdh" in disks.defined()
    lab.do(service.reboot, "web", hard=True)
    assert "sdh" in disks.live()


def test_attaching_is_taken_back_live_and_detaching_too(lab: Lab, disks: Any) -> None:
    attached = disks.attach()
    lab.undo(attached)
    assert "vdb" not in disks.live() + disks.defined()
    attached = disks.attach(Place(slot="vdf"))
    detached = disks.detach()
    lab.undo(detached)
    assert "vdf" in disks.live()
    assert [(a.slot, a.kept) for a in lab.rows(Attachment) if a.slot == "vdf"] == [("vdf", True)]
    with lab.asking() as ctx:
        chain = undo(ctx, attached)
    assert chain.arguments["targets"] == [attached], "an undone detaching no longer stands in the way"


def test_a_guest_that_keeps_a_disk_keeps_it_and_the_person_is_told_what_to_do(lab: Lab, disks: Any) -> None:
    disks.attach()
    lab.world.guest(lab.row().uuid, keeps_disks=True)
    failed = lab.operation(disks.detach(timeout=1))
    assert failed.state == OperationState.FAILED
    assert "did not let go of {slot}" in str(failed.error)
    assert "vdb" in disks.live()
    assert lab.rows(Attachment)
    lab.world.guest(lab.row().uuid, keeps_disks=False)
    assert lab.operation(disks.detach()).state == OperationState.SUCCEEDED


def test_an_undo_that_the_guest_does_not_allow_fails_and_holds_nothing(
    lab: Lab, disks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("yun.compute.steps.disks.UNDO_SECONDS", 0.5)
    attached = disks.attach()
    lab.world.guest(lab.row().uuid, keeps_disks=True)
    failed = lab.operation(lab.undo(attached))
    assert failed.state == OperationState.FAILED
    assert lab.operation(attached).state == OperationState.SUCCEEDED


def test_a_paused_instance_says_why_it_keeps_the_disk(lab: Lab, disks: Any) -> None:
    disks.attach()
    lab.do(service.pause, "web")
    failed = lab.operation(disks.detach(timeout=1))
    assert "paused" in str(failed.error)


def test_a_volume_is_in_one_instance_only_and_a_slot_holds_one(lab: Lab, disks: Any) -> None:
    lab.create("db")
    disks.attach()
    with pytest.raises(Conflict):
        disks.attach(instance="db")
    disks.ask(storage.create_volume, name="more", size_bytes=GIB)
    with pytest.raises(Conflict) as caught:
        disks.attach(Place(slot="vdb"), volume="more")
    assert "slot" in caught.value.fields


@pytest.mark.parametrize(
    ("place", "field"),
    [
        (Place(bus="floppy"), "bus"), (Place(slot="sdb"), "slot"), (Place(slot="vda/../x"), "slot"),
        (Place(bus="scsi", slot="sda"), "slot"), (Place(cache="fast"), "cache"),
    ],
)  # fmt: skip
def test_a_place_there_is_not_is_refused_with_its_field(lab: Lab, disks: Any, place: Place, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        disks.attach(place)
    assert field in caught.value.fields
    assert "vdb" not in disks.defined()


def test_the_boot_disk_needs_an_explicit_word_and_a_machine_that_is_off(lab: Lab, disks: Any) -> None:
    with pytest.raises(Conflict):
        disks.detach("web")
    with pytest.raises(Conflict):
        disks.detach("web", boot_disk=True)
    lab.do(service.stop, "web", timeout=0)
    detached = disks.detach("web", boot_disk=True)
    assert disks.defined() == ["sda"]
    lab.undo(detached)
    assert disks.defined() == ["vda", "sda"]


@both
def test_a_deleted_instance_lets_go_of_what_was_attached_and_takes_it_back(lab: Lab, disks: Any) -> None:
    disks.attach()
    deletion = lab.do(service.delete, "web")
    assert disks.volume().state == "available"
    assert [a.slot for a in lab.rows(Attachment)] == ["vda"]
    lab.undo(deletion)
    assert "vdb" in disks.live()
    deletion = lab.do(service.delete, "web")
    lab.do(service.purge, "web")
    assert [v.name for v in lab.rows(Volume)] == ["data"], "the purge took only what went to the trash"


def test_what_another_instance_has_by_now_stops_the_undo_of_a_deletion_and_says_so(lab: Lab, disks: Any) -> None:
    disks.attach()
    lab.create("db")
    deletion = lab.do(service.delete, "web")
    disks.attach(instance="db")
    with pytest.raises(Conflict) as caught:
        lab.undo(deletion)
    assert "data" in caught.value.message.render("en")
    with lab.asking() as ctx:
        submit(ctx, undo(ctx, deletion, through=True))
    lab.drain()
    assert lab.row().state == State.RUNNING
    assert ("vdb" in disks.live("web"), "vdb" in disks.live("db")) == (True, False)


@both
def test_a_disk_is_added_in_one_go_and_its_undo_keeps_what_was_written(lab: Lab, disks: Any) -> None:
    added = lab.do(service.add_disk, "web", size_bytes=2 * GIB)
    assert "vdb" in disks.live()
    assert disks.volume("web-vdb").size_bytes == 2 * GIB
    lab.undo(added)
    assert "vdb" not in disks.live()
    assert disks.volume("web-vdb").state == "available"


def test_a_disk_that_cannot_be_plugged_in_leaves_nothing(lab: Lab, disks: Any) -> None:
    lab.world.fail("attach_disk", 20, retryable=False)
    failed = lab.operation(lab.do(service.add_disk, "web", size_bytes=GIB, name="extra"))
    assert failed.state == OperationState.FAILED
    assert "extra" not in [v.name for v in lab.rows(Volume)]
    assert "vdb" not in disks.live() + disks.defined()


def test_a_volume_grows_under_its_guest_and_never_shrinks(lab: Lab, disks: Any) -> None:
    disks.attach()
    grown = lab.operation(disks.ask(service.grow, lambda ctx: storage.get_volume(ctx, "data"), 3 * GIB))
    assert grown.result["value"]["effect"] == "live"
    assert disks.volume().size_bytes == 3 * GIB
    for size in (GIB, 3 * GIB, 0, -1):
        with pytest.raises(Invalid) as caught:
            disks.ask(service.grow, lambda ctx: storage.get_volume(ctx, "data"), size)
        assert "size_bytes" in caught.value.fields
    with pytest.raises((Invalid, NoCapacity)):
        disks.ask(service.grow, lambda ctx: storage.get_volume(ctx, "data"), 1 << 60)
    disks.detach()
    grown = lab.operation(disks.ask(service.grow, lambda ctx: storage.get_volume(ctx, "data"), 4 * GIB))
    assert grown.result["value"]["effect"] == "file"


def test_a_mounted_disk_is_refused_with_its_mount_point_before_the_guest_is_asked(lab: Lab, disks: Any) -> None:
    disks.attach()
    lab.domain().guest.mounts["vdb"] = "/srv/data"
    failed = lab.operation(disks.detach())
    assert failed.state == OperationState.FAILED
    assert "/srv/data" in str(failed.error)
    assert "vdb" in disks.live()
    assert "vdb" not in lab.domain().asked_for
    lab.world.calls["detach_disk"] = 0
    done = lab.operation(disks.detach(even_if_mounted=True))
    assert done.state == OperationState.SUCCEEDED, done.error
    assert "vdb" not in disks.live()
    assert lab.world.calls["detach_disk"] == 1


def test_the_preview_says_where_the_guest_has_it_mounted_as_far_as_it_is_known(lab: Lab, disks: Any) -> None:
    from yun.compute.guest.model import InstanceGuest

    disks.attach()
    with lab.asking() as ctx:
        row = ctx.session.get(InstanceGuest, service.get(ctx, "web").id)
        told = [{"mount": "/srv", "type": "ext4", "device": "/dev/vdb", "slots": ["vdb"], "serials": []}]
        if row is None:
            row = InstanceGuest(instance_id=service.get(ctx, "web").id, asked_at=ctx.clock.now())
            ctx.session.add(row)
        row.file_systems = told
        ctx.session.flush()
        volume = storage.get_volume(ctx, "data")
        for agreed, words in ((False, "mounted at /srv"), (True, "even if the guest has it mounted")):
            intent = service.detach(ctx, volume, even_if_mounted=agreed)
            seen = intent.render("en", now=ctx.clock.now(), undo_days=7)
            assert any(words in effect for effect in seen["effects"])


def test_a_guest_whose_agent_is_silent_is_asked_for_its_disk_all_the_same(lab: Lab, disks: Any) -> None:
    disks.attach()
    lab.domain().guest.mounts["vdb"] = "/srv/data"
    lab.world.fail("guest")
    assert lab.operation(disks.detach()).state == OperationState.SUCCEEDED


@both
def test_a_removed_disk_goes_to_the_trash_and_comes_back_into_its_machine(lab: Lab, disks: Any) -> None:
    disks.attach()
    done = disks.detach(trash=True)
    assert lab.operation(done).state == OperationState.SUCCEEDED
    assert disks.volume().state == "trashed"
    lab.undo(done)
    assert disks.volume().state == "available"
    assert "vdb" in disks.live()


def test_undo_of_an_attaching_whose_disk_another_machine_has_by_now_is_refused_and_names_what_stands_on_it(
    lab: Lab, disks: Any
) -> None:
    attached = disks.attach()
    detached = disks.detach()
    lab.create("db")
    elsewhere = disks.attach(instance="db")
    for operation in (attached, detached):
        with pytest.raises(Conflict) as caught:
            lab.undo(operation)
        assert elsewhere in [b["id"] for b in caught.value.details["blockers"]]
        assert "vdb" in disks.live("db"), "nothing was taken from the machine that has it"
    with lab.asking() as ctx:
        submit(ctx, undo(ctx, detached, through=True))
    lab.drain()
    assert ("vdb" in disks.live("web"), "vdb" in disks.live("db")) == (True, False)


def test_of_two_growths_that_wait_together_the_second_is_promised_only_what_is_left(lab: Lab, disks: Any) -> None:
    disks.ask(storage.create_volume, name="other", size_bytes=GIB)
    with lab.asking() as ctx:
        pool = ctx.session.scalars(sa.select(Pool)).one()
        books = storage.pool_room(ctx.session, pool)
        pool.overcommit = (books.promised + 3 * GIB) / books.space  # so that 3 GiB are left
        ctx.session.flush()
        one = submit(ctx, service.grow(ctx, storage.get_volume(ctx, "data"), 3 * GIB)).id
        two = submit(ctx, service.grow(ctx, storage.get_volume(ctx, "other"), 3 * GIB)).id
        three = submit(ctx, service.grow(ctx, storage.get_volume(ctx, "data"), 2 * GIB)).id
    lab.drain()
    ended = [lab.operation(identifier) for identifier in (one, two, three)]
    assert [o.state for o in ended] == [OperationState.SUCCEEDED, OperationState.FAILED, OperationState.FAILED]
    assert [o.error and o.error["code"] for o in ended] == [None, "no_capacity", "conflict"]
    assert disks.volume("other").size_bytes == GIB
    store = lab.cloud.drivers.on(lab.row().host_id).volume
    with lab.database.read() as session:
        paths = {h.volume_id: h.path for h in session.scalars(sa.select(Head))}
    assert store.inspect(paths[disks.volume("other").id]).virtual_bytes == GIB


@both
def test_disks_and_drives_asked_for_at_once_get_slots_of_their_own(lab: Lab, disks: Any) -> None:
    """What was accepted and still waits for its turn has its slot already."""
    with lab.asking() as ctx:
        instance = service.get(ctx, "web")
        asked = [submit(ctx, service.add_disk(ctx, instance, size_bytes=GIB)).id for _each in range(3)]
        with pytest.raises(Conflict) as caught:
            service.add_disk(ctx, instance, size_bytes=GIB, place=Place(slot="vdc"))
    assert "slot" in caught.value.fields
    lab.drain()
    assert [lab.operation(identifier).state for identifier in asked] == [OperationState.SUCCEEDED] * 3
    assert sorted(disks.live()) == ["sda", "vda", "vdb", "vdc", "vdd"]


@both
def test_undoing_a_removal_whose_slot_was_filled_since_asks_for_the_newer_disk_first(lab: Lab, disks: Any) -> None:
    disks.attach()
    removal = disks.detach()
    disks.ask(service.add_disk, lambda ctx: service.get(ctx, "web"), size_bytes=GIB, name="newer")
    with lab.asking() as ctx, pytest.raises(Conflict):
        undo(ctx, removal)
    assert sorted(disks.live()) == ["sda", "vda", "vdb"]


def test_a_volume_that_outlived_its_instance_waits_while_that_is_brought_back(lab: Lab, disks: Any) -> None:
    """Between two steps of the undo the volume is nowhere yet; whoever wants it elsewhere stands behind the undo, also
    where a process dies there and another one goes on."""
    lab.create("other", start=False)
    disks.attach()
    deletion = lab.do(service.delete, "web", force=True)
    with lab.asking() as ctx:
        back = submit(ctx, undo(ctx, deletion)).id
        wanted = submit(ctx, service.attach(ctx, storage.get_volume(ctx, "data"), service.get(ctx, "other"))).id
    with lab.asking() as ctx:
        assert [o.id for o in waits_for(ctx, lab.operation(wanted))] == [back]
    lab.drain()
    assert lab.operation(back).state == OperationState.SUCCEEDED
    assert lab.operation(wanted).state == OperationState.FAILED
    assert lab.row().state == State.RUNNING
    assert "vdb" in disks.live()
