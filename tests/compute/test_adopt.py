"""Machines of libvirt's: found, taken over as they run, changed, undone, handed back; what stands in the way."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import pytest
import sqlalchemy as sa

from tests.compute.conftest import Lab
from tests.compute.test_guest import periodic
from yun.base.errors import Conflict, Forbidden
from yun.compute import service
from yun.compute.model import Adoption, FoundMachine, Instance, State
from yun.drivers.hypervisor.port import DiskSpec, DomainSpec, NicSpec, Power
from yun.drivers.volume.fake import FakeFile, VolumeWorld
from yun.operations.intent import Intent
from yun.operations.service import submit
from yun.storage import service as storage
from yun.storage.model import Attachment, Head, Layer, LayerHold, Volume

FOLDER = "/var/lib/libvirt/images"
GIB = 1 << 30


def disk_world(lab: Lab) -> VolumeWorld:
    """The host's files."""
    store: Any = lab.cloud.drivers.on("any").volume
    return store.world  # type: ignore[no-any-return]


def stranger(lab: Lab, name: str = "old web", *, running: bool = True, raw: bool = False, **changes: Any) -> str:
    """A machine of somebody else's on an overlay with a base file, or on a raw disk; its UUID."""
    hypervisor, files = lab.cloud.drivers.on("any").hypervisor, disk_world(lab).files
    path = f"{FOLDER}/{name}.{'img' if raw else 'qcow2'}"
    if raw:
        files[path] = FakeFile("raw", GIB, f"raw:{name}")
    else:
        files[f"{FOLDER}/base.qcow2"] = FakeFile("qcow2", GIB, "base")
        files[path] = FakeFile("qcow2", GIB, f"on:{name}", backing=f"{FOLDER}/base.qcow2")
    number = crc32(name.encode())
    uuid = f"6a6f1f2e-6a0f-4ac9-9f43-{number:012d}"
    values: dict[str, Any] = {
        "disks": (DiskSpec("vda", path, format="raw" if raw else "qcow2", cache="writeback"),),
        "nics": (NicSpec(f"52:54:00:00:00:{number % 90 + 10}", "", bridge="br0"),), "autostart": True,
    }  # fmt: skip
    spec = DomainSpec(uuid, name.replace(" ", "-"), name, 512, 1, "tcg", **{**values, **changes})
    hypervisor.define(spec)
    if running:
        hypervisor.start(uuid)
    look(lab)
    return uuid


def look(lab: Lab) -> None:
    """The periodic look."""
    periodic(lab, "host.find_machines")


def adopt(lab: Lab, uuid: str, **values: Any) -> str:
    """Take one over; the operation's id."""

    def ask(ctx: Any) -> Intent:
        return service.adopt(ctx, service.get_found(ctx, uuid), **values)

    return lab.do(ask)


def found(lab: Lab) -> list[str]:
    """The names of what was found."""
    return sorted(row.name for row in lab.rows(FoundMachine))


def test_a_machine_nobody_here_made_is_found_with_its_report(lab: Lab) -> None:
    lab.create("ours")
    uuid = stranger(lab)
    assert found(lab) == ["old-web"]
    with lab.asking() as ctx:
        shown = service.show_found(ctx, service.get_found(ctx, "old-web"))
    assert shown["adoptable"]
    assert shown["running"]
    assert [d["files"] for d in shown["disks"]] == [[f"{FOLDER}/old web.qcow2", f"{FOLDER}/base.qcow2"]]
    assert any("br0" in line for line in shown["report"]["kept"])
    assert any("serial console" in line for line in shown["report"]["later"])
    lab.world.lose(uuid)
    look(lab)
    assert found(lab) == []


def test_it_is_taken_over_without_being_touched(lab: Lab) -> None:
    uuid = stranger(lab)
    before = lab.world.domains[uuid]
    started, boots = before.started, before.boots
    files = disk_world(lab).snapshot()
    done = lab.operation(adopt(lab, uuid))
    assert done.state == "succeeded", done.error
    row = lab.row("old-web")
    assert (row.uuid, row.state, row.autostart, row.on_crash) == (uuid, State.RUNNING, True, "leave")
    after = lab.world.domains[uuid]
    assert (after.started, after.boots, after.power) == (started, boots, Power.RUNNING)
    assert after.spec.metadata["id"] == row.id
    assert not after.autostart, "the cloud's policy starts it now"
    assert disk_world(lab).snapshot() == files
    assert found(lab) == []
    head, layer = lab.rows(Head)[0], next(r for r in lab.rows(Layer) if r.adopted)
    assert (head.adopted, head.path, head.layer_id) == (True, f"{FOLDER}/old web.qcow2", layer.id)
    assert layer.path == f"{FOLDER}/base.qcow2"
    look(lab)
    assert found(lab) == []
    with lab.asking() as ctx:
        assert service.detail(ctx, service.get(ctx, "old-web"))["outside"][0]["where"] == "bridge br0"


