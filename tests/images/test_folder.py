"""An OVF with its files beside it is read, checked and sent as the OVA it would be; nothing leads out of its folder."""

from __future__ import annotations

import os
import random
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.images.ova import Wanted, manifest, ovf, vmdk
from yun.base.errors import Invalid
from yun.images.appliance import read, take
from yun.images.appliance.folder import Packed, is_folder, pack

THREE = {f"d{n}.vmdk": vmdk(text=b"disk %d" % n) for n in (1, 2, 3)}


def folder(path: Path, wanted: Wanted | None = None, *, sums: bool = True, **more: bytes) -> Path:
    """A folder with an OVF, its manifest and its disks."""
    wanted = wanted or Wanted(files=dict(THREE))
    path.mkdir(exist_ok=True)
    text = ovf(wanted)
    files = {"vm.ovf": text, **wanted.files, **more}
    if sums:
        files["vm.mf"] = manifest({"vm.ovf": text, **wanted.files})
    for name, content in files.items():
        (path / name).write_bytes(content)
    return path


@contextmanager
def refused(word: str) -> Iterator[None]:
    """It is not accepted, and the reason says so."""
    with pytest.raises(Invalid) as caught:
        yield
    assert word in caught.value.message.render()


def content(packed: Packed) -> bytes:
    """All of it."""
    with packed.open() as file:
        return file.read()


@pytest.mark.parametrize("way", ["folder", "description"])
def test_three_disks_beside_their_description_are_read_as_one(tmp_path: Path, way: str) -> None:
    where = folder(tmp_path / "machine")
    path = where if way == "folder" else where / "vm.ovf"
    assert is_folder(path)
    packed = pack(path)
    found = read(packed)
    assert found.checked
    assert [disk.file for disk in found.disks] == ["d1.vmdk", "d2.vmdk", "d3.vmdk"]
    made = tmp_path / "made.ova"
    made.write_bytes(content(packed))
    assert made.stat().st_size == packed.length
    assert packed.name == "vm.ova"
    assert read(str(made)) == found, "what arrives is what was looked at"
    with tarfile.open(made) as tar:
        assert tar.getnames() == ["vm.ovf", "vm.mf", "d1.vmdk", "d2.vmdk", "d3.vmdk"]
    for disk in found.disks:
        take(str(made), disk, str(tmp_path / "out"), room=1 << 30, progress=lambda _part: None)
        assert (tmp_path / "out").read_bytes() == THREE[disk.file]


def test_it_is_the_same_each_time_and_read_from_anywhere(tmp_path: Path) -> None:
    packed = pack(folder(tmp_path / "machine"))
    whole = content(packed)
    os.utime(tmp_path / "machine" / "d1.vmdk")
    assert content(pack(tmp_path / "machine")) == whole, "an upload that broke off goes on"
    chance = random.Random(7)
    with packed.open() as file:
        for _round in range(300):
            at, count = chance.randrange(packed.length + 10), chance.randrange(3000)
            file.seek(at)
            assert file.read(count) == whole[at : at + count]


def test_only_what_belongs_to_it_goes_along(tmp_path: Path) -> None:
    where = folder(tmp_path / "machine", **{"secret.txt": b"mine"})
    assert b"secret" not in content(pack(where))


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/b.vmdk", "..", "a\\b.vmdk"])
def test_names_that_lead_out_of_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    where = folder(tmp_path / "machine", Wanted(files={"d1.vmdk": vmdk()}, described=[name]), sums=False)
    with refused("leads outside"):
        read(pack(where))


def test_a_manifest_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    where = folder(tmp_path / "machine")
    (where / "vm.mf").write_bytes(b"SHA256(../../etc/passwd)= " + b"0" * 64 + b"\n")
    with refused("outside"):
        pack(where)


def test_links_are_refused_wherever_they_lead(tmp_path: Path) -> None:
    for victim in ("d2.vmdk", "vm.ovf", "vm.mf"):
        where = folder(tmp_path / f"machine-{victim}")
        (where / victim).unlink()
        (where / victim).symlink_to("/etc/passwd")
        with refused("link"):
            pack(where)
    where = folder(tmp_path / "machine")
    (where / "d3.vmdk").unlink()
    (where / "d3.vmdk").mkdir()
    with refused("link"):
        pack(where)


def test_a_missing_disk_is_named(tmp_path: Path) -> None:
    where = folder(tmp_path / "machine", sums=False)
    (where / "d2.vmdk").unlink()
    with pytest.raises(Invalid) as caught:
        read(pack(where))
    assert "d2.vmdk" in caught.value.message.render()
    where = folder(tmp_path / "machine")
    (where / "d2.vmdk").unlink()
    with pytest.raises(Invalid) as caught:
        read(pack(where))
    assert "d2.vmdk" in caught.value.message.render()


def test_a_wrong_manifest_is_found(tmp_path: Path) -> None:
    where = folder(tmp_path / "machine")
    text = (where / "vm.ovf").read_bytes()
    (where / "vm.ovf").write_bytes(text.replace(b"old-server", b"new-server"))
    with refused("manifest"):
        read(pack(where))
    where = folder(tmp_path / "machine")
    (where / "d3.vmdk").write_bytes(vmdk(text=b"another"))
    made = tmp_path / "made.ova"
    made.write_bytes(content(pack(where)))
    third = read(str(made)).disks[2]
    with refused("manifest"):
        take(str(made), third, str(tmp_path / "out"), room=1 << 30, progress=lambda _part: None)


def test_no_description_and_several_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with refused("no description"):
        pack(tmp_path / "empty")
    where = folder(tmp_path / "machine")
    (where / "other.ovf").write_bytes(b"<Envelope/>")
    with refused("2 files"):
        pack(where)
    assert pack(where / "vm.ovf").name == "vm.ova", "the one that was named is meant"


def test_long_names_and_a_file_that_becomes_shorter_are_told(tmp_path: Path) -> None:
    name = "d" * 180 + ".vmdk"
    where = folder(tmp_path / "machine", Wanted(files={name: vmdk()}))
    made = tmp_path / "made.ova"
    made.write_bytes(content(pack(where)))
    assert read(str(made)).disks[0].file == name
    packed = pack(where)
    (where / name).write_bytes(b"")
    with pytest.raises(OSError, match="shorter"):
        content(packed)
