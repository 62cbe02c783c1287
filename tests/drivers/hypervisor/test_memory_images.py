"""The file of a memory image, and the XML with which a machine goes on from one: no daemon needed."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from tests.drivers.hypervisor.contract import blank
from yun.base.ids import as_uuid, new_id
from yun.drivers.hypervisor.board import Board
from yun.drivers.hypervisor.libvirt.domain_xml import domain_xml
from yun.drivers.hypervisor.libvirt.memory import image
from yun.drivers.hypervisor.libvirt.memory.fitting import difference
from yun.drivers.hypervisor.libvirt.memory.waking_xml import woken
from yun.drivers.hypervisor.memory import unfit
from yun.drivers.hypervisor.port import DiskSpec, DomainSpec, NicSpec

COOKIE = b"<cookie/>"
STREAM = b"QEVM\0\0\0\3" + b"\0\6" * 40 + b"pages"
DESCRIPTION = json.dumps({"devices": [{"name": "ram"}]}).encode()


def _spec(**changes: object) -> DomainSpec:
    card = NicSpec("52:54:00:00:00:01", as_uuid(new_id("prt")))
    disks = (DiskSpec("vda", "/pool/a.qcow2"), DiskSpec("sda", "/pool/cd.qcow2", device="cdrom", bus="scsi"))
    return replace(
        blank(serial_socket="/run/a.sock", serial_log="/log/a", nics=(card,), disks=disks, metadata={"id": "a"}),
        **changes,
    )  # type: ignore[arg-type]


def _image(path: Path, xml: str, *, magic: bytes = image.MAGIC, packed: int = 0, end: bytes = b"") -> str:
    text = xml.encode() + b"\0"
    body = text + COOKIE + b"\0" + b"\0" * 65536
    last = end or b"\0\6" + len(DESCRIPTION).to_bytes(4, "big") + DESCRIPTION
    path.write_bytes(image.HEADER.pack(magic, 2, len(body), 1, packed, len(text), b"\0" * 56) + body + STREAM + last)
    return str(path)


def test_a_whole_image_tells_what_it_is_of(tmp_path: Path) -> None:
    spec = _spec(memory_mib=128, vcpus=2)
    path = _image(tmp_path / "m", domain_xml(spec).replace("'MiB'>128", "'KiB'>131072").replace(
        'unit="MiB">128', 'unit="KiB">131072'))  # fmt: skip
    facts = image.facts(path)
    assert facts is not None
    assert (facts.uuid, facts.memory_mib, facts.vcpus, facts.cpu) == (spec.uuid, 128, 2, "qemu64")
    assert (facts.slots, facts.macs, facts.emulator) == (("sda", "vda"), ("52:54:00:00:00:01",), "")
    image.seal(path, "7.2.22", "EPYC")
    sealed = image.facts(path)
    assert sealed is not None
    assert sealed.emulator == "7.2.22"
    assert Path(path).stat().st_mode & 0o777 == 0o600


def test_every_length_but_the_whole_one_is_no_image(tmp_path: Path) -> None:
    path = Path(_image(tmp_path / "m", domain_xml(_spec())))
    whole = path.read_bytes()
    for length in {0, 15, 91, 92, 500, len(whole) - 4096, *range(len(whole) - 200, len(whole))}:
        path.write_bytes(whole[:length])
        assert image.facts(str(path)) is None, length
    path.write_bytes(whole)
    assert image.facts(str(path)) is not None
    image.seal(str(path), "7.2.22", "")
    path.write_bytes(whole + b"more")
    assert image.facts(str(path)) is None


@pytest.mark.parametrize(
    "wrong", [{"magic": b"LibvirtQemudPart"}, {"packed": 1}, {"end": b"\0\6\0\0\1\0{}"}, {"end": b"\0"}], ids=str
)
def test_what_was_never_finished_or_is_packed_is_no_image(tmp_path: Path, wrong: dict[str, object]) -> None:
    path = _image(tmp_path / "m", domain_xml(_spec()), **wrong)  # type: ignore[arg-type]
    assert image.facts(path) is None
    assert image.facts(str(tmp_path / "none")) is None
    assert image.facts(str(tmp_path)) is None


def test_another_header_goes_before_the_same_stream(tmp_path: Path) -> None:
    path = _image(tmp_path / "m", domain_xml(_spec()))
    xml = domain_xml(_spec(title="x" * 200_000))
    header, begin = image.header_for(path, xml)
    whole = Path(path).read_bytes()
    assert whole[begin:].startswith(STREAM)
    made = tmp_path / "made"
    made.write_bytes(header + whole[begin:])
    assert image.read_xml(str(made)) == xml
    _magic, _version, length, _ran, _packed, cookie, _rest = image.HEADER.unpack(header[: image.HEADER.size])
    assert header[image.HEADER.size + cookie :].rstrip(b"\0") == COOKIE
    assert len(header) == image.HEADER.size + length
    assert len(header) % image.PAGE == 0


def test_discarding_takes_notes_and_pipes_along_and_no_neighbour(tmp_path: Path) -> None:
    path = _image(tmp_path / "m", domain_xml(_spec()))
    image.seal(path, "7.2.22", "")
    for name in ("m.for-somebody", "m.facts.part", "m2", "m.qcow2"):
        (tmp_path / name).touch()
    image.discard(path)
    image.discard(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.qcow2", "m2"]


def test_a_machine_goes_on_with_the_host_side_of_its_definition_and_nothing_else(tmp_path: Path) -> None:
    then = _spec(board=Board(serial_ports=2, display="both"))
    root = ET.fromstring(domain_xml(then))
    for disk in root.iterfind("devices/disk"):
        ET.SubElement(disk, "backingStore")
        ET.SubElement(disk, "alias", {"name": "guest-side"})
    for card in root.iterfind("devices/interface"):
        ET.SubElement(card, "target", {"dev": "vnet7"})
        ET.SubElement(card, "address", {"type": "pci", "slot": "0x09"})
    for screen in root.iterfind("devices/graphics"):
        screen.set("socket", "/old")
    card = replace(then.nics[0], mac="52:54:00:00:00:09", port_uuid=as_uuid(new_id("prt")), link_up=False)
    now = replace(
        then, uuid=as_uuid(new_id("ins")), name="other", genid=as_uuid(new_id("ins")), nics=(card,),
        serial_socket="/run/b.sock", serial_log="", metadata={"id": "b"}, description="new",
        disks=(DiskSpec("vda", "/pool/b.qcow2", cache="unsafe"), replace(then.disks[1], path="")),
    )  # fmt: skip
    told = woken(root, ET.fromstring(domain_xml(now)))
    text = ET.tostring(told, encoding="unicode")
    assert (told.findtext("uuid"), told.findtext("name"), told.findtext("genid")) == (now.uuid, "other", now.genid)
    assert told.findtext("description") == "new"
    assert "/pool/b.qcow2" in text
    assert "/run/b.sock" in text
    assert f'interfaceid="{card.port_uuid}"' in text
    for old in (then.uuid, "/pool/", "/run/a.sock", "/log/a", "vnet7", "/old", "backingStore", then.nics[0].mac):
        assert old not in text.replace("/pool/b.qcow2", ""), old
    assert text.count("guest-side") == 2
    assert 'slot="0x09"' in text
    assert told.find("devices/interface/link").get("state") == "down"  # type: ignore[union-attr]
    assert [e.tag for e in told].count("metadata") == 1


def test_what_a_guest_does_not_see_is_no_difference() -> None:
    spec = _spec()
    for same in (
        replace(spec, title="x"), replace(spec, machine="pc-q35-7.2"), replace(spec, serial_log="/elsewhere"),
        replace(spec, board=Board(pins=("0",), disk_full="report", keyboard="de")), replace(spec, on_crash="restart"),
    ):  # fmt: skip
        then = ET.fromstring(domain_xml(replace(spec, machine="pc-q35-7.2")))
        assert difference(then, ET.fromstring(domain_xml(same))) is None
    assert difference(then, ET.fromstring(domain_xml(replace(spec, machine="pc-q35-8.0")))) is not None
    root = ET.fromstring(domain_xml(spec))
    ET.SubElement(root.find("devices"), "watchdog", {"model": "itco"})  # type: ignore[arg-type]
    assert difference(root, ET.fromstring(domain_xml(spec))) is None, "newer daemons add that of themselves"


def test_a_newer_emulator_takes_what_an_older_one_wrote_and_not_the_other_way_round(tmp_path: Path) -> None:
    spec = _spec()
    facts = image.facts(_image(tmp_path / "m", domain_xml(spec).replace("'MiB'", "'KiB'")))
    assert facts is not None
    facts = replace(facts, memory_mib=spec.memory_mib, emulator="7.2.22")
    assert unfit(spec, facts, "7.2.0", "") is None
    assert unfit(spec, facts, "10.0.2", "") is None
    assert unfit(spec, facts, "7.1.9", "") is not None
    assert unfit(spec, replace(facts, host_cpu="EPYC"), "7.2.22", "Haswell") is not None