def test_it_starts_again_as_it_was_defined_with_what_was_added(lab: Lab) -> None:
    uuid = stranger(lab, raw=True)
    adopt(lab, uuid)
    lab.do(service.add_disk, "old-web", size_bytes=GIB)
    lab.do(service.stop, "old-web", force=True)
    lab.do(service.start, "old-web")
    domain = lab.world.domains[uuid]
    assert domain.live is not None
    assert domain.live.kept is not None
    assert next((d.slot, d.path, d.format) for d in domain.live.disks) == ("vda", f"{FOLDER}/old web.img", "raw")
    assert [d.slot for d in domain.live.disks] == ["vda", "vdb"]
    assert domain.live.name == "old-web"


def test_undo_leaves_it_to_libvirt_as_it_was(lab: Lab) -> None:
    uuid = stranger(lab)
    volumes, layers = len(lab.rows(Volume)), len(lab.rows(Layer))
    spec = lab.world.domains[uuid].spec
    undone = lab.operation(lab.undo(adopt(lab, uuid)))
    assert undone.state == "succeeded", undone.error
    assert lab.world.domains[uuid].spec == spec
    assert lab.world.domains[uuid].autostart
    assert lab.world.domains[uuid].power is Power.RUNNING
    assert (len(lab.rows(Volume)), len(lab.rows(Layer)), lab.rows(Adoption)) == (volumes, layers, [])
    assert found(lab) == ["old-web"]


def test_ten_are_taken_over_and_handed_back_unharmed(lab: Lab) -> None:
    uuids = [stranger(lab, f"m{n}", running=n % 3 != 0, raw=n % 2 == 0) for n in range(10)]
    files = disk_world(lab).snapshot()["files"]
    specs = {uuid: (d.spec, d.power, d.started, d.autostart) for uuid, d in lab.world.domains.items()}
    for uuid in uuids:
        assert lab.operation(adopt(lab, uuid)).state == "succeeded"
    assert len(lab.rows(Instance)) == 10
    for number in range(10):
        done = lab.operation(lab.do(service.release, f"m{number}"))
        assert done.state == "succeeded", done.error
    assert found(lab) == [f"m{n}" for n in range(10)]
    assert disk_world(lab).snapshot()["files"] == files
    for table in (Instance, Volume, Head, Attachment, Adoption):
        assert lab.rows(table) == []
    assert not [row for row in lab.rows(Layer) if row.adopted]
    for uuid, (spec, power, started, autostart) in specs.items():
        domain = lab.world.domains[uuid]
        assert (domain.power, domain.started, domain.autostart) == (power, started, autostart)
        assert domain.spec.name == spec.name
        assert not domain.spec.metadata
        assert [d.path for d in domain.spec.disks] == [d.path for d in spec.disks]


def test_a_machine_of_ours_is_released_and_its_base_file_stays_for_it(lab: Lab) -> None:
    lab.create("web")
    row = lab.row("web")
    done = lab.do(service.release, "web")
    assert lab.operation(done).state == "succeeded", lab.operation(done).error
    assert lab.world.domains[row.uuid].power is Power.RUNNING
    assert [h.holder for h in lab.rows(LayerHold) if h.holder.startswith("released:")] == [f"released:{row.uuid}"]
    back = lab.operation(lab.undo(done))
    assert back.state == "succeeded", back.error
    again = lab.row("web")
    assert (again.id, again.uuid, again.state) == (row.id, row.uuid, State.RUNNING)
    assert not [h for h in lab.rows(LayerHold) if h.holder.startswith("released:")]
    assert lab.world.domains[row.uuid].spec.metadata["id"] == row.id


