"""An image's life: changed, shared, deleted, brought back, purged; used by disks; copied out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.images.conftest import HOME, MEMBER, MIB, OTHER, ROOT, STRANGER, ImageCloud, disk
from yun.base.errors import Conflict, Forbidden, Invalid, NotFound
from yun.base.ids import new_id
from yun.images import service
from yun.images.appliance import descriptor
from yun.images.model import Export, Image
from yun.images.service import NewImage
from yun.operations import service as operations
from yun.operations.intent import Subject
from yun.operations.model import Operation, State
from yun.storage import service as storage
from yun.storage.model import Head, Layer, TrashItem, Volume


def delete(cloud: ImageCloud, name: str) -> Operation:
    return cloud.do(lambda ctx: service.delete(ctx, service.get(ctx, name)))


def undo(cloud: ImageCloud, operation: Operation) -> Operation:
    return cloud.do(lambda ctx: operations.undo(ctx, operation.id), actor=ROOT)


def use(cloud: ImageCloud, name: str) -> str:
    """Put a disk on the image, as an instance's creation does; the volume's id."""
    layer = cloud.image(name).layer_id
    volume = new_id("vol")
    with cloud.database.write() as session:
        session.add(
            Volume(
                id=volume, project_id=HOME, pool_id=cloud.pool_id, name=f"of {name}", size_bytes=MIB, state="available"
            )
        )
        session.flush()
        session.add(Head(volume_id=volume, layer_id=layer, path=f"{cloud.pool_path}/heads/{volume}.qcow2"))
    return volume


def test_properties_are_changed_and_the_change_is_undone(cloud: ImageCloud) -> None:
    cloud.bring("mine", properties={"os": "debian", "default_user": "debian"})
    before = cloud.image("mine")
    done = cloud.do(
        lambda ctx: service.update(ctx, service.get(ctx, "mine"), name="yours", default_user="root", min_memory_mib=512)
    )
    after = cloud.image("yours")
    assert (after.id, after.default_user, after.min_memory_mib, after.os) == (before.id, "root", 512, "debian")
    assert after.revision > before.revision
    assert undo(cloud, done).state == State.SUCCEEDED
    back = cloud.image("mine")
    assert (back.default_user, back.min_memory_mib) == ("debian", before.min_memory_mib)


def test_a_taken_name_stands_in_the_way_of_undoing_a_rename(cloud: ImageCloud) -> None:
    cloud.bring("mine")
    done = cloud.do(lambda ctx: service.update(ctx, service.get(ctx, "mine"), name="yours"))
    cloud.bring("mine", disk(text=b"second"))
    with pytest.raises(Conflict):
        undo(cloud, done)


@pytest.mark.parametrize(
    "changes",
    [
        {"firmware": "coreboot"}, {"architecture": "z80"}, {"min_disk_bytes": -1}, {"min_disk_bytes": 10 * 1024**5},
        {"min_memory_mib": True}, {"default_user": "root; rm"}, {"os": "<script>"}, {"cloud_init": "yes"},
        {"state": "active"},
        {"layer_id": "lay_x"}, {"description": "x" * 2000}, {"name": ""},
    ],
)  # fmt: skip
def test_bad_properties_are_refused(cloud: ImageCloud, changes: dict[str, object]) -> None:
    cloud.bring("mine")
    with cloud.asking() as ctx, pytest.raises(Invalid) as error:
        service.update(ctx, service.get(ctx, "mine"), **changes)
    assert set(error.value.fields) == set(changes)


def test_nothing_to_change_is_said(cloud: ImageCloud) -> None:
    cloud.bring("mine")
    with cloud.asking() as ctx, pytest.raises(Conflict):
        service.update(ctx, service.get(ctx, "mine"), name="mine")


def test_a_deleted_image_lies_in_the_trash_and_comes_back(cloud: ImageCloud) -> None:
    cloud.bring("mine")
    before = cloud.image("mine")
    done = delete(cloud, "mine")
    assert done.state == State.SUCCEEDED
    assert cloud.image("mine").state == "trashed"
    with cloud.asking() as ctx:
        assert service.list_images(ctx).items == []
        assert [i.name for i in service.list_images(ctx, state="trashed").items] == ["mine"]
        item = storage.get_item(ctx, before.id)
        assert (item.kind, item.name, item.operation_id) == ("image", "mine", done.id)
        for verb in (service.get_bootable, lambda c, r: service.delete(c, service.get(c, r))):
            with pytest.raises(Conflict):
                verb(ctx, "mine")
    assert len(cloud.layers()) == 1
    undo(cloud, done)
    after = cloud.image("mine")
    assert (after.state, after.layer_id, after.purge_at) == ("active", before.layer_id, None)
    assert cloud.rows(TrashItem) == 0


def test_an_image_in_use_is_deleted_and_its_file_stays_until_the_last_disk_goes(cloud: ImageCloud) -> None:
    cloud.bring("mine")
    volume = use(cloud, "mine")
    with cloud.asking() as ctx:
        image = service.get(ctx, "mine")
        assert service.users_of(ctx.session, image) == 1
        assert any("{count} disks" in m.text for m in service.delete(ctx, image).effects)
    delete(cloud, "mine")
    purged = cloud.do(lambda ctx: service.purge(ctx, service.get(ctx, "mine")))
    assert purged.state == State.SUCCEEDED
    assert cloud.rows(Image) == cloud.rows(TrashItem) == 0
    assert len(cloud.layers()) == cloud.rows(Layer) == 1
    cloud.do(lambda ctx: storage.delete_volume(ctx, storage.get_volume(ctx, volume)))
    with cloud.asking() as ctx:
        item = storage.get_item(ctx, volume)
    cloud.do(lambda ctx: storage.purge(ctx, item))
    assert cloud.layers() == []
    assert cloud.rows(Layer) == 0


def test_undoing_the_import_of_an_image_in_use_spares_the_disks(cloud: ImageCloud) -> None:
    done = cloud.bring("mine")
    use(cloud, "mine")
    undo(cloud, done)
    assert cloud.image("mine").state == "trashed"
    assert len(cloud.layers()) == cloud.rows(Layer) == 1


def test_the_trash_is_emptied_when_its_time_is_over(cloud: ImageCloud) -> None:
    from datetime import UTC, datetime

    import sqlalchemy as sa

    cloud.bring("mine")
    done = delete(cloud, "mine")
    with cloud.database.write() as session:
        session.execute(sa.update(TrashItem).values(purge_at=datetime.now(UTC) - timedelta(seconds=1)))
    cloud.engine.nudge("trash.purge_expired", Subject("periodic", "trash.purge_expired", "trash.purge_expired"))
    cloud.engine.drain()
    assert cloud.rows(Image) == cloud.rows(TrashItem) == 0
    assert cloud.layers() == []
    with pytest.raises(Conflict):
        undo(cloud, done)


def test_a_purge_asks_for_the_trash_first(cloud: ImageCloud) -> None:
    cloud.bring("mine")
    with cloud.asking() as ctx, pytest.raises(Conflict):
        service.purge(ctx, service.get(ctx, "mine"))


def test_only_administrators_publish(cloud: ImageCloud) -> None:
    cloud.bring("mine")
    with cloud.asking(MEMBER) as ctx, pytest.raises(Forbidden):
        service.set_visibility(ctx, service.get(ctx, "mine"), "public")
    done = cloud.do(lambda ctx: service.set_visibility(ctx, service.get(ctx, "mine"), "public"), actor=ROOT)
    with cloud.asking(STRANGER, OTHER) as ctx:
        assert service.get_bootable(ctx, "mine").visibility == "public"
    undo(cloud, done)
    with cloud.asking(STRANGER, OTHER) as ctx, pytest.raises(NotFound):
        service.get(ctx, "mine")


def test_ones_own_image_comes_before_a_public_one_of_the_same_name(cloud: ImageCloud) -> None:
    cloud.bring("debian", visibility="public")
    public = cloud.image("debian").id
    with cloud.asking(STRANGER, OTHER) as ctx:
        assert service.get(ctx, "debian").id == public
    with cloud.database.write() as session:
        row = Image(project_id=OTHER, name="debian", state="active", pool_id=cloud.pool_id, source="upload")
        session.add(row)
        session.flush()
        own = row.id
    with cloud.asking(STRANGER, OTHER) as ctx:
        assert service.get(ctx, "debian").id == own
    with cloud.asking(MEMBER, HOME) as ctx:
        assert service.get(ctx, "debian").id == public


def test_a_copy_is_made_for_download_and_goes_after_a_day(cloud: ImageCloud) -> None:
    cloud.bring("mine")
    done = cloud.do(lambda ctx: service.export(ctx, service.get(ctx, "mine"), format="raw"))
    assert done.state == State.SUCCEEDED
    result = done.result["value"]
    assert result["format"] == "raw"
    assert cloud.incoming() == [f"{result['export_id']}.raw"]
    with cloud.asking() as ctx:
        assert service.get_export(ctx, result["export_id"]).checksum == result["sha256"]
        with pytest.raises(Invalid):
            service.export(ctx, service.get(ctx, "mine"), format="vmdk")
    with cloud.asking(STRANGER, OTHER) as ctx, pytest.raises(NotFound):
        service.get_export(ctx, result["export_id"])
    with cloud.database.write() as session:
        session.get_one(Export, result["export_id"]).expires_at -= timedelta(hours=25)
    cloud.engine.nudge("image.tidy", Subject("periodic", "image.tidy", "image.tidy"))
    cloud.engine.drain()
    assert cloud.incoming() == []
    assert cloud.rows(Export) == 0


@pytest.mark.parametrize(("hardware", "bus", "card"), [("virtio", "virtio", "virtio"), ("compatible", "sata", "e1000")])
def test_an_image_goes_out_as_a_machine_of_its_own(cloud: ImageCloud, hardware: str, bus: str, card: str) -> None:
    cloud.bring("my image 2")
    cloud.do(lambda ctx: service.update(ctx, service.get(ctx, "my image 2"), hardware=hardware, min_memory_mib=700))
    written: list[list[tuple[str, bytes | str]]] = []
    store, bundle = cloud.store, cloud.store.bundle

    def watched(target: str, members: list[tuple[str, bytes | str]], progress: Any) -> int:
        written.append(list(members))
        return int(bundle(target, members, progress))

    store.bundle = watched  # type: ignore[method-assign]
    done = cloud.do(lambda ctx: service.export(ctx, service.get(ctx, "my image 2"), format="ova"))
    assert done.state == State.SUCCEEDED, done.error
    result = done.result["value"]
    assert cloud.incoming() == [f"{result['export_id']}.ova"]
    names = [name for name, _content in written[0]]
    assert names == ["my-image-2.ovf", "my-image-2.mf", "my-image-2-disk1.vmdk"]
    found = descriptor.parse(bytes(written[0][0][1]))  # type: ignore[arg-type]
    assert (found.name, found.memory_mib, found.nics) == ("my image 2", 700, (card,))
    assert [disk.bus for disk in found.disks] == [bus]


def test_an_appliance_of_an_image_that_fails_leaves_nothing(cloud: ImageCloud) -> None:
    cloud.bring("mine")
    for method in ("convert", "digest", "bundle"):
        cloud.store.world.fail(method, times=20)
        done = cloud.do(lambda ctx: service.export(ctx, service.get(ctx, "mine"), format="ova"))
        assert done.state == State.FAILED
        assert (cloud.incoming(), cloud.rows(Export)) == ([], 0)
        cloud.store.world.faults.clear()


def test_a_failed_copy_leaves_nothing(cloud: ImageCloud) -> None:
    cloud.bring("mine")
    cloud.store.world.fail("convert")
    done = cloud.do(lambda ctx: service.export(ctx, service.get(ctx, "mine")))
    assert done.state == State.FAILED
    assert cloud.incoming() == []
    assert cloud.rows(Export) == 0


def test_lists_are_searched_sorted_and_paged(cloud: ImageCloud) -> None:
    with cloud.database.write() as session:
        for n in range(5):
            session.add(
                Image(
                    project_id=HOME, name=f"image {n}", state="active", pool_id=cloud.pool_id, source="upload",
                    os="debian" if n % 2 else "alpine",
                )
            )  # fmt: skip
    with cloud.asking() as ctx:
        assert [i.name for i in service.list_images(ctx, q="DEBIAN").items] == ["image 1", "image 3"]
        assert service.list_images(ctx, q="%").items == []
        first = service.list_images(ctx, sort="-name", limit=2)
        assert [i.name for i in first.items] == ["image 4", "image 3"]
        rest = service.list_images(ctx, sort="-name", limit=10, cursor=first.next)
        assert [i.name for i in rest.items] == ["image 2", "image 1", "image 0"]
        for bad in ({"state": "melted"}, {"visibility": "secret"}, {"sort": "layer_id"}, {"limit": 0}):
            with pytest.raises(Invalid):
                service.list_images(ctx, **bad)


def test_a_preview_writes_nothing(cloud: ImageCloud) -> None:
    with cloud.asking(ROOT) as ctx:
        intent = service.import_address(ctx, NewImage("far"), "https://example.org/a.qcow2?token=geheim")
        shown = intent.render("en", now=ctx.clock.now(), undo_days=7)
    assert "geheim" not in str(shown)
    assert shown["undo"]["possible"] is True
    assert cloud.rows(Image) == cloud.rows(Operation) == 0
