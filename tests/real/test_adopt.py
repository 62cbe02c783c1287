"""Ten machines of somebody else's on real libvirt: found, marked, given back; their processes and disks unharmed."""

from __future__ import annotations

import hashlib
import subprocess
import uuid as uuids
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.hypervisor_room import LibvirtRoom
from yun.drivers.hypervisor.definition import DefinedDisk, read_definition
from yun.drivers.hypervisor.libvirt.domain_xml import NAMESPACE
from yun.drivers.hypervisor.port import DiskSpec, DomainSpec, Kept, Power
from yun.drivers.volume.directory import DirectoryStore

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

XML = """<domain type='qemu'><name>{name}</name><uuid>{uuid}</uuid>
<metadata><libosinfo:libosinfo xmlns:libosinfo="http://libosinfo.org/xmlns/libvirt/domain/1.0">
<libosinfo:os id="http://debian.org/debian/11"/></libosinfo:libosinfo></metadata>
<memory unit='KiB'>65536</memory><vcpu>1</vcpu>
<os{firmware}><type arch='x86_64' machine='{machine}'>hvm</type>{loader}<boot dev='hd'/></os>
<features><acpi/></features><cpu mode='custom'><model>qemu64</model></cpu>
<devices><disk type='file' device='disk'><driver name='qemu' type='{format}'/><source file='{path}'/>
<target dev='{slot}' bus='{bus}'/></disk>
<disk type='file' device='cdrom'><target dev='hdc' bus='{cd}'/><readonly/></disk>
<interface type='user'><mac address='52:54:00:00:01:{number:02x}'/><model type='e1000'/></interface>
<serial type='pty'/><graphics type='vnc' port='-1'/><memballoon model='none'/></devices></domain>"""


@pytest.fixture(scope="module")
def room() -> Iterator[LibvirtRoom]:
    made = LibvirtRoom()
    yield made
    made.close()


def qemu_img(*words: str) -> None:
    subprocess.run(["qemu-img", *words], check=True, capture_output=True)


def define(room: LibvirtRoom, number: int) -> tuple[str, Path]:
    """One machine as virt-install would write it; every second on a raw disk, the last by UEFI."""
    name, raw, uefi = f"old-{number}", number % 2 == 0, number == 9
    path = room.folder / f"{name}.{'img' if raw else 'qcow2'}"
    if raw:
        qemu_img("create", "-f", "raw", str(path), "4M")
    elif number % 4 == 1:
        base = room.folder / f"{name}-base.qcow2"
        qemu_img("create", "-f", "qcow2", str(base), "4M")
        qemu_img("create", "-f", "qcow2", "-b", base.name, "-F", "qcow2", str(path))
    else:
        qemu_img("create", "-f", "qcow2", str(path), "4M")
    old = number % 3 == 0 and not uefi
    identifier = str(uuids.uuid4())
    xml = XML.format(
        name=name, uuid=identifier, path=path, format="raw" if raw else "qcow2", number=number,
        machine="pc" if old else "q35", slot="hda" if old else "vda", bus="ide" if old else "virtio",
        cd="ide" if old else "sata", firmware=" firmware='efi'" if uefi else "",
        loader="<firmware><feature enabled='no' name='secure-boot'/></firmware>" if uefi else "",
    )  # fmt: skip
    file = room.folder / f"{name}.xml"
    file.write_text(xml.replace("dev='hdc'", "dev='hdc'" if old else "dev='sdc'"))
    room.host.run("virsh", "-q", "define", str(file))
    return identifier, path


def as_ours(disk: DefinedDisk) -> DiskSpec:
    """What its rows say of a disk when the machine was taken over."""
    return DiskSpec(
        disk.slot, disk.path, format=disk.format, bus=disk.bus, boot_order=disk.boot_order, serial=disk.serial,
        cache=disk.cache, io=disk.io, discard=disk.discard, limits=disk.limits,
    )  # type: ignore[arg-type]  # fmt: skip


def test_ten_machines_are_taken_over_and_given_back_unharmed(room: LibvirtRoom) -> None:
    made = dict(define(room, number) for number in range(10))
    running = list(made)[:4]
    for uuid in running:
        room.host.run("virsh", "-q", "start", uuid, "--paused")
    room.host.run("virsh", "-q", "snapshot-create-as", list(made)[7], "inside")
    room.host.run("virsh", "-q", "snapshot-create-as", list(made)[3], "outside", "--disk-only")
    found = {s.uuid: s for s in room.driver.strangers()}
    assert set(made) <= set(found)
    assert found[list(made)[7]].snapshots == (("inside", False),)
    assert found[list(made)[3]].snapshots == (("outside", True),)
    processes = {uuid: room._qemu(uuid) for uuid in running}
    digests = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in made.values()}
    store = DirectoryStore()
    for number, (uuid, stranger) in enumerate((u, found[u]) for u in made):
        came = read_definition(stranger.xml, namespace=NAMESPACE)
        disk = next(d for d in came.disks if not d.kept)
        chain = store.trace(disk.path, disk.format)
        assert len(chain) == (2 if number in (1, 3, 5, 9) else 1), number
        assert all(f.exists for f in chain)
        room.driver.claim(uuid, {"id": f"ins_{number}"})
        spec = DomainSpec(
            uuid, came.name, "", came.memory_mib, came.vcpus, "tcg", metadata={"id": f"ins_{number}"},
            disks=(as_ours(disk),),
            kept=Kept(stranger.xml, (disk.slot,)),
        )  # fmt: skip
        room.driver.define(spec)
        now = read_definition(room.driver.xml(uuid, live=False), namespace=NAMESPACE)
        assert (now.disks, now.cards, now.machine, now.firmware, now.nvram) == (
            came.disks, came.cards, came.machine, came.firmware, came.nvram,
        )  # fmt: skip
        room.driver.disown(uuid)
    again = {s.uuid for s in room.driver.strangers()}
    assert set(made) <= again
    assert {uuid: room._qemu(uuid) for uuid in running} == processes
    assert all(room.driver.state(uuid).power is Power.PAUSED for uuid in running)
    assert {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in made.values()} == digests