def test_purging_an_adopted_disk_removes_its_file_and_leaves_the_one_below(lab: Lab) -> None:
    uuid = stranger(lab, running=False)
    adopt(lab, uuid)
    lab.do(service.delete, "old-web")
    files = disk_world(lab).files
    assert f"{FOLDER}/old web.qcow2" in files
    lab.do(service.purge, lab.row("old-web").id)
    assert f"{FOLDER}/old web.qcow2" not in files
    assert f"{FOLDER}/base.qcow2" in files, "others may stand on it unseen"
    assert not [row for row in lab.rows(Layer) if row.adopted]


def test_the_reconcile_leaves_adopted_files_alone_and_tells_when_one_is_gone(lab: Lab) -> None:
    uuid = stranger(lab)
    adopt(lab, uuid)
    before = disk_world(lab).snapshot()
    periodic(lab, "storage.reconcile")
    assert disk_world(lab).snapshot() == before
    assert {v.state for v in lab.rows(Volume)} == {"available"}
    disk_world(lab).files.pop(f"{FOLDER}/old web.qcow2")
    periodic(lab, "storage.reconcile")
    assert {v.state for v in lab.rows(Volume)} == {"missing"}


def test_what_stands_in_the_way_is_said_and_nothing_changes(lab: Lab) -> None:
    uuid = stranger(lab)
    other = stranger(lab, "other", disks=(DiskSpec("vda", f"{FOLDER}/base.qcow2"),))
    for each in (uuid, other):
        with lab.asking() as ctx, pytest.raises(Conflict) as caught:
            service.adopt(ctx, service.get_found(ctx, each))
        assert "base.qcow2" in caught.value.message.render("en")
    lab.world.lose(other)
    disk_world(lab).files.pop(f"{FOLDER}/base.qcow2")
    look(lab)
    with lab.asking() as ctx, pytest.raises(Conflict) as caught:
        service.adopt(ctx, service.get_found(ctx, uuid))
    assert "is missing" in caught.value.message.render("en")
    assert lab.rows(Instance) == []


def test_a_machine_that_changed_since_the_look_is_left_alone(lab: Lab) -> None:
    uuid = stranger(lab)
    with lab.asking() as ctx:
        identifier = submit(ctx, service.adopt(ctx, service.get_found(ctx, uuid))).id
    disk_world(lab).files[f"{FOLDER}/old web.qcow2"].backing = ""
    lab.drain()
    assert lab.operation(identifier).state == "failed"
    assert lab.rows(Instance) == []
    assert not lab.world.domains[uuid].spec.metadata
    assert found(lab) == ["old-web"]


def test_a_floating_ip_is_taken_off_before_a_release(lab: Lab) -> None:
    lab.create("web", floating_ip=True)
    with lab.asking() as ctx, pytest.raises(Conflict, match="floating"):
        service.release(ctx, service.get(ctx, "web"))


def test_only_the_clouds_administrators_take_over_and_release(lab: Lab) -> None:
    uuid = stranger(lab)
    lab.create("web")
    from yun.base.context import Actor

    member = Actor("user", "usr_m", "member", {lab.project_id: "admin"})
    with lab.asking(member) as ctx:
        with pytest.raises(Forbidden):
            service.list_found(ctx)
        with pytest.raises(Forbidden):
            service.get_found(ctx, uuid)
        with pytest.raises(Forbidden):
            service.release(ctx, service.get(ctx, "web"))


def test_an_adopted_disk_is_not_frozen(lab: Lab) -> None:
    adopt(lab, stranger(lab))
    with lab.asking() as ctx, pytest.raises(Conflict, match="taken over"):
        service.clone(ctx, service.get(ctx, "old-web"), service.CloneWish(name="copy"))
    with lab.database.read() as session:
        volume = session.scalars(sa.select(Volume)).one()
        assert storage.attachment_of(session, volume.id) is not None


def test_purging_says_that_a_file_that_was_taken_over_goes_too(lab: Lab) -> None:
    adopt(lab, stranger(lab))
    lab.do(service.delete, "old-web")
    path = f"{FOLDER}/old web.qcow2"
    with lab.asking() as ctx:
        item = storage.get_item(ctx, "old-web")
        lost = [word.render() for word in storage.purge(ctx, item).destroys]
        assert f"the file {path}, which was taken over" in lost
        trashed = ctx.session.get_one(Instance, item.subject_id)
        assert f"the file {path}, which was taken over" in [w.render() for w in service.purge(ctx, trashed).destroys]
    lab.do(service.purge, trashed.id)
    assert path not in disk_world(lab).files
