"""The IDE bus of old machines: only where the machine type has it, and only from the next start on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.compute.conftest import Lab
from tests.compute.test_pages import browser  # noqa: F401 (a fixture)
from yun.base.errors import Conflict, Invalid
from yun.compute import service
from yun.compute.service import Place
from yun.images import service as images
from yun.operations.model import State as OperationState
from yun.operations.service import submit
from yun.storage.service import get_volume

GIB = 1 << 30
CD = "debian-12-installer"


def ask(lab: Lab, verb: Callable[[Any, Any], Any]) -> Any:
    """Do what the verb intends for ``web``; the operation as it ended."""
    with lab.asking() as ctx:
        identifier = submit(ctx, verb(ctx, service.get(ctx, "web"))).id
    lab.drain()
    done = lab.operation(identifier)
    assert done.state == OperationState.SUCCEEDED, done.error
    return done


def add(place: Place) -> Callable[[Any, Any], Any]:
    return lambda ctx, row: service.add_disk(ctx, row, size_bytes=GIB, place=place, name="old")


def test_a_machine_without_the_bus_says_what_would_help(lab: Lab) -> None:
    lab.create()
    with lab.asking() as ctx, pytest.raises(Conflict) as caught:
        add(Place(bus="ide"))(ctx, service.get(ctx, "web"))
    assert set(caught.value.fields) == {"bus"}
    assert "only the old pc has" in caught.value.message.render()


def test_an_old_machine_has_disks_on_ide_from_its_next_start(
    lab: Lab, browser: Callable[..., TestClient]  # noqa: F811
) -> None:
    lab.create()
    lab.do(service.stop, "web")
    with lab.asking() as ctx, pytest.raises(Conflict) as caught:
        service.change_bus(ctx, get_volume(ctx, "web"), "ide")
    assert set(caught.value.fields) == {"bus"}
    page, base = browser(), f"/instances/{lab.row().id}/disks"
    assert 'value="ide"' not in page.get(f"{base}/new").text
    lab.do(service.configure, "web", machine="pc")
    assert 'value="ide"' in page.get(f"{base}/new").text
    lab.do(service.start, "web")
    with lab.asking() as ctx:
        seen = add(Place(bus="ide"))(ctx, service.get(ctx, "web")).render("en", now=ctx.clock.now(), undo_days=7)
    assert "It takes effect at the next start of the instance." in seen["effects"]
    done = ask(lab, add(Place(bus="ide")))
    assert done.result["value"]["effect"] == "next"
    assert "hda" not in {d.slot for d in lab.domain("web").live.disks}
    lab.do(service.reboot, "web", hard=True)
    assert {d.slot: d.bus for d in lab.domain("web").live.disks}["hda"] == "ide"
    lab.do(service.stop, "web")
    with lab.asking() as ctx, pytest.raises(Conflict) as caught:
        service.configure(ctx, service.get(ctx, "web"), machine="q35")
    assert set(caught.value.fields) == {"machine"}


def test_the_boot_disk_goes_to_ide_and_back(lab: Lab) -> None:
    lab.create()
    lab.do(service.stop, "web")
    lab.do(service.configure, "web", machine="pc")
    done = ask(lab, lambda ctx, _row: service.change_bus(ctx, get_volume(ctx, "web"), "ide"))
    disks = {d.slot: d for d in lab.domain("web").spec.disks}
    assert (disks["hda"].bus, disks["hda"].boot_order) == ("ide", 1)
    assert disks["sda"].bus == "sata", "its seed needs no paravirtual driver either"
    lab.undo(done.id)
    assert "vda" in {d.slot for d in lab.domain("web").spec.disks}


@pytest.mark.parametrize("bus", ["sata", "ide"])
def test_a_disk_cannot_be_read_only_where_there_are_no_such_disks(lab: Lab, bus: str) -> None:
    lab.create()
    lab.do(service.stop, "web")
    lab.do(service.configure, "web", machine="pc")
    with lab.asking() as ctx, pytest.raises(Conflict) as caught:
        add(Place(bus=bus, readonly=True))(ctx, service.get(ctx, "web"))
    assert set(caught.value.fields) == {"readonly"}
    ask(lab, add(Place(readonly=True)))
    with lab.asking() as ctx, pytest.raises(Conflict) as caught:
        service.change_bus(ctx, get_volume(ctx, "old"), bus)
    assert set(caught.value.fields) == {"readonly"}


def test_a_cd_drive_is_on_ide_beside_a_boot_disk_there(
    lab: Lab, browser: Callable[..., TestClient]  # noqa: F811
) -> None:
    lab.create()
    lab.do(service.stop, "web")
    with lab.asking() as ctx, pytest.raises(Conflict) as caught:
        service.insert(ctx, service.get(ctx, "web"), images.get(ctx, CD), bus="ide")
    assert set(caught.value.fields) == {"bus"}
    with lab.asking() as ctx, pytest.raises(Invalid) as wrong:
        service.insert(ctx, service.get(ctx, "web"), images.get(ctx, CD), slot="hdb")
    assert "hdb" not in wrong.value.fields["slot"].render()
    lab.do(service.configure, "web", machine="pc")
    page, base = browser(), f"/instances/{lab.row().id}/drives/insert"
    assert "a new one on sata" in page.get(base).text
    ask(lab, lambda ctx, _row: service.change_bus(ctx, get_volume(ctx, "web"), "ide"))
    assert "a new one on ide" in page.get(base).text
    for slot in ("hdb", "hdc", "hdd", "sdh"):
        ask(lab, lambda ctx, row: service.insert(ctx, row, images.get(ctx, CD)))
        assert {d.slot: d.device for d in lab.domain("web").spec.disks}[slot] == "cdrom", "the four places first"
    lab.do(service.start, "web")
    done = ask(lab, lambda ctx, row: service.eject(ctx, row, slot="hdc"))
    assert done.result["value"]["effect"] == "live"
    assert {d.slot: d.path for d in lab.domain("web").live.disks}["hdc"] == ""
    done = ask(lab, lambda ctx, row: service.insert(ctx, row, images.get(ctx, CD), slot="hdc"))
    assert done.result["value"]["effect"] == "live"
    lab.do(service.stop, "web")
    with lab.asking() as ctx, pytest.raises(Conflict) as caught:
        service.configure(ctx, service.get(ctx, "web"), machine="q35")
    assert "hda, hdb, hdc, hdd" in caught.value.message.render()


def test_a_system_is_installed_on_ide_from_a_cd_on_ide(lab: Lab) -> None:
    wish = {"iso": CD, "driver_iso": "virtio-win", "disk": service.FirstDisk(bus="ide")}
    lab.do(service.create, None, service.Wish(name="old", flavor="large", **wish))
    spec = lab.domain("old").spec
    assert spec.machine == "pc"
    found = [(d.slot, d.bus, d.device, d.boot_order) for d in spec.disks]
    assert found == [("hda", "ide", "disk", 1), ("hdb", "ide", "cdrom", 2), ("hdc", "ide", "cdrom", None)]
