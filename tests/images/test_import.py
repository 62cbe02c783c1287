"""Bringing images in: from a file of the host, judged, converted, frozen; and what is refused leaves nothing behind."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile

import pytest

from tests.images.conftest import GIB, HOME, MIB, OTHER, ROOT, STRANGER, ImageCloud, disk, qcow2
from tests.images.ova import Wanted, ova, vmdk
from yun.base.errors import Conflict, Forbidden, NoCapacity, NotFound
from yun.images import service
from yun.images.model import Image
from yun.images.service import NewImage
from yun.operations.model import Event, State
from yun.storage.model import Layer, LayerHold


def refused(cloud: ImageCloud, content: bytes, **options: object) -> str:
    """Import the content, see it refused with nothing left; the reason."""
    operation = cloud.bring("bad", content, **options)
    assert operation.state == State.FAILED
    assert cloud.images() == {}
    assert cloud.incoming() == []
    assert cloud.layers() == []
    assert cloud.rows(Layer) == 0
    assert cloud.rows(LayerHold) == 0
    assert operation.error["code"] in ("invalid", "no_capacity", "unavailable")
    return str(operation.error["message"])


def test_a_raw_disk_becomes_an_active_image_on_a_frozen_layer(cloud: ImageCloud) -> None:
    content = disk(3 * MIB)
    operation = cloud.bring("mine", content, properties={"os": "debian", "min_memory_mib": 256})
    assert operation.state == State.SUCCEEDED
    image = cloud.image("mine")
    assert (image.state, image.format, image.kind, image.source) == ("active", "raw", "disk", "file")
    assert (image.os, image.min_memory_mib, image.project_id) == ("debian", 256, HOME)
    assert image.checksum == hashlib.sha256(content).hexdigest()
    assert image.virtual_bytes == image.min_disk_bytes == 3 * MIB
    assert len(cloud.layers()) == 1
    assert cloud.store.inspect(cloud.layers()[0]).writable is False
    assert cloud.incoming() == []
    with cloud.database.read() as session:
        kinds = [e.kind for e in session.query(Event).order_by(Event.seq) if e.kind.startswith("image.")]
        assert kinds == ["image.importing", "image.imported"]
        assert session.get(LayerHold, (image.layer_id, f"image:{image.id}")) is not None


def test_an_import_that_is_undone_lies_in_the_trash(cloud: ImageCloud) -> None:
    from yun.operations import service as operations

    done = cloud.bring("mine")
    cloud.do(lambda ctx: operations.undo(ctx, done.id), actor=ROOT)
    assert cloud.operation(done.id).state == State.UNDONE
    assert cloud.image("mine").state == "trashed"
    assert len(cloud.layers()) == 1
    assert cloud.incoming() == []


def test_the_same_content_twice_is_one_layer_that_stays_until_both_images_are_gone(cloud: ImageCloud) -> None:
    cloud.bring("one", disk(text=b"same"))
    cloud.bring("two", disk(text=b"same"))
    one, two = cloud.image("one"), cloud.image("two")
    assert one.layer_id == two.layer_id
    assert len(cloud.layers()) == 1
    for name in ("one", "two"):
        assert len(cloud.layers()) == 1
        cloud.do(lambda ctx, n=name: service.delete(ctx, service.get(ctx, n)), actor=ROOT)
        cloud.do(lambda ctx, n=name: service.purge(ctx, service.get(ctx, n)), actor=ROOT)
    assert cloud.layers() == []
    assert cloud.rows(Image) == cloud.rows(Layer) == 0


def test_a_text_file_is_refused(cloud: ImageCloud) -> None:
    reason = refused(cloud, b"# this is my shopping list\n" * 100)
    assert "not accepted" in reason
    assert ".part" not in reason


def test_a_tar_bomb_is_refused_and_never_unpacked(cloud: ImageCloud) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:xz") as archive:
        entry = tarfile.TarInfo("bomb")
        entry.size = 64 * MIB
        archive.addfile(entry, io.BytesIO(bytes(64 * MIB)))
    assert len(out.getvalue()) < MIB
    assert "not accepted" in refused(cloud, out.getvalue())
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("x"))
    assert "not accepted" in refused(cloud, plain.getvalue())


def test_a_qcow2_that_stands_on_etc_shadow_is_refused(cloud: ImageCloud) -> None:
    assert "not accepted" in refused(cloud, qcow2(backing=b"/etc/shadow"))
    assert "not accepted" in refused(cloud, qcow2(backing=b'json:{"driver":"raw","file":{"filename":"/etc/shadow"}}'))


def test_a_qcow2_with_its_data_in_another_file_is_refused(cloud: ImageCloud) -> None:
    assert "not accepted" in refused(cloud, qcow2(incompatible=4))


def test_a_lying_header_and_an_absurd_size_are_refused(cloud: ImageCloud) -> None:
    assert "not accepted" in refused(cloud, qcow2(virtual=40 * GIB, l1_size=1))
    assert "not accepted" in refused(cloud, qcow2(virtual=10 * 1024**5, l1_size=20_000_000))
    assert "not accepted" in refused(cloud, qcow2()[:90])
    assert "not accepted" in refused(cloud, qcow2(incompatible=1 << 40))


def test_an_empty_file_is_refused(cloud: ImageCloud) -> None:
    assert "empty" in refused(cloud, b"")


def test_a_raw_file_must_look_like_a_disk_or_be_declared_raw(cloud: ImageCloud) -> None:
    noise = os.urandom(MIB)
    noise = noise[:510] + b"\0\0" + noise[512:]
    assert "look like a disk" in refused(cloud, noise)
    assert cloud.bring("declared", noise, format="raw").state == State.SUCCEEDED
    assert cloud.image("declared").state == "active"


def test_the_same_name_twice_is_refused_also_while_the_first_lies_in_the_trash(cloud: ImageCloud) -> None:
    cloud.bring("mine")
    with pytest.raises(Conflict):
        cloud.bring("mine", disk(text=b"2"))
    cloud.do(lambda ctx: service.delete(ctx, service.get(ctx, "mine")))
    with pytest.raises(Conflict) as error:
        cloud.bring("mine", disk(text=b"2"))
    assert "trash" in error.value.message.text


def test_a_full_disk_fails_the_import_and_leaves_nothing(cloud: ImageCloud) -> None:
    cloud.store.world.fill()
    assert "has {free} left" in refused(cloud, disk())


def test_a_file_that_does_not_fit_is_refused_before_anything_begins(cloud: ImageCloud) -> None:
    with cloud.asking() as ctx, pytest.raises(NoCapacity):
        service.begin_upload(ctx, NewImage("big"), length=1900 * GIB)


def test_a_store_that_is_away_for_a_moment_only_delays(cloud: ImageCloud) -> None:
    cloud.store.world.fail("convert", retryable=True)
    assert cloud.bring("mine").state in (State.SUCCEEDED, State.RUNNING)


def test_a_private_image_does_not_exist_for_others_and_a_public_one_does(cloud: ImageCloud) -> None:
    cloud.bring("mine")
    identifier = cloud.image("mine").id
    for reference in ("mine", identifier):
        with cloud.asking(STRANGER, OTHER) as ctx, pytest.raises(NotFound):
            service.get(ctx, reference)
    with cloud.asking(STRANGER, OTHER) as ctx:
        assert service.list_images(ctx).items == []
    cloud.do(lambda ctx: service.set_visibility(ctx, service.get(ctx, "mine"), "public"), actor=ROOT)
    with cloud.asking(STRANGER, OTHER) as ctx:
        image = service.get_bootable(ctx, "mine")
        assert image.id == identifier
        assert [i.name for i in service.list_images(ctx).items] == ["mine"]
        for verb in (service.delete, service.export, lambda c, i: service.update(c, i, name="stolen")):
            with pytest.raises((Forbidden, NotFound)):
                verb(ctx, image)


def test_an_ova_with_one_disk_becomes_an_image_that_knows_its_hardware(cloud: ImageCloud) -> None:
    done = cloud.bring("old", ova(Wanted(firmware="efi")))
    assert done.state == State.SUCCEEDED, done.error
    image = cloud.image("old")
    assert (image.format, image.firmware, image.hardware, image.virtual_bytes) == ("vmdk", "uefi", "compatible", GIB)
    assert cloud.incoming() == []


def test_what_was_said_of_an_image_counts_more_than_what_its_ova_says(cloud: ImageCloud) -> None:
    cloud.bring("old", ova(Wanted(firmware="efi")), properties={"firmware": "bios", "hardware": "virtio"})
    image = cloud.image("old")
    assert (image.firmware, image.hardware) == ("bios", "virtio")


def test_an_ova_with_several_disks_is_no_image(cloud: ImageCloud) -> None:
    done = cloud.bring("old", ova(Wanted(files={"a.vmdk": vmdk(text=b"a"), "b.vmdk": vmdk(text=b"b")})))
    assert done.state == State.FAILED
    assert "instance import" in done.error["hint"]["text"]
    assert (cloud.images(), cloud.incoming()) == ({}, [])
