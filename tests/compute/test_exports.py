"""An instance goes out as an OVA: refused while it runs, complete when it is ready, gone when it fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.compute.conftest import Lab
from tests.images.ova import tar, vmdk, write
from yun.base.context import Actor
from yun.base.errors import Conflict, Forbidden
from yun.compute import service
from yun.images import service as images
from yun.images.appliance import read
from yun.images.appliance.writing import Card, DiskFile, Machine, describe, manifest
from yun.images.model import Export
from yun.operations.model import State
from yun.operations.service import submit
from yun.storage import service as storage
from yun.storage.model import Head, Layer


def store_of(lab: Lab) -> Any:
    """The volume store in memory."""
    return lab.cloud.drivers.on("any").volume


def incoming(lab: Lab) -> list[str]:
    """What lies in the directory for files on their way."""
    return [p for p in store_of(lab).world.files if "/incoming/" in p]


def export(lab: Lab) -> str:
    """Export the instance web; the operation's id."""
    return lab.do(service.export, "web")


def test_a_stopped_instance_goes_out_with_all_its_disks(lab: Lab) -> None:
    lab.create(start=False)
    lab.do(service.add_disk, "web", size_bytes=1 << 30)
    done = lab.operation(export(lab))
    assert done.state == State.SUCCEEDED, done.error
    result = (done.result or {})["value"]
    with lab.asking() as ctx:
        found = images.get_export(ctx, result["export_id"])
        assert (found.format, found.image_name, found.checksum) == ("ova", "web", result["sha256"])
    assert incoming(lab) == [found.path]
    content = store_of(lab).world.files[found.path].content
    assert [part.split(":")[0] for part in content.split(",")] == [
        "web.ovf", "web.mf", "web-disk1.vmdk", "web-disk2.vmdk"
    ]


@pytest.mark.parametrize(("agent", "how"), [(True, "quiesced"), (False, "crash")])
def test_a_running_instance_goes_on_and_its_copy_is_of_one_moment(lab: Lab, agent: bool, how: str) -> None:
    lab.create()
    lab.do(service.add_disk, "web", size_bytes=1 << 30)
    lab.world.guest(lab.row().uuid, agent=agent)
    lab.drain()
    with lab.asking() as ctx:
        before = [disk.head.path for disk in storage.attachments_of(ctx.session, lab.row().id)]
        plan = service.export(ctx, service.get(ctx, "web")).render("en", now=ctx.clock.now(), undo_days=7)
    assert any("goes on running" in line for line in plan["effects"])
    files = len(store_of(lab).world.files)
    done = lab.operation(export(lab))
    assert done.state == State.SUCCEEDED, done.error
    result = (done.result or {})["value"]
    assert result["consistency"] == how
    assert lab.row().state == "running"
    with lab.asking() as ctx:
        found = images.get_export(ctx, result["export_id"])
        disks = storage.attachments_of(ctx.session, lab.row().id)
        assert service.consistency_of(ctx, service.get(ctx, "web"), result["export_id"]) == how
        assert sorted(ctx.session.get_one(Layer, d.head.layer_id).path for d in disks) == sorted(before)
    assert incoming(lab) == [found.path]
    assert len(store_of(lab).world.files) == files + 3, "two new heads and the OVA, no copy of what was frozen"
    live = lab.domain().live
    assert live is not None
    written = [disk.path for disk in live.disks if disk.path.endswith(".qcow2")]
    assert sorted(written) == sorted(disk.head.path for disk in disks)


def test_a_disk_that_a_running_machine_only_reads_goes_along_as_it_lies(lab: Lab) -> None:
    lab.create(start=False)
    lab.do(service.add_disk, "web", size_bytes=1 << 30, place=service.Place(readonly=True))
    lab.do(service.start, "web")
    done = lab.operation(export(lab))
    assert done.state == State.SUCCEEDED, done.error
    assert [d.attachment.readonly for d in disks_of(lab)] == [False, True]
    content = store_of(lab).world.files[incoming(lab)[0]].content
    assert "web-disk2.vmdk" in content


def disks_of(lab: Lab) -> list[Any]:
    """The disks of the instance web."""
    with lab.asking() as ctx:
        return storage.attachments_of(ctx.session, lab.row().id)


