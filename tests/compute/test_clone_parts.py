"""What a copy of a machine has besides its disks: TPM, CDs, disks that are only read, pins."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from tests.compute.conftest import Lab
from tests.compute.test_clone import GIB, clone, files, head
from yun.base.context import Actor
from yun.compute import service
from yun.compute.media.model import CdDrive
from yun.compute.model import Instance
from yun.compute.service import CloneWish
from yun.identity import service as identity
from yun.images import service as images
from yun.images.model import Image
from yun.network import service as network
from yun.operations.model import State as OperationState
from yun.operations.service import submit
from yun.storage.model import Attachment, Layer


def words(lab: Lab, **values: Any) -> str:
    """What a preview of a clone says."""
    with lab.asking() as ctx:
        return "\n".join(m.render("en") for m in service.clone(ctx, service.get(ctx, "web"), wish(**values)).effects)


def wish(name: str = "copy", **values: Any) -> CloneWish:
    """What is asked for."""
    return CloneWish(name, **values)


def trusted(lab: Lab) -> None:
    """web has a TPM, and has used it."""
    lab.create(start=False)
    lab.do(service.configure, "web", tpm=True)
    lab.do(service.start, "web")


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("full", [True, False])
def test_a_copy_has_a_tpm_of_its_own_that_knows_what_the_sources_knew(lab: Lab, running: bool, full: bool) -> None:
    trusted(lab)
    if not running:
        lab.do(service.stop, "web", force=True)
    assert "copy of the source's TPM with the same keys" in words(lab)
    done = clone(lab, full=full)
    assert done.state == OperationState.SUCCEEDED, done.error
    ours, theirs = lab.row().uuid, lab.row("copy").uuid
    assert lab.world.tpms[theirs] == lab.world.tpms[ours] == f"keys made for {ours}"
    lab.do(service.delete, "copy")
    lab.do(service.purge, "copy")
    assert set(lab.world.tpms) == {ours}


def test_a_tpm_that_was_never_on_is_not_copied_and_one_that_cannot_be_leaves_no_copy(lab: Lab) -> None:
    lab.create(start=False)
    lab.do(service.configure, "web", tpm=True)
    assert clone(lab, "fresh", start=False).state == OperationState.SUCCEEDED
    assert not lab.world.tpms
    lab.do(service.start, "web")
    lab.world.fail("copy_tpm", retryable=False, after=True)
    failed = clone(lab, count=2)
    assert failed.state == OperationState.FAILED
    assert set(lab.world.tpms) == {lab.row().uuid}
    assert {r.name for r in lab.rows(Instance)} == {"web", "fresh"}


def test_what_lies_in_cd_drives_lies_in_the_copys_too(lab: Lab) -> None:
    lab.create(start=False)
    insert(lab, "debian-12-installer", bus="scsi")
    insert(lab, "virtio-win")
    lab.do(service.start, "web")
    said = words(lab)
    assert "debian-12-installer lies in its CD drive sdb." in said
    assert "virtio-win lies in its CD drive" in said
    assert clone(lab, count=2).state == OperationState.SUCCEEDED
    drives = {r.name: [] for r in lab.rows(Instance)}
    names = {r.id: r.name for r in lab.rows(Instance)}
    for drive in lab.rows(CdDrive):
        drives[names[drive.instance_id]].append((drive.slot, drive.bus, drive.image_name, drive.layer_id))
    assert sorted(drives["web"]) == sorted(drives["copy-1"]) == sorted(drives["copy-2"])
    assert len(drives["web"]) == 2
    cds = {d.slot: d.path for d in lab.domain("copy-1").live.disks if d.device == "cdrom"}  # type: ignore[union-attr]
    assert {layer.path for layer in lab.rows(Layer) if layer.id == drives["web"][0][3]} <= set(cds.values())


def test_a_cd_of_this_project_alone_stays_behind_and_the_preview_says_so(lab: Lab) -> None:
    lab.create(start=False)
    insert(lab, "virtio-win")
    for name in ("p1", "p2"):
        lab.do(identity.create_project, None, name=name)
    with lab.asking() as ctx:
        other, third = (identity.get_project(ctx, name).id for name in ("p1", "p2"))
    with lab.asking(project_id=other) as ctx:
        subnet = network.NewSubnet(cidr="10.77.0.0/24")
        submit(ctx, network.create_network(ctx, network.NewNetwork(name="n1", subnet=subnet)))
    lab.drain()
    elsewhere = Actor("user", "u", "u", {lab.project_id: "member", other: "member"})
    for visibility, stays in (("public", False), ("private", True)):
        with lab.database.write() as session:
            values = {"visibility": visibility, "project_id": third}
            session.execute(sa.update(Image).where(Image.name == "virtio-win").values(values))
        with lab.asking(elsewhere) as ctx:
            copy = service.clone(ctx, service.get(ctx, "web"), wish(project="p1"))
        said = "\n".join(m.render("en") for m in copy.effects)
        assert ("belongs to another project; the copy's drive is empty" in said) is stays
        assert ("virtio-win lies in" in said) is not stays


def test_a_disk_that_a_running_source_only_reads_is_copied_and_the_others_are_frozen(lab: Lab) -> None:
    lab.create()
    lab.do(service.add_disk, "web", size_bytes=GIB, place=service.Place(readonly=True))
    before = head(lab, "web-vdb")
    assert "vdb is read-only in the running source: the copy gets all of its data" in words(lab)
    done = clone(lab, count=2)
    assert done.state == OperationState.SUCCEEDED, done.error
    after = head(lab, "web-vdb")
    assert (after.path, after.layer_id) == (before.path, before.layer_id), "the source's disk is as it was"
    for name in ("copy-1-vdb", "copy-2-vdb"):
        theirs = head(lab, name)
        assert files(lab)[theirs.path].backing == ""
        assert theirs.layer_id is None
    assert files(lab)[head(lab, "copy-1").path].backing, "the disk it writes to is linked"
    domain = lab.domain("copy-1").live
    assert domain is not None
    assert [d.readonly for d in domain.disks if d.slot == "vdb"] == [True]
    lab.do(service.stop, "web", force=True)
    assert "read-only" not in words(lab, name="off")
    assert clone(lab, "off", start=False).state == OperationState.SUCCEEDED
    assert head(lab, "off-vdb").layer_id == head(lab, "web-vdb").layer_id, "frozen and shared while it is off"


def test_a_disk_that_became_writable_while_the_clone_waited_is_noticed(lab: Lab) -> None:
    lab.create()
    lab.do(service.add_disk, "web", size_bytes=GIB, place=service.Place(readonly=True))
    with lab.asking() as ctx:
        waiting = service.clone(ctx, service.get(ctx, "web"), wish())
    with lab.database.write() as session:
        session.execute(sa.update(Attachment).values(readonly=False))
    with lab.asking() as ctx:
        identifier = submit(ctx, waiting).id
    lab.drain()
    assert lab.operation(identifier).error["code"] == "conflict"
    assert not [r for r in lab.rows(Instance) if r.name == "copy"]


def test_a_copy_is_not_pinned_where_its_source_is(lab: Lab) -> None:
    lab.create()
    lab.do(service.configure, "web", pins=["0-1"], video="virtio")
    assert "It is not pinned to processors of the host, as the source is." in words(lab)
    clone(lab)
    assert lab.row().hardware == {"pins": ["0-1"], "video": "virtio"}
    assert lab.row("copy").hardware == {"video": "virtio"}


def insert(lab: Lab, image: str, **values: Any) -> None:
    """Put a CD into web."""
    with lab.asking() as ctx:
        submit(ctx, service.insert(ctx, service.get(ctx, "web"), images.get_iso(ctx, image), **values))
    lab.drain()
