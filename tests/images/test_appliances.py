"""Reading OVAs: sound ones become what they say; hostile ones are refused by name, and nothing else happens."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path

import pytest

from tests.images.ova import GIB, Wanted, manifest, ova, ovf, tar, vmdk, write
from yun.base.errors import Invalid, NoCapacity
from yun.images.appliance import ApplianceDisk, is_archive, read, take


def refused(tmp_path: Path, content: bytes) -> str:
    """Why an OVA is not accepted."""
    with pytest.raises(Invalid) as caught:
        read(write(tmp_path / "a.ova", content))
    return caught.value.message.render("en")


def test_a_sound_ova_says_what_machine_it_is(tmp_path: Path) -> None:
    three = {f"d{n}.vmdk": vmdk(text=b"%d" % n) for n in (1, 2, 3)}
    wanted = Wanted(files=three, nics=("E1000", "VmxNet3", "virtio"), firmware="efi")
    found = read(write(tmp_path / "a.ova", ova(wanted)))
    assert (found.name, found.os, found.vcpus, found.memory_mib) == ("old-server", "Debian 10", 2, 1024)
    assert found.firmware == "uefi"
    assert [(d.file, d.capacity, d.bus) for d in found.disks] == [(n, GIB, "sata") for n in three]
    assert found.nics == ("e1000", "e1000", "virtio")
    assert found.checked
    assert not found.warnings


@pytest.mark.parametrize(
    ("controller", "bus"),
    [(("5", ""), "sata"), (("20", "AHCI"), "sata"), (("6", "VirtualSCSI"), "sata"), (("6", "VirtioSCSI"), "scsi")],
)
def test_controllers_become_buses_that_their_guests_know(
    tmp_path: Path, controller: tuple[str, str], bus: str
) -> None:
    found = read(write(tmp_path / "a.ova", ova(Wanted(controller=controller))))
    assert [d.bus for d in found.disks] == [bus]


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
def test_every_kind_of_manifest_is_held_against_the_description_and_the_disks(tmp_path: Path, algorithm: str) -> None:
    path = write(tmp_path / "a.ova", ova(algorithm=algorithm))
    disk = read(path).disks[0]
    target = tmp_path / "d.vmdk"
    assert take(path, disk, str(target), room=GIB, progress=lambda _f: None) == target.stat().st_size
    assert target.read_bytes() == vmdk(text=b"one")


def test_without_a_manifest_it_is_taken_with_a_warning(tmp_path: Path) -> None:
    found = read(write(tmp_path / "a.ova", ova(algorithm=None)))
    assert not found.checked
    assert "manifest" in found.warnings[0].render("en")


def test_a_changed_disk_is_found_while_it_is_read(tmp_path: Path) -> None:
    files = {"vm.ovf": ovf(Wanted()), "d1.vmdk": vmdk(text=b"one")}
    path = write(
        tmp_path / "a.ova", tar([("vm.ovf", files["vm.ovf"]), ("vm.mf", manifest(files)), ("d1.vmdk", vmdk(text=b"2"))])
    )
    disk = read(path).disks[0]
    with pytest.raises(Invalid) as caught:
        take(path, disk, str(tmp_path / "d"), room=GIB, progress=lambda _f: None)
    assert "d1.vmdk" in caught.value.message.render("en")


def test_a_changed_description_is_refused_at_once(tmp_path: Path) -> None:
    files = {"vm.ovf": ovf(Wanted()), **Wanted().files}
    changed = ovf(Wanted(vcpus="64"))
    said = refused(tmp_path, tar([("vm.ovf", changed), ("vm.mf", manifest(files)), *Wanted().files.items()]))
    assert "vm.ovf" in said
    assert "manifest" in said


def test_a_manifest_that_leaves_a_disk_out_names_a_missing_one_or_says_nothing_is_refused(tmp_path: Path) -> None:
    description = ovf(Wanted())
    disk = Wanted().files["d1.vmdk"]
    for sums, name in (
        (manifest({"vm.ovf": description}), "d1.vmdk"),
        (manifest({"vm.ovf": description, "d1.vmdk": disk, "gone.vmdk": b""}), "gone.vmdk"),
        (b"not a manifest at all\n", "not a manifest"),
        (b"SHA256(vm.ovf)= 1234\n", "1234"),
    ):
        said = refused(tmp_path, tar([("vm.ovf", description), ("vm.mf", sums), ("d1.vmdk", disk)]))
        assert name in said


def test_a_missing_disk_is_named(tmp_path: Path) -> None:
    assert "d2.vmdk" in refused(tmp_path, ova(Wanted(described=["d1.vmdk", "d2.vmdk"])))


@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "/etc/passwd", "a/../../b", "..", "a\\..\\b"])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    assert name in refused(tmp_path, tar([("vm.ovf", ovf(Wanted())), (name, b"x")]))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("d1.vmdk")
    info.type, info.linkname = kind, "/etc/shadow"
    said = refused(tmp_path, tar([("vm.ovf", ovf(Wanted()))], [info]))
    assert "d1.vmdk" in said
    assert "link" in said


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    assert "twice" in refused(tmp_path, tar([("vm.ovf", ovf(Wanted())), ("a", b"1"), ("a", b"2")]))


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    assert "more than 100" in refused(tmp_path, tar([(f"f{n}", b"") for n in range(101)]))


def test_a_header_that_claims_to_be_huge_is_not_read(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 4 * GIB
    assert "claims to be" in refused(tmp_path, info.tobuf(tarfile.USTAR_FORMAT) + bytes(1024))


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    whole = ova(Wanted(files={"d1.vmdk": vmdk(text=bytes(100000))}))
    for length in (100, 600, len(whole) // 2):
        assert "cut off" in refused(tmp_path, whole[:length])


def test_what_is_no_tar_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"hello", bytes(20480), vmdk()):
        assert "The OVA is not accepted" in refused(tmp_path, content)


BOMB = b"""<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;">]><Envelope>&c;</Envelope>"""
OUTSIDE = b"""<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a SYSTEM "file:///etc/passwd">]><Envelope>&a;</Envelope>"""


