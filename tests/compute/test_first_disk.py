"""The first disk of a new instance: its bus, and the format of its file, by every face."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tests.compute.conftest import Lab
from tests.compute.test_api import asking
from tests.compute.test_cli import Run, parsed, run  # noqa: F401 (a fixture)
from tests.compute.test_clone import clone, files, head
from tests.compute.test_pages import HTMX, browser  # noqa: F401 (a fixture)
from tests.compute.test_raw_disks import made_of, reconcile, succeeded
from yun.base.errors import Invalid
from yun.compute import service
from yun.compute.service import FirstDisk
from yun.images.model import Image
from yun.operations.model import State as OperationState
from yun.storage.model import Head, Layer, Volume


def preview(lab: Lab, **disk: Any) -> list[str]:
    """What creating an instance with such a disk would do."""
    with lab.asking() as ctx:
        wish = service.Wish(name="seen", image="tiny", flavor="tiny", disk=FirstDisk(**disk))
        shown = service.create(ctx, wish).render("en", now=ctx.clock.now(), undo_days=7)
    return list(shown["effects"])


def first_of(lab: Lab, name: str = "web") -> Any:
    return lab.domain(name).spec.disks[0]


def test_a_raw_first_disk_is_a_copy_of_its_image_and_stands_on_nothing(lab: Lab) -> None:
    effects = " ".join(preview(lab, format="raw"))
    assert "all data of tiny" in effects
    assert "Its file is raw" in effects
    assert "raw" not in " ".join(preview(lab))
    done = succeeded(lab.operation(lab.create(disk=FirstDisk(format="raw"))))
    now = head(lab, "web")
    assert (now.format, now.layer_id) == ("raw", None)
    assert now.path.endswith(".raw")
    made_of(lab, "web", "raw", "")
    with lab.database.read() as session:
        query = sa.select(Layer).join(Image, Image.layer_id == Layer.id).where(Image.name == "tiny")
        base = session.scalars(query).one()
        volume = session.scalars(sa.select(Volume)).one()
    was, copy = files(lab)[base.path].content, files(lab)[now.path].content
    assert copy == was or copy.endswith(was), "it has what the image has"
    assert files(lab)[now.path].virtual == volume.size_bytes >= base.virtual_bytes
    reconcile(lab)
    succeeded(clone(lab))
    made_of(lab, "copy", "qcow2", now.path)
    lab.do(service.delete, "copy")
    succeeded(lab.operation(lab.undo(done.id)))


def test_a_raw_first_disk_of_a_cd_is_empty(lab: Lab) -> None:
    with lab.database.write() as session:
        session.execute(sa.update(Image).where(Image.name == "tiny").values(kind="iso"))
    wish = {"image": "", "iso": "tiny", "disk": FirstDisk(format="raw")}
    succeeded(lab.operation(lab.create(**wish)))
    now = head(lab, "web")
    assert (now.format, now.layer_id) == ("raw", None)
    made_of(lab, "web", "raw", "")


def test_a_copy_that_fails_leaves_nothing(lab: Lab) -> None:
    there = lab.cloud.drivers.on("any").volume.world.files  # type: ignore[attr-defined]
    before = set(there)
    lab.cloud.drivers.on("any").volume.world.fail("convert")  # type: ignore[attr-defined]
    assert lab.operation(lab.create(disk=FirstDisk(format="raw"))).state == OperationState.FAILED
    assert set(there) == before
    assert lab.rows(Head) == []


@pytest.mark.parametrize(
    ("bus", "slot", "machine"), [("virtio", "vda", ""), ("scsi", "sdb", ""), ("sata", "sdh", ""), ("ide", "hda", "pc")]
)
def test_the_first_disk_is_on_the_bus_that_was_wished_for(lab: Lab, bus: str, slot: str, machine: str) -> None:
    effects = preview(lab, bus=bus)
    assert (f"Its disk is {slot} ({bus})." in effects) == (bus != "virtio")
    assert any("machine type is pc" in text for text in effects) == (bus == "ide")
    succeeded(lab.operation(lab.create(disk=FirstDisk(bus=bus))))
    assert (first_of(lab).slot, first_of(lab).bus, first_of(lab).boot_order) == (slot, bus, 1)
    assert lab.row().hardware == ({"machine": machine} if machine else {})


def test_a_bus_that_the_image_has_no_driver_for_is_told(lab: Lab) -> None:
    with lab.database.write() as session:
        session.execute(sa.update(Image).where(Image.name == "tiny").values(hardware="compatible"))
    assert "Its disk is on SATA and its network card an e1000, as the image says." in preview(lab)
    told = preview(lab, bus="virtio")
    assert any("no driver for virtio" in text for text in told)
    assert "Its network card is an e1000, as the image says." in told
    assert any("must have a driver for ide" in text for text in preview(lab, bus="ide"))


@pytest.mark.parametrize(("wrong", "field"), [({"bus": "usb"}, "bus"), ({"format": "vmdk"}, "format")])
def test_what_there_is_not_is_refused_by_name(lab: Lab, wrong: dict[str, str], field: str) -> None:
    with lab.asking() as ctx, pytest.raises(Invalid) as caught:
        service.create(ctx, service.Wish(name="web", image="tiny", flavor="tiny", disk=FirstDisk(**wrong)))
    assert set(caught.value.fields) == {field}


def test_no_machine_with_ide_has_secure_boot(lab: Lab) -> None:
    with lab.database.write() as session:
        session.execute(sa.update(Image).where(Image.name == "tiny").values(firmware="uefi-secure"))
    wish = service.Wish(name="web", image="tiny", flavor="tiny", memory_mib=512, disk=FirstDisk(bus="ide"))
    with lab.asking() as ctx, pytest.raises(Invalid) as caught:
        service.create(ctx, wish)
    assert set(caught.value.fields) == {"bus"}


def test_the_api_and_the_command_choose_both(lab: Lab, run: Run) -> None:  # noqa: F811
    with asking(lab) as api:
        body = {"name": "by-api", "image": "tiny", "flavor": "tiny", "disk": {"bus": "scsi", "format": "raw"}}
        plan = api.post("/instances", params={"dry_run": True}, json=body)
        assert "Its disk is sdb (scsi)." in plan.json()["effects"]
        assert api.post("/instances", json=body).status_code == 201
        wrong = api.post("/instances", json={**body, "name": "other", "disk": {"format": "vdi"}})
        assert wrong.status_code == 422
        assert "one of qcow2, raw" in wrong.text
    done = run("instance", "create", "by-command", "--image", "tiny", "--flavor", "tiny", "--disk-bus", "sata",
               "--disk-format", "raw")  # fmt: skip
    assert done.exit_code == 0, done.output
    for name, bus in (("by-api", "scsi"), ("by-command", "sata")):
        assert (first_of(lab, name).bus, first_of(lab, name).format) == (bus, "raw")
        assert parsed(run("-o", "json", "volume", "show", name))["format"] == "raw"


def test_the_panel_chooses_both_and_previews_them(lab: Lab, browser: Callable[..., TestClient]) -> None:  # noqa: F811
    page = browser()
    form = page.get("/instances/new")
    assert 'value="ide"' in form.text
    assert 'value="raw"' in form.text
    typed = {"name": "web", "image": "tiny", "flavor": "tiny", "cache": "none", "discard": "true", "bus": "ide",
             "format": "raw"}  # fmt: skip
    plan = page.post("/instances/new/preview", data=typed, headers=HTMX)
    assert "Its machine type is pc" in plan.text
    assert "all data of tiny" in plan.text
    wrong = page.post("/instances/new/preview", data={**typed, "bus": "usb"}, headers=HTMX)
    assert "There is no bus usb." in wrong.text
    done = page.post("/instances", data=typed, headers=HTMX)
    assert done.status_code in (200, 202, 204), done.text
    lab.drain()
    assert (first_of(lab).slot, first_of(lab).format) == ("hda", "raw")
