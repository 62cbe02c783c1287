"""Images of systems without virtio drivers: their machines get a SATA disk and an e1000 card."""

from __future__ import annotations

import pytest

from tests.compute.conftest import Lab
from yun.base.errors import Invalid
from yun.compute import service
from yun.images import service as images
from yun.network.model import Port
from yun.operations.service import submit
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