def test_a_full_disk_while_a_running_one_is_copied_leaves_it_running_on_its_disks(lab: Lab) -> None:
    lab.create()
    store_of(lab).world.fail("convert", times=20)
    done = lab.operation(export(lab))
    assert done.state == State.FAILED
    assert (lab.rows(Export), incoming(lab)) == ([], [])
    assert lab.row().state == "running"
    lab.do(service.stop, "web", force=True)
    lab.do(service.start, "web")
    assert lab.row().state == "running"


def test_an_instance_that_is_being_made_or_has_no_disk_is_refused(lab: Lab) -> None:
    lab.create(start=False)
    lab.do(service.delete, "web")
    with lab.asking() as ctx, pytest.raises(Conflict):
        service.export(ctx, service.get(ctx, "web"))


def test_one_that_was_started_while_the_export_waited_is_not_copied(lab: Lab) -> None:
    lab.create(start=False)
    with lab.asking() as ctx:
        starting = service.start(ctx, service.get(ctx, "web"))
        exporting = service.export(ctx, service.get(ctx, "web"))
        submit(ctx, starting)
        identifier = submit(ctx, exporting).id
    lab.drain()
    assert lab.operation(identifier).state == State.FAILED
    assert (lab.rows(Export), incoming(lab)) == ([], [])


@pytest.mark.parametrize("method", ["convert", "bundle", "digest"])
def test_whatever_fails_leaves_nothing_behind(lab: Lab, method: str) -> None:
    lab.create(start=False)
    store_of(lab).world.fail(method, times=20)
    assert lab.operation(export(lab)).state == State.FAILED
    assert (lab.rows(Export), incoming(lab)) == ([], [])
    assert lab.row().state == "stopped"


def test_a_full_disk_is_said_and_leaves_nothing_behind(lab: Lab) -> None:
    lab.create(start=False)
    store_of(lab).world.fill()
    done = lab.operation(export(lab))
    assert done.error is not None
    assert done.error["code"] == "no_capacity"
    assert (lab.rows(Export), incoming(lab)) == ([], [])


def test_a_reader_cannot_carry_a_machine_away(lab: Lab) -> None:
    lab.create(start=False)
    reader = Actor("user", "usr_re", "re", {lab.project_id: "reader"})
    with lab.asking(reader) as ctx, pytest.raises(Forbidden):
        service.export(ctx, service.get(ctx, "web"))


def test_a_description_that_is_written_here_is_read_here_as_it_was(tmp_path: Path) -> None:
    disks = [DiskFile(f"d{n}.vmdk", 1536, 1 << 30, "", bus) for n, bus in enumerate(("virtio", "sata", "scsi"))]
    machine = Machine(
        'a "b" & <c>', "one & two", "debian-12", 3, 1500, "uefi-secure", disks,
        [Card("virtio", "inner & outer"), Card("e1000", "outer")],
    )  # fmt: skip
    text = describe(machine)
    files = [("d0.vmdk", vmdk()), ("d1.vmdk", vmdk()), ("d2.vmdk", vmdk())]
    found = read(write(tmp_path / "a.ova", tar([("a.ovf", text), *files])))
    assert (found.name, found.os, found.vcpus, found.memory_mib) == ('a "b" & <c>', "debian-12", 3, 1500)
    assert found.firmware == "uefi-secure"
    assert [(d.bus, d.capacity) for d in found.disks] == [("virtio", 1 << 30), ("sata", 1 << 30), ("scsi", 1 << 30)]
    assert found.nics == ("virtio", "e1000")
    assert manifest([("a", "1" * 64)]) == b"SHA256(a)= " + b"1" * 64 + b"\n"


@pytest.mark.parametrize(("adopted", "said"), [(True, ["raw"]), (False, [""])])
def test_a_disk_that_was_taken_over_is_never_looked_at_for_its_format(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, adopted: bool, said: list[str]
) -> None:
    """Its guest could have written the header of another format into it, naming any file of the host."""
    lab.create(start=False)
    with lab.cloud.database.write() as session:
        session.execute(sa.update(Head).values(adopted=adopted, format="raw" if adopted else "qcow2"))
    given: list[str] = []
    store, convert = store_of(lab), type(store_of(lab)).convert

    def watch(self: Any, *args: Any, source_format: str = "", **options: Any) -> None:
        given.append(source_format)
        convert(self, *args, source_format=source_format, **options)

    monkeypatch.setattr(type(store), "convert", watch)
    assert lab.operation(export(lab)).state == State.SUCCEEDED
    assert given == said
