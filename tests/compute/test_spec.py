"""Rows as a machine: what the hypervisor is told."""

from pathlib import Path

import pytest

from yun.base.config import Settings
from yun.base.ids import as_uuid, new_id
from yun.compute import places
from yun.compute.model import Instance
from yun.compute.spec import domain_spec
from yun.drivers.hypervisor.libvirt.domain_xml import domain_xml
from yun.drivers.hypervisor.port import DiskSpec, NicSpec
from yun.hosts.model import Host


def instance(**values: object) -> Instance:
    """An instance that no database has seen."""
    identifier = new_id("ins")
    plain = {"name": "web", "description": "", "vcpus": 1, "memory_mib": 128, "firmware": "bios", "project_id": "prj_1"}
    return Instance(id=identifier, uuid=as_uuid(identifier), **{**plain, **values})


def test_a_machine_has_its_rows_disks_cards_and_seed() -> None:
    row = instance(name="网站 <b>&\"'")
    disk = DiskSpec("vda", "/pool/heads/a.qcow2", boot_order=1)
    nic = NicSpec("52:54:00:00:00:01", as_uuid(new_id("prt")))
    settings = Settings(state_dir=Path("/var/lib/yun"))
    spec = domain_spec(row, Host(accel="tcg"), [disk], [nic], settings=settings, seed="/pool/seeds/s.iso")
    assert (spec.uuid, spec.name, spec.title) == (row.uuid, row.id, "网站 <b>&\"'")
    assert spec.accel == "tcg"
    assert not spec.autostart
    seed = spec.disks[1]
    assert (seed.slot, seed.bus, seed.device, seed.format, seed.readonly) == ("sda", "scsi", "cdrom", "raw", True)
    assert "网站 &lt;b&gt;&amp;" in domain_xml(spec)


@pytest.mark.parametrize("firmware", ["bios", "uefi", "uefi-secure", ""])
def test_firmware_is_a_word_that_the_driver_knows(firmware: str) -> None:
    settings = Settings(state_dir=Path("/var/lib/yun"))
    spec = domain_spec(instance(firmware=firmware), Host(accel="kvm"), [], [], settings=settings)
    assert (spec.firmware, spec.accel, spec.disks) == (firmware or "bios", "kvm", ())


@pytest.mark.parametrize("folder", ["/var/lib/yun", "/" + "x" * 90, "/tmp/" + "deep/" * 30])
def test_a_serial_socket_has_a_path_short_enough_for_one(folder: str) -> None:
    path = places.serial_socket(Settings(state_dir=Path(folder)), new_id("ins"))
    assert len(path.encode()) <= 107
    assert path.endswith(".sock")
