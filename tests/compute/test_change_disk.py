"""Limits of disks, at once and shared; and how they are read and written, from the next start on."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from tests.compute.conftest import Lab, both
from tests.compute.test_adopt import FOLDER, adopt, stranger
from yun.base.errors import Conflict, Invalid
from yun.compute import service
from yun.compute.definitions import definitions
from yun.compute.limits import checked
from yun.compute.service import DiskChange, Place
from yun.drivers.hypervisor.libvirt.domain_xml import domain_xml
from yun.drivers.hypervisor.port import DiskSpec, IoLimits
from yun.hosts.model import Host
from yun.operations.model import State as OperationState
from yun.operations.service import submit
from yun.storage.model import Attachment

GIB = 1 << 30


@pytest.fixture
def disks(lab: Lab) -> Any:
    """An instance ``web`` that runs, and verbs on its disks."""

    class Disks:
        def add(self, **place: Any) -> str:
            return self.ask(lambda ctx, row: service.add_disk(ctx, row, size_bytes=GIB, place=Place(**place)))

        def change(self, slot: str, **values: Any) -> str:
            return self.ask(lambda ctx, row: service.change_disk(ctx, row, slot, DiskChange(**values)))

        def ask(self, verb: Any) -> str:
            with lab.asking() as ctx:
                identifier = submit(ctx, verb(ctx, service.get(ctx, "web"))).id
            lab.drain()
            done = lab.operation(identifier)
            assert done.state == OperationState.SUCCEEDED, done.error
            return identifier

        def seen(self, slot: str, **values: Any) -> list[str]:
            with lab.asking() as ctx:
                intent = service.change_disk(ctx, service.get(ctx, "web"), slot, DiskChange(**values))
                return list(intent.render("en", now=ctx.clock.now(), undo_days=7)["effects"])

        def live(self, slot: str) -> IoLimits:
            return {d.slot: d.limits for d in lab.domain("web").live.disks}[slot]

        def defined(self, slot: str) -> Any:
            return {d.slot: d for d in lab.domain("web").spec.disks}[slot]

        def row(self, slot: str) -> Attachment:
            return next(a for a in lab.rows(Attachment) if a.slot == slot)

        def shown(self, slot: str) -> dict[str, Any]:
            with lab.asking() as ctx:
                item = service.detail(ctx, service.get(ctx, "web"))
            return next(d for d in item["disks"] if d["slot"] == slot)

    lab.create()
    return Disks()


@both
def test_a_running_machine_s_disk_is_limited_at_once_and_undo_frees_it(lab: Lab, disks: Any) -> None:
    wish = {"read_iops_sec": 500, "read_iops_sec_max": 900, "read_iops_sec_max_length": 5, "write_bytes_sec": 10 << 20}
    said = disks.seen("vda", limits=wish)
    assert "Limit of vda: reads: 500/s, up to 900/s for 5 s." in said
    assert "Limit of vda: bytes written: 10 MiB/s." in said
    assert "The limits count at once, while the instance runs." in said
    done = disks.change("vda", limits=wish)
    assert lab.operation(done).result["value"]["effect"] == "live"
    assert disks.live("vda") == disks.defined("vda").limits == IoLimits(**wish)
    assert disks.shown("vda")["limits"] == wish
    lab.undo(done)
    assert disks.live("vda") == disks.defined("vda").limits == IoLimits()
    assert disks.row("vda").limits == {}
    with pytest.raises(Conflict, match="Nothing would change"):
        disks.seen("vda", limits={})


def test_undo_puts_back_the_limits_of_before(lab: Lab, disks: Any) -> None:
    disks.change("vda", limits={"total_iops_sec": 100})
    done = disks.change("vda", limits={"total_bytes_sec": 4096})
    assert disks.live("vda") == IoLimits(total_bytes_sec=4096), "they replace the old ones altogether"
    lab.undo(done)
    assert disks.live("vda") == disks.defined("vda").limits == IoLimits(total_iops_sec=100)


def test_a_machine_that_is_off_has_its_limits_with_its_next_start(lab: Lab, disks: Any) -> None:
    lab.do(service.stop, "web")
    assert "The instance is off; it takes effect with its next start." in disks.seen("vda", limits={"read_iops_sec": 9})
    done = disks.change("vda", limits={"read_iops_sec": 9})
    assert lab.operation(done).result["value"]["effect"] == "next"
    lab.do(service.start, "web")
    assert disks.live("vda") == IoLimits(read_iops_sec=9)


def test_disks_of_a_group_share_one_budget(lab: Lab, disks: Any) -> None:
    disks.change("vda", limits={"total_iops_sec": 100}, limit_group="slow")
    disks.add(limit_group="slow")
    shared = IoLimits(total_iops_sec=100, group_name="slow")
    assert disks.live("vdb") == disks.live("vda") == shared
    assert "It shares this budget with vda (group slow): it counts for all of them together." in disks.seen(
        "vdb", limits={"total_iops_sec": 200}
    )
    done = disks.change("vdb", limits={"total_iops_sec": 200})
    assert disks.live("vda") == disks.defined("vda").limits == IoLimits(total_iops_sec=200, group_name="slow")
    lab.undo(done)
    assert disks.live("vda") == disks.live("vdb") == shared
    assert "vda keep the budget of the group slow." in disks.seen("vdb", limit_group="")
    disks.change("vdb", limit_group="")
    assert disks.live("vdb") == IoLimits(total_iops_sec=100), "it leaves with limits of its own"
    assert disks.live("vda") == shared
    disks.change("vdb", limits={"read_iops_sec": 5})
    disks.change("vdb", limit_group="slow")
    assert disks.live("vdb") == shared, "who joins takes the group's limits"


def test_a_group_is_begun_with_limits_and_joined_with_the_same(lab: Lab, disks: Any) -> None:
    with pytest.raises(Invalid) as caught:
        disks.add(limit_group="slow")
    assert set(caught.value.fields) == {"limit_group"}
    with pytest.raises(Invalid) as caught:
        disks.seen("vda", limit_group="slow")
    assert set(caught.value.fields) == {"limit_group"}
    disks.add(limits={"total_iops_sec": 100}, limit_group="slow")
    with pytest.raises(Conflict) as conflict:
        disks.add(limits={"total_iops_sec": 101}, limit_group="slow")
    assert set(conflict.value.fields) == {"limit_group"}
    disks.add(limits={"total_iops_sec": 100}, limit_group="slow")
    assert disks.live("vdc") == disks.live("vdb")


def test_a_disk_that_waited_in_the_queue_has_the_limits_its_group_has_by_then(lab: Lab, disks: Any) -> None:
    disks.change("vda", limits={"total_iops_sec": 100}, limit_group="slow")
    with lab.asking() as ctx:
        row = service.get(ctx, "web")
        submit(ctx, service.change_disk(ctx, row, "vda", DiskChange(limits={"total_iops_sec": 7})))
        late = submit(ctx, service.add_disk(ctx, row, size_bytes=GIB, place=Place(limit_group="slow"))).id
    lab.drain()
    assert lab.operation(late).state == OperationState.SUCCEEDED, lab.operation(late).error
    assert disks.live("vdb") == disks.live("vda") == IoLimits(total_iops_sec=7, group_name="slow")


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        ({"total_iops_sec": 5, "read_iops_sec": 5}, "read_iops_sec"),
        ({"total_bytes_sec": 5, "write_bytes_sec": 5}, "write_bytes_sec"),
        ({"read_iops_sec": 5, "read_iops_sec_max": 4}, "read_iops_sec_max"),
        ({"read_iops_sec_max": 4}, "read_iops_sec_max"),
        ({"read_iops_sec": 5, "read_iops_sec_max_length": 4}, "read_iops_sec_max_length"),
        ({"read_bytes_sec": 10**14, "read_bytes_sec_max": 10**15, "read_bytes_sec_max_length": 2},
         "read_bytes_sec_max_length"),
        ({"read_iops_sec": 5, "read_iops_sec_max": 9, "read_iops_sec_max_length": 10**6}, "read_iops_sec_max_length"),
        ({"read_iops_sec": -1}, "read_iops_sec"),
        ({"read_iops_sec": True}, "read_iops_sec"),
        ({"read_iops_sec": 10**15 + 1}, "read_iops_sec"),
        ({"read_iops": 5}, "read_iops"),
    ],
    ids=str,
)  # fmt: skip
def test_limits_that_contradict_themselves_are_refused_by_name(limits: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        checked(limits)
    assert set(caught.value.fields) == {field}


@pytest.mark.parametrize("group", ["a b", "-a", "x" * 33, "ü"])
def test_a_group_has_a_plain_name(group: str) -> None:
    with pytest.raises(Invalid) as caught:
        checked({"read_iops_sec": 5}, group)
    assert set(caught.value.fields) == {"limit_group"}


def test_how_a_disk_is_read_and_written_waits_for_the_next_start_and_is_shown(lab: Lab, disks: Any) -> None:
    said = disks.seen("vda", cache="directsync", io="native", discard=False, serial="root-1")
    assert "Cache: none becomes directsync at the next start." in said
    assert "I/O mode: the usual one becomes native at the next start." in said
    disks.change("vda", cache="directsync", io="native", discard=False, serial="root-1", limits={"read_iops_sec": 5})
    now = disks.defined("vda")
    assert (now.cache, now.io, now.discard, now.serial) == ("directsync", "native", False, "root-1")
    with lab.asking() as ctx:
        row = service.get(ctx, "web")
        titles = {e["title"]: (e["now"], e["next"]) for e in service.waiting_words(ctx, row)}
        pending = {e["field"] for e in service.detail(ctx, row)["pending"]}
    assert titles["Disk vda: Cache"] == ("none", "directsync")
    assert titles["Disk vda: I/O mode"] == ("the usual one", "native")
    assert titles["Disk vda: Discard"] == ("yes", "no")
    assert pending == {"vda.cache", "vda.io", "vda.discard", "vda.serial"}, "the limits do not wait"
    disks.change("vda", serial="")
    assert "serial" not in disks.row("vda").running, "what is as it runs waits no more"
    lab.do(service.reboot, "web", hard=True)
    assert {d.slot: d.cache for d in lab.domain("web").live.disks}["vda"] == "directsync"
    assert disks.row("vda").running == {}


def test_what_waits_of_a_disk_is_dropped_with_the_rest(lab: Lab, disks: Any) -> None:
    disks.change("vda", cache="writeback")
    done = lab.do(service.drop_pending, "web")
    assert disks.defined("vda").cache == "none"
    assert disks.row("vda").running == {}
    with lab.asking() as ctx, pytest.raises(Conflict):
        service.drop_pending(ctx, service.get(ctx, "web"))
    lab.undo(done)
    assert disks.defined("vda").cache == "writeback"
    assert disks.row("vda").running == {"cache": "none"}


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"io": "native", "cache": "writeback"}, "io"),
        ({"io": "fast"}, "io"),
        ({"cache": "some"}, "cache"),
        ({"serial": "x" * 21}, "serial"),
        ({"serial": "a b"}, "serial"),
        ({"serial": "a,b=c"}, "serial"),
        ({"serial": "-a"}, "serial"),
        ({"serial": "ü"}, "serial"),
    ],
    ids=str,
)
def test_what_no_disk_can_be_is_refused_by_name(disks: Any, values: dict[str, Any], field: str) -> None:
    for refused in (lambda: disks.seen("vda", **values), lambda: disks.add(**values)):
        with pytest.raises(Invalid) as caught:
            refused()
        assert set(caught.value.fields) == {field}


def test_two_disks_of_one_instance_have_different_serials(disks: Any) -> None:
    disks.add(serial="data")
    with pytest.raises(Conflict) as caught:
        disks.add(serial="data")
    assert set(caught.value.fields) == {"serial"}
    with pytest.raises(Conflict):
        disks.seen("vda", serial="data")


def test_io_uring_is_refused_where_the_host_cannot_do_it_and_says_why(lab: Lab, disks: Any) -> None:
    disks.change("vda", io="io_uring")
    for facts, reason in (
        ({"io_uring": False, "io_uring_fault": "kernel.io_uring_disabled = 2"}, "kernel.io_uring_disabled = 2"),
        ({}, "not examined"),
    ):
        with lab.cloud.database.write() as session:
            session.execute(sa.update(Host).values(facts=facts))
        with pytest.raises(Conflict) as caught:
            disks.add(io="io_uring")
        assert reason in caught.value.message.render()
        assert set(caught.value.fields) == {"io"}


def test_a_disk_is_found_by_its_slot_or_its_volume_and_no_other(lab: Lab, disks: Any) -> None:
    disks.change("web", limits={"read_iops_sec": 5})
    disks.change(disks.row("vda").volume_id, limits={"read_iops_sec": 6})
    with pytest.raises(Invalid) as caught:
        disks.seen("vdq", limits={})
    assert set(caught.value.fields) == {"disk"}


def test_a_clone_has_its_source_s_limits_and_waits_for_nothing(lab: Lab, disks: Any) -> None:
    disks.change("vda", limits={"read_iops_sec": 5}, serial="root")
    disks.ask(lambda ctx, row: service.clone(ctx, row, service.CloneWish(name="twin")))
    twin = {d.slot: d for d in lab.domain("twin").spec.disks}["vda"]
    assert (twin.limits, twin.serial) == (IoLimits(read_iops_sec=5), "root")
    assert [a.running for a in lab.rows(Attachment) if a.volume_id != disks.row("vda").volume_id] == [{}]


def test_a_detached_disk_comes_back_with_its_limits(lab: Lab, disks: Any) -> None:
    disks.add(limits={"read_iops_sec": 5}, serial="data", discard=False)
    volume_id = disks.row("vdb").volume_id
    from yun.storage.service import get_volume

    done = disks.ask(lambda ctx, _row: service.detach(ctx, get_volume(ctx, volume_id)))
    lab.undo(done)
    assert disks.live("vdb") == IoLimits(read_iops_sec=5)
    assert (disks.defined("vdb").serial, disks.defined("vdb").discard) == ("data", False)


def test_an_instance_is_made_with_a_disk_that_is_limited(lab: Lab) -> None:
    wish = service.FirstDisk(cache="directsync", io="native", serial="root", discard=False,
                             limits={"read_iops_sec": 5}, limit_group="g")  # fmt: skip
    lab.create(disk=wish)
    disk = {d.slot: d for d in lab.domain("web").live.disks}["vda"]
    assert (disk.cache, disk.io, disk.serial, disk.discard) == ("directsync", "native", "root", False)
    assert disk.limits == IoLimits(read_iops_sec=5, group_name="g")
    for wrong, field in (({"io": "native", "cache": "unsafe"}, "io"), ({"limit_group": "g"}, "limit_group"),
                         ({"limits": {"read_iops_sec": -5}}, "read_iops_sec")):  # fmt: skip
        with pytest.raises(Invalid) as caught:
            lab.create("other", disk=service.FirstDisk(**wrong))  # type: ignore[arg-type]
        assert set(caught.value.fields) == {field}


def test_a_machine_that_was_taken_over_keeps_its_limits_until_they_are_changed(lab: Lab, disks: Any) -> None:
    had = IoLimits(total_iops_sec=70, group_name="theirs")
    path = f"{FOLDER}/old web.img"
    uuid = stranger(
        lab, raw=True,
        disks=(
            DiskSpec("vda", path, format="raw", cache="default", io="threads", discard=False, limits=had),  # type: ignore[arg-type]
        ),
    )  # fmt: skip
    adopt(lab, uuid)
    row = next(a for a in lab.rows(Attachment) if a.slot == "vda" and a.instance_id == lab.row("old-web").id)
    assert (row.io, row.discard, row.cache, row.serial) == ("threads", False, "default", "")
    assert row.limits == {"total_iops_sec": 70, "group_name": "theirs"}

    def following() -> str:
        with lab.asking() as ctx:
            return str(definitions(ctx, service.get(ctx, "old-web"))["next"])

    kept = following()
    assert "<total_iops_sec>70</total_iops_sec>" in kept
    assert "<serial>" not in kept, "it had none, and gets none by being taken over"
    assert "discard" not in kept
    change = DiskChange(limits={"read_iops_sec": 9}, limit_group="", serial="root", io="")
    done = lab.do(service.change_disk, "old-web", "vda", change)
    live = lab.world.domains[uuid].live
    assert live is not None
    assert live.disks[0].limits == IoLimits(read_iops_sec=9)
    changed = following()
    assert domain_xml(lab.world.domains[uuid].spec) == changed
    assert "<read_iops_sec>9</read_iops_sec>" in changed
    assert "<serial>root</serial>" in changed
    assert "total_iops_sec" not in changed
    assert "theirs" not in changed
    assert 'io="threads"' not in changed
    lab.undo(done)
    assert domain_xml(lab.world.domains[uuid].spec) == following() == kept


def test_the_expert_s_view_tells_what_runs_from_what_is_next(lab: Lab, disks: Any) -> None:
    disks.change("vda", cache="directsync", io="native", serial="root")
    with lab.asking() as ctx:
        seen = definitions(ctx, service.get(ctx, "web"))
    lines = [line.strip() for line in seen["difference"]]
    assert any(line.startswith("-") and 'cache="none"' in line for line in lines)
    assert any(line.startswith("+") and 'cache="directsync"' in line and 'io="native"' in line for line in lines)
    assert "<serial>root</serial>" in seen["next"]
    assert "<serial>root</serial>" not in seen["running"]
