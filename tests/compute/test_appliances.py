"""Importing an OVA: an instance with volumes and cards as it says, stopped; whatever fails leaves nothing behind."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.compute.conftest import Lab
from tests.images.ova import GIB, Wanted, manifest, ova, ovf, tar, vmdk
from yun.base.errors import Conflict, Invalid, NotFound
from yun.compute import service
from yun.compute.model import Instance
from yun.images import service as images
from yun.images.model import Upload
from yun.network.model import Port
from yun.operations.model import State
from yun.operations.service import submit
from yun.storage.model import Attachment, Head, Volume

THREE = {f"d{n}.vmdk": vmdk(text=b"disk %d" % n) for n in (1, 2, 3)}


@pytest.fixture(autouse=True)
def nothing_of_other_tests(lab: Lab) -> None:
    """The labs' pools are one directory."""
    store: Any = lab.cloud.drivers.on("any").volume
    for pool in store.world.pools:
        shutil.rmtree(Path(pool) / "incoming", ignore_errors=True)


def upload(ctx: Any, content: bytes, name: str = "old") -> Upload:
    """An appliance that has come in whole."""
    row = images.begin_upload(
        ctx, images.NewImage(name), length=len(content), filename=f"{name}.ova", purpose="appliance"
    )
    Path(row.path).parent.mkdir(parents=True, exist_ok=True)
    Path(row.path).write_bytes(content)
    return row


def bring(lab: Lab, content: bytes, **wish: Any) -> str:
    """Upload and import; the operation's id."""
    with lab.asking() as ctx:
        row = upload(ctx, content)
        identifier = submit(ctx, service.import_appliance(ctx, row, service.ImportWish(**wish))).id
    lab.drain()
    return identifier


def left_over(lab: Lab) -> list[str]:
    """Files on their way that are still there, real and in memory."""
    store: Any = lab.cloud.drivers.on("any").volume
    folder = next(Path(p) / "incoming" for p in store.world.pools)
    real = [p.name for p in folder.iterdir()] if folder.is_dir() else []
    return real + [p for p in store.world.files if "/incoming/" in p]


def test_three_disks_become_three_volumes_of_a_stopped_instance(lab: Lab) -> None:
    done = lab.operation(bring(lab, ova(Wanted(files=THREE, nics=("E1000", "virtio"), firmware="efi"))))
    assert done.state == State.SUCCEEDED, done.error
    row = lab.row("old-server")
    assert (row.state, row.vcpus, row.memory_mib, row.firmware, row.cloud_init) == ("stopped", 2, 1024, "uefi", False)
    places = sorted((a.slot, a.bus, a.boot_order) for a in lab.rows(Attachment))
    assert places == [("sdh", "sata", 1), ("sdi", "sata", None), ("sdj", "sata", None)]
    assert sorted(v.name for v in lab.rows(Volume)) == ["old-server", "old-server-2", "old-server-3"]
    assert {v.size_bytes for v in lab.rows(Volume)} == {GIB}
    ports = sorted((p.device_index, p.model) for p in lab.rows(Port))
    assert ports == [(0, "e1000"), (1, "virtio")]
    assert len({p.address for p in lab.rows(Port)}) == 2
    spec = lab.domain("old-server").spec
    assert [d.bus for d in spec.disks] == ["sata"] * 3
    assert [n.model for n in spec.nics] == ["e1000", "virtio"]
    store: Any = lab.cloud.drivers.on("any").volume
    contents = [store.world.files[head.path].content for head in lab.rows(Head)]
    assert len(set(contents)) == 3
    assert (left_over(lab), lab.rows(Upload)) == ([], [])
    lab.do(service.start, "old-server")
    assert lab.row("old-server").state == "running"


def test_what_a_person_says_counts_more_than_what_the_file_says(lab: Lab) -> None:
    bring(lab, ova(), name="mine", vcpus=4, memory_mib=2048)
    row = lab.row("mine")
    assert (row.vcpus, row.memory_mib) == (4, 2048)


def test_the_preview_says_what_it_contains_and_becomes_and_changes_nothing(lab: Lab) -> None:
    with lab.asking() as ctx:
        row = upload(ctx, ova(Wanted(files=THREE)))
        found = service.contents(ctx, row)
        assert [d["file"] for d in found["disks"]] == list(THREE)
        effects = [e.render("en") for e in service.import_appliance(ctx, row).effects]
        assert any("d2.vmdk becomes a disk of 1 GiB on sata (sdi)" in e for e in effects)
        assert any("e1000" in e for e in effects)
        assert effects[-1] == "It is not started."
        inside = [e for e in effects if "SSH host keys" in e or "new MACs" in e or "guest agent" in e]
        assert len(inside) == 3, "what cannot be changed in a guest of which nobody knows is said"
        without = [e.render("en") for e in service.import_appliance(ctx, upload(ctx, ova(Wanted(nics=())))).effects]
        assert not [e for e in without if "new MACs" in e]
    assert lab.rows(Instance) == []


def test_undo_lays_the_instance_into_the_trash_and_can_be_undone(lab: Lab) -> None:
    undoing = lab.undo(bring(lab, ova()))
    assert lab.row("old-server").state == "trashed"
    lab.undo(undoing)
    assert lab.row("old-server").state == "stopped"


