"""Images of systems without virtio drivers: their machines get a SATA disk and an e1000 card."""

from __future__ import annotations

import pytest

from tests.compute.conftest import Lab
from yun.base.errors import Conflict, Invalid
from yun.compute import service
from yun.images import service as images
from yun.network.model import Port
from yun.operations.service import submit
from yun.storage import service as storage
from yun.storage.model import Attachment


def set_hardware(lab: Lab, hardware: str) -> None:
    with lab.asking() as ctx:
        submit(ctx, images.update(ctx, images.get(ctx, "tiny"), hardware=hardware))
    lab.drain()


def test_a_machine_of_a_compatible_image_starts_on_sata_and_e1000(lab: Lab) -> None:
    set_hardware(lab, "compatible")
    lab.create()
    spec = lab.domain().spec
    assert [(d.slot, d.bus, d.boot_order) for d in spec.disks if d.device == "disk"] == [("sdh", "sata", 1)]
    assert [d.bus for d in spec.disks if d.device == "cdrom"] == ["sata"]
    assert [n.model for n in spec.nics] == ["e1000"]
    assert [a.bus for a in lab.rows(Attachment)] == ["sata"]
    assert [p.model for p in lab.rows(Port)] == ["e1000"]


def test_machines_that_exist_keep_their_hardware(lab: Lab) -> None:
    lab.create()
    set_hardware(lab, "compatible")
    spec = lab.domain().spec
    assert [d.bus for d in spec.disks] == ["virtio", "scsi"]
    assert [n.model for n in spec.nics] == ["virtio"]


def test_the_preview_says_what_hardware_the_image_asks_for(lab: Lab) -> None:
    set_hardware(lab, "compatible")
    with lab.asking() as ctx:
        intent = service.create(ctx, service.Wish(name="old", image="tiny", flavor="tiny"))
        assert any("e1000" in effect.render("en") for effect in intent.effects)


def test_hardware_there_is_not_is_refused(lab: Lab) -> None:
    with lab.asking() as ctx, pytest.raises(Invalid) as caught:
        images.update(ctx, images.get(ctx, "tiny"), hardware="amiga")
    assert "hardware" in caught.value.fields


def test_a_boot_disk_goes_to_virtio_once_the_guest_has_its_driver_and_back_by_undo(lab: Lab) -> None:
    set_hardware(lab, "compatible")
    lab.create(start=False)
    with lab.asking() as ctx:
        intent = service.change_bus(ctx, storage.get_volume(ctx, "web"), "virtio")
        assert any("boots from this disk" in effect.render("en") for effect in intent.effects)
        identifier = submit(ctx, intent).id
    lab.drain()
    assert lab.operation(identifier).state == "succeeded"
    assert [(d.slot, d.bus, d.boot_order) for d in lab.domain().spec.disks if d.device == "disk"] == [
        ("vda", "virtio", 1)
    ]
    lab.undo(identifier)
    assert [(d.slot, d.bus) for d in lab.domain().spec.disks if d.device == "disk"] == [("sdh", "sata")]
    assert [(a.slot, a.bus) for a in lab.rows(Attachment)] == [("sdh", "sata")]


def test_a_disk_of_a_running_machine_keeps_its_bus(lab: Lab) -> None:
    lab.create()
    with lab.asking() as ctx:
        volume = storage.get_volume(ctx, "web")
        with pytest.raises(Conflict):
            service.change_bus(ctx, volume, "sata")
        with pytest.raises(Invalid):
            service.change_bus(ctx, volume, "floppy")


def test_a_machine_that_was_started_while_the_change_waited_keeps_its_bus(lab: Lab) -> None:
    lab.create(start=False)
    with lab.asking() as ctx:
        moving = service.change_bus(ctx, storage.get_volume(ctx, "web"), "sata")
        submit(ctx, service.start(ctx, service.get(ctx, "web")))
        identifier = submit(ctx, moving).id
    lab.drain()
    assert lab.operation(identifier).state == "failed"
    assert [(a.slot, a.bus) for a in lab.rows(Attachment)] == [("vda", "virtio")]
    assert lab.row().state == "running"