@pytest.mark.parametrize("text", [BOMB, OUTSIDE])
def test_xml_that_defines_entities_is_refused(tmp_path: Path, text: bytes) -> None:
    assert "entities" in refused(tmp_path, tar([("vm.ovf", text)]))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (b"<a", "no XML"), (b"<a/>", "no OVF"), (b"", "no XML"), (b"<Envelope/>", "0 machines"),
        (b"<Envelope><VirtualSystem/><VirtualSystem/></Envelope>", "2 machines"),
        (b"<Envelope><VirtualSystem/></Envelope>", "no hardware"),
        (b"<Envelope><VirtualSystem><VirtualHardwareSection/></VirtualSystem></Envelope>", "no disk"),
        (b"x" * (5 * 1024**2), "too long"),
    ],
)  # fmt: skip
def test_descriptions_that_are_none_are_refused(tmp_path: Path, text: bytes, word: str) -> None:
    assert word in refused(tmp_path, tar([("vm.ovf", text)]))


@pytest.mark.parametrize(
    ("wanted", "word"),
    [
        (Wanted(capacity="-1"), "capacity"), (Wanted(capacity="${size}"), "capacity"),
        (Wanted(capacity="9" * 30), "capacity"), (Wanted(units="parsec"), "parsec"),
        (Wanted(vcpus="many"), "VirtualQuantity"), (Wanted(compression="bzip2"), "bzip2"),
        (Wanted(nics=("E1000",) * 9), "9 network cards"), (Wanted(files={f"d{n}": b"" for n in range(17)}), "17 disks"),
    ],
)
def test_claims_that_make_no_sense_are_refused(tmp_path: Path, wanted: Wanted, word: str) -> None:
    assert word in refused(tmp_path, ova(wanted))


def test_a_disk_that_stands_on_another_and_one_in_pieces_are_refused(tmp_path: Path) -> None:
    text = ovf(Wanted())
    for change, word in (
        ((b'ovf:diskId="k0"', b'ovf:diskId="k0" ovf:parentRef="k1"'), "stands on another"),
        ((b'ovf:id="f0"', b'ovf:id="f0" ovf:chunkSize="1000"'), "pieces"),
        ((b"ovf:/disk/k0", b"ovf:/disk/other"), "other"),
        ((b'ovf:fileRef="f0"', b'ovf:fileRef="f9"'), "f9"),
    ):
        assert word in refused(tmp_path, tar([("vm.ovf", text.replace(*change)), *Wanted().files.items()]))


def test_a_packed_disk_is_unpacked_and_its_checksum_is_that_of_what_lies_in_the_tar(tmp_path: Path) -> None:
    disk = vmdk(text=b"packed")
    path = write(tmp_path / "a.ova", ova(Wanted(files={"d1.vmdk.gz": gzip.compress(disk)}, compression="gzip")))
    take(path, read(path).disks[0], str(tmp_path / "d"), room=GIB, progress=lambda _f: None)
    assert (tmp_path / "d").read_bytes() == disk


def test_what_unpacks_to_more_than_it_claims_or_fits_is_stopped(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(200 * 1024**2))
    path = write(tmp_path / "bomb", bomb)
    small = ApplianceDisk("d", 1024**2, "sata", gzip=True, size=len(bomb))
    with pytest.raises(Invalid, match="not accepted") as caught:
        take(path, small, str(tmp_path / "d"), room=GIB, progress=lambda _f: None)
    assert "larger than the disk" in caught.value.message.render("en")
    large = ApplianceDisk("d", GIB, "sata", gzip=True, size=len(bomb))
    with pytest.raises(NoCapacity):
        take(path, large, str(tmp_path / "d"), room=1024**2, progress=lambda _f: None)
    for broken, size in ((bomb[:1000], 1000), (b"no gzip", 7)):
        where = write(tmp_path / "broken", broken)
        with pytest.raises(Invalid):
            take(where, ApplianceDisk("d", GIB, "sata", gzip=True, size=size), str(tmp_path / "d"), room=GIB,
                 progress=lambda _f: None)  # fmt: skip


def test_an_archive_is_told_from_a_disk(tmp_path: Path) -> None:
    assert is_archive(write(tmp_path / "a", ova()))
    assert not is_archive(write(tmp_path / "b", vmdk()))
    assert not is_archive(write(tmp_path / "c", b"short"))