def wrong_sum() -> bytes:
    """An OVA whose second disk is not the one in its manifest."""
    wanted = Wanted(files=THREE)
    files = {"vm.ovf": ovf(wanted), **THREE}
    changed = {**files, "d2.vmdk": vmdk(text=b"another")}
    return tar([("vm.ovf", files["vm.ovf"]), ("vm.mf", manifest(files)), *list(changed.items())[1:]])


def test_a_wrong_checksum_of_the_second_disk_leaves_nothing_behind(lab: Lab) -> None:
    done = lab.operation(bring(lab, wrong_sum()))
    assert done.state == State.FAILED
    assert "d2.vmdk" in str(done.error)
    nothing_left(lab)


def nothing_left(lab: Lab) -> None:
    """No row, no file and no machine of an import is left."""
    for table in (Instance, Volume, Head, Port, Attachment, Upload):
        assert lab.rows(table) == [], table
    assert left_over(lab) == []
    assert not lab.world.domains


@pytest.mark.parametrize(
    ("disk", "word"),
    [
        (b"this is only text, no disk at all\n" * 40, "text"),
        (vmdk(3 * GIB), "larger than the disk"),
        (b"# Disk DescriptorFile\nparentFileNameHint=\"/etc/passwd\"\n".ljust(2048, b"\n"), "other files"),
        (b"", "empty"),
    ],
)
def test_a_disk_that_is_none_or_lies_leaves_nothing_behind(lab: Lab, disk: bytes, word: str) -> None:
    done = lab.operation(bring(lab, ova(Wanted(files={"d1.vmdk": disk}))))
    assert done.state == State.FAILED
    assert word in str(done.error)
    assert "d1.vmdk" in str(done.error)
    nothing_left(lab)


def test_a_full_disk_leaves_nothing_but_the_upload_and_says_why(lab: Lab) -> None:
    store: Any = lab.cloud.drivers.on("any").volume
    with lab.asking() as ctx:
        row = upload(ctx, ova())
        waiting, identifier = row.id, submit(ctx, service.import_appliance(ctx, row)).id
    store.world.fill()
    lab.drain()
    done = lab.operation(identifier)
    assert done.state == State.FAILED
    assert done.error is not None
    assert done.error["code"] == "no_capacity"
    for table in (Instance, Volume, Head, Port, Attachment):
        assert lab.rows(table) == [], table
    assert left_over(lab) == [f"{waiting}.part"], "the source is unharmed"
    assert [kept.operation_id for kept in lab.rows(Upload)] == [None]
    store.world.capacity = 1024**5
    with lab.asking() as ctx:
        again = submit(ctx, service.import_appliance(ctx, images.get_upload(ctx, waiting))).id
    lab.drain()
    assert lab.operation(again).state == State.SUCCEEDED, lab.operation(again).error
    assert (left_over(lab), lab.rows(Upload)) == ([], [])


def test_claims_beyond_what_there_is_are_refused_before_anything_is_made(lab: Lab) -> None:
    with lab.asking() as ctx:
        for wanted in (Wanted(capacity="1000000000"), Wanted(vcpus="100000"), Wanted(memory="999999999")):
            with pytest.raises(Invalid):
                service.import_appliance(ctx, upload(ctx, ova(wanted), name=f"a{id(wanted)}"))
    assert lab.rows(Instance) == []


def test_more_disks_than_a_bus_takes_are_refused(lab: Lab) -> None:
    many = Wanted(files={f"d{n}.vmdk": vmdk(text=b"%d" % n) for n in range(7)})
    with lab.asking() as ctx, pytest.raises(Invalid):
        service.import_appliance(ctx, upload(ctx, ova(many)))


def test_one_upload_is_imported_once_at_a_time_and_only_when_all_has_come(lab: Lab) -> None:
    with lab.asking() as ctx:
        row = upload(ctx, ova())
        submit(ctx, service.import_appliance(ctx, row))
        with pytest.raises(Conflict):
            service.import_appliance(ctx, row, service.ImportWish(name="second"))
        half = upload(ctx, ova(), name="half")
        half.length_bytes += 1
        with pytest.raises(Conflict):
            service.import_appliance(ctx, half)
        image = upload(ctx, ova(), name="image")
        image.purpose = "image"
        with pytest.raises(Invalid):
            service.import_appliance(ctx, image)


def test_an_import_that_is_cancelled_while_it_waits_keeps_the_upload(lab: Lab) -> None:
    from yun.operations.service import cancel

    with lab.asking() as ctx:
        row = upload(ctx, ova())
        identifier = submit(ctx, service.import_appliance(ctx, row)).id
        cancel(ctx, identifier)
    lab.drain()
    assert lab.rows(Instance) == []
    with lab.asking() as ctx:
        service.import_appliance(ctx, images.get_upload(ctx, row.id))


def test_a_network_of_somebody_else_is_not_found(lab: Lab) -> None:
    with lab.asking() as ctx, pytest.raises(NotFound):
        service.import_appliance(ctx, upload(ctx, ova()), service.ImportWish(network="nowhere"))
