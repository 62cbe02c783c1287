"""CD drives of instances: CDs inserted, changed and ejected while they run; locked trays; purged images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tests.compute.conftest import Lab, both
from tests.compute.test_pages import HTMX, browser  # noqa: F401 (a fixture)
from yun.base.errors import Conflict, Invalid
from yun.compute import service
from yun.compute.media.model import CdDrive
from yun.images import service as images
from yun.images.model import Image
from yun.operations.model import State as OperationState
from yun.operations.service import submit
from yun.storage.model import Head, Layer

CD, DRIVERS = "debian-12-installer", "virtio-win"


@pytest.fixture
def cds(lab: Lab) -> Any:
    """An instance ``web`` that runs; the verbs, and what lies in its drives live and by definition."""

    class Cds:
        def insert(self, image: str = CD, **values: Any) -> str:
            return self._ask(lambda ctx: service.insert(ctx, service.get(ctx, "web"), images.get(ctx, image), **values))

        def eject(self, **values: Any) -> str:
            return self._ask(lambda ctx: service.eject(ctx, service.get(ctx, "web"), **values))

        def _ask(self, ask: Any) -> str:
            with lab.asking() as ctx:
                identifier = submit(ctx, ask(ctx)).id
            lab.drain()
            return identifier

        def preview(self, verb: Any, *args: Any, **values: Any) -> list[str]:
            with lab.asking() as ctx:
                found = [images.get(ctx, a) for a in args]
                plan = verb(ctx, service.get(ctx, "web"), *found, **values)
                return plan.render("en", now=ctx.clock.now(), undo_days=7)["effects"]

        def live(self) -> dict[str, str]:
            domain = lab.domain()
            return {d.slot: self.name(d.path) for d in domain.live.disks if d.device == "cdrom" and d.slot != "sda"}

        def defined(self) -> dict[str, str]:
            disks = lab.domain().spec.disks
            return {d.slot: self.name(d.path) for d in disks if d.device == "cdrom" and d.slot != "sda"}

        def name(self, path: str) -> str:
            names = {layer.id: layer.path for layer in lab.rows(Layer)}
            found = {names[i.layer_id]: i.name for i in lab.rows(images_table) if i.layer_id}
            return found[path] if path else ""

    from yun.images.model import Image as images_table

    made = Cds()
    lab.create(start=False)
    return made


@pytest.fixture
def ready(lab: Lab, cds: Any) -> Any:
    """It runs, with the CD in its drive ``sdb``."""
    cds.insert(bus="scsi")
    lab.do(service.start, "web")
    return cds


@both
def test_a_cd_is_changed_and_ejected_while_the_instance_runs(lab: Lab, ready: Any) -> None:
    cds = ready
    assert cds.live() == cds.defined() == {"sdb": CD}
    changed = cds.insert(DRIVERS, slot="sdb")
    assert lab.operation(changed).result["value"]["effect"] == "live"
    assert cds.live() == cds.defined() == {"sdb": DRIVERS}
    lab.undo(changed)
    assert cds.live() == cds.defined() == {"sdb": CD}
    ejected = cds.eject()
    assert cds.live() == cds.defined() == {"sdb": ""}
    lab.undo(ejected)
    assert cds.live() == cds.defined() == {"sdb": CD}


def test_a_new_drive_waits_for_the_next_start_and_the_preview_says_so(lab: Lab, cds: Any) -> None:
    lab.do(service.start, "web")
    assert "It takes effect at the next start of the instance." in cds.preview(service.insert, CD)
    first = cds.insert()
    assert lab.operation(first).result["value"]["effect"] == "next"
    assert (cds.live(), cds.defined()) == ({}, {"sdh": CD})
    assert "It takes effect at the next start of the instance." in cds.preview(service.insert, DRIVERS, slot="sdh")
    lab.do(service.reboot, "web", hard=True)
    assert cds.live() == {"sdh": CD}
    assert "It takes effect at once, while the instance runs." in cds.preview(service.insert, DRIVERS, slot="sdh")
    assert lab.operation(cds.insert(DRIVERS)).result["value"]["effect"] == "next", "the first drive is full"
    assert cds.defined() == {"sdh": CD, "sdi": DRIVERS}


def test_a_guest_that_locks_the_tray_keeps_its_cd_until_it_is_forced(lab: Lab, ready: Any) -> None:
    cds = ready
    lab.world.guest(lab.row().uuid, locks_trays=True)
    for refused in (cds.eject(), cds.insert(DRIVERS, slot="sdb")):
        failed = lab.operation(refused)
        assert failed.state == OperationState.FAILED
        assert "keeps the CD drive {slot} locked" in str(failed.error)
        assert cds.live() == cds.defined() == {"sdb": CD}
        assert [d.image_name for d in lab.rows(CdDrive)] == [CD]
    assert "A guest that has it mounted loses it, and reads of it fail there." in cds.preview(service.eject, force=True)
    assert lab.operation(cds.eject(force=True)).state == OperationState.SUCCEEDED
    assert cds.live() == cds.defined() == {"sdb": ""}


def test_an_undo_that_the_guest_does_not_allow_changes_nothing(lab: Lab, ready: Any) -> None:
    cds = ready
    changed = cds.insert(DRIVERS, slot="sdb")
    lab.world.guest(lab.row().uuid, locks_trays=True)
    assert lab.operation(lab.undo(changed)).state == OperationState.FAILED
    assert cds.live() == cds.defined() == {"sdb": DRIVERS}


def test_the_file_of_a_purged_image_stays_while_it_lies_in_a_drive(lab: Lab, ready: Any) -> None:
    cds = ready
    with lab.asking() as ctx:
        submit(ctx, images.delete(ctx, images.get(ctx, CD)))
    lab.drain()
    with lab.asking() as ctx:
        submit(ctx, images.purge(ctx, images.get(ctx, CD)))
    lab.drain()
    drive = lab.rows(CdDrive)[0]
    assert drive.layer_id in [layer.id for layer in lab.rows(Layer)]
    lab.do(service.reboot, "web", hard=True)
    assert "sdb" in [d.slot for d in lab.domain().live.disks], "and it starts with it"
    with lab.asking() as ctx:
        plan = service.eject(ctx, service.get(ctx, "web"))
        back = [str(m.render("en")) for m in plan.back]
    assert "Its image is no longer in the catalogue: once its file is gone, the CD cannot be put back." in back
    ejected = cds.eject()
    with lab.database.write() as session:
        session.delete(session.get_one(Layer, drive.layer_id))
    failed = lab.operation(lab.undo(ejected))
    assert failed.state == OperationState.FAILED
    assert "has been purged since" in str(failed.error)


def test_what_is_refused_says_why(lab: Lab, cds: Any) -> None:
    with lab.asking() as ctx:
        web, cd, disk = service.get(ctx, "web"), images.get(ctx, CD), images.get(ctx, "tiny")
        with pytest.raises(Conflict, match="is a disk, not a CD"):
            service.insert(ctx, web, disk)
        with pytest.raises(Conflict, match="is a disk, not a CD"):
            images.get_iso(ctx, "tiny")
        for values, field in (({"bus": "floppy"}, "bus"), ({"slot": "sda"}, "slot"), ({"slot": "vdb"}, "slot")):
            with pytest.raises(Invalid) as caught:
                service.insert(ctx, web, cd, **values)
            assert field in caught.value.fields
        with pytest.raises(Conflict, match="There is no CD"):
            service.eject(ctx, web)
    cds.insert(bus="scsi")
    with lab.asking() as ctx, pytest.raises(Conflict, match="already"):
        service.insert(ctx, service.get(ctx, "web"), images.get(ctx, CD), slot="sdb")
    cds.insert(DRIVERS, bus="scsi")
    with lab.asking() as ctx, pytest.raises(Invalid) as caught:
        service.eject(ctx, service.get(ctx, "web"))
    assert "slot" in caught.value.fields


def test_a_removed_drive_goes_with_the_next_start_and_frees_its_slot(lab: Lab, ready: Any) -> None:
    cds = ready
    cds.eject(remove=True)
    assert (cds.live(), cds.defined()) == ({"sdb": ""}, {})
    assert lab.rows(CdDrive) == []
    lab.do(service.reboot, "web", hard=True)
    assert cds.live() == {}


def test_a_disk_does_not_take_a_drives_place(lab: Lab, cds: Any) -> None:
    cds.insert(bus="scsi")
    lab.do(service.add_disk, "web", size_bytes=1 << 30, place=service.Place(bus="scsi"))
    assert {"sdb", "sdc"} <= {d.slot for d in lab.domain().spec.disks}


def test_deleting_and_purging_an_instance_frees_its_cds(lab: Lab, cds: Any) -> None:
    cds.insert(bus="scsi")
    deleted = lab.do(service.delete, "web")
    lab.undo(deleted)
    assert cds.defined() == {"sdb": CD}
    lab.do(service.delete, "web")
    lab.do(service.purge, "web")
    assert lab.rows(CdDrive) == []


@both
def test_an_instance_is_installed_from_a_cd_onto_an_empty_disk(lab: Lab) -> None:
    made = lab.operation(lab.create(image="", iso=CD, driver_iso=DRIVERS, flavor="small"))
    assert made.state == OperationState.SUCCEEDED, made.error
    disks = {d.slot: d for d in lab.domain().live.disks}
    assert set(disks) == {"vda", "sdi", "sdj"}, "no seed: nothing in it reads one"
    assert {slot: d.boot_order for slot, d in disks.items()} == {"vda": 1, "sdi": 2, "sdj": None}
    assert [d.image_name for d in lab.rows(CdDrive)] == [CD, DRIVERS]
    head = next(h for h in lab.rows(Head) if h.path == disks["vda"].path)
    assert head.layer_id is None
    lab.do(service.eject, "web", slot="sdi")
    lab.do(service.eject, "web", slot="sdj", remove=True)
    assert [(d.slot, d.image_id) for d in lab.rows(CdDrive)] == [("sdi", None)]


def test_what_an_installer_cannot_be_told_is_refused_by_its_field(lab: Lab) -> None:
    for values, field in (
        ({"password": "long enough"}, "password"), ({"user_data": "#cloud-config"}, "user_data"),
        ({"ssh_keys": ("ssh-ed25519 AAAA",)}, "ssh_keys"), ({"keys": ("mine",)}, "keys"),
        ({"image": "tiny"}, "image"), ({"iso": ""}, "image"),
        ({"iso": "", "image": "tiny", "driver_iso": CD}, "driver_iso"),
    ):  # fmt: skip
        with lab.asking() as ctx, pytest.raises(Invalid) as caught:
            service.create(ctx, service.Wish(**{"name": "web", "iso": CD, "flavor": "tiny", **values}))
        assert list(caught.value.fields) == [field]
    with lab.asking() as ctx, pytest.raises(Conflict, match="is a disk, not a CD"):
        service.create(ctx, service.Wish(name="web", iso="tiny", flavor="tiny"))


def test_what_will_not_start_is_told_where_a_machine_is_to_start_from_it(
    lab: Lab, cds: Any, browser: Callable[..., TestClient]  # noqa: F811
) -> None:
    """Inserting it says nothing: a CD with drivers needs no boot record."""
    with lab.database.write() as session:
        session.execute(sa.update(Image).where(Image.name == DRIVERS).values(boots="none"))
        session.execute(sa.update(Image).where(Image.name == CD).values(boots="uefi"))
    warning = f"{DRIVERS} has no boot record: a machine will not start from it."

    def depends(ask: Any) -> list[str]:
        with lab.asking() as ctx:
            return [text.render() for text in ask(ctx).depends]

    def insert(ctx: Any, **values: Any) -> Any:
        return service.insert(ctx, service.get(ctx, "web"), images.get(ctx, DRIVERS), **values)

    wish: dict[str, Any] = {"name": "new", "flavor": "medium"}
    assert warning in depends(lambda ctx: service.create(ctx, service.Wish(iso=DRIVERS, **wish)))
    told = depends(lambda ctx: service.create(ctx, service.Wish(iso=CD, driver_iso=DRIVERS, **wish)))
    assert warning not in told
    assert any("UEFI only" in text for text in told)
    assert depends(insert) == []
    assert depends(lambda ctx: insert(ctx, boot_once=True)) == [warning]
    cds.insert(DRIVERS)
    drive = next(d.slot for d in lab.rows(CdDrive))
    assert depends(lambda ctx: service.boot_once(ctx, service.get(ctx, "web"), drive)) == [warning]
    assert depends(lambda ctx: service.boot_order(ctx, service.get(ctx, "web"), ["cd", "disk"])) == [warning]
    assert depends(lambda ctx: service.boot_order(ctx, service.get(ctx, "web"), ["disk", "network"])) == []
    page = browser()
    assert f"{DRIVERS} (no boot record)" in page.get("/instances/new").text
    typed = {"name": "new", "source": "iso", "iso": DRIVERS, "flavor": "medium", "cache": "none", "discard": "true"}
    assert warning in page.post("/instances/new/preview", data=typed, headers=HTMX).text
    assert f"{DRIVERS} (no boot record)" in page.get(f"/instances/{lab.row().id}/drives/insert").text
    with lab.asking() as ctx:
        image = images.get(ctx, DRIVERS)
    assert "it has no boot record" in page.get(f"/images/{image.id}").text
