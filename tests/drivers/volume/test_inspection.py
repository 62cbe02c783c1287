"""What a file is, is found by its bytes; a header that lies is refused before any tool opens the file."""

from __future__ import annotations

import io
import os
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from yun.base.errors import Invalid
from yun.base.units import GIB, MIB, TIB
from yun.drivers.volume.directory import seed
from yun.drivers.volume.inspection import sniff
from yun.drivers.volume.rules import check_references


def qcow2(
    virtual: int = GIB, *, version: int = 3, bits: int = 16, crypt: int = 0, features: int = 0, backing: bytes = b"",
    l1_size: int | None = None, name_size: int | None = None, l1_at: int = 196608, snapshots: int = 0,
) -> bytes:  # fmt: skip
    """A qcow2 header written by hand, the rest of the file empty."""
    per = (1 << bits) * (1 << bits) // 8 if bits < 32 else 1
    entries = -(-max(virtual, 1) // per) if l1_size is None else l1_size
    at = 512 if backing else 0
    size = len(backing) if name_size is None else name_size
    head = struct.pack(
        ">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", version, at, size, bits, virtual & (1 << 64) - 1, crypt,
        entries & (1 << 32) - 1, l1_at, 65536, 1, snapshots, 0, features, 0, 0, 4, 104,
    )  # fmt: skip
    return head.ljust(512, b"\0") + backing.ljust(4 * 65536, b"\0")


def write(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "file"
    path.write_bytes(content)
    return str(path)


def refused(tmp_path: Path, content: bytes) -> str:
    with pytest.raises(Invalid) as caught:
        sniff(write(tmp_path, content))
    return caught.value.message.render("en")


@pytest.mark.parametrize("version", [2, 3])
def test_a_sound_qcow2_is_known_with_its_size(tmp_path: Path, version: int) -> None:
    found = sniff(write(tmp_path, qcow2(5 * GIB, version=version)))
    assert (found.format, found.virtual_bytes, found.backing, found.external_data) == ("qcow2", 5 * GIB, "", False)


def test_a_backing_file_is_told_and_refused_from_outside(tmp_path: Path) -> None:
    found = sniff(write(tmp_path, qcow2(backing=b"/etc/shadow")))
    assert found.backing == "/etc/shadow"
    for place in ("/srv/p/incoming/x", "/home/u/x", "/srv/p/heads/x", "/srv/p/layers/x"):
        with pytest.raises(Invalid) as caught:
            check_references(place, found.backing, data_file=False)
        assert "/etc/shadow" in caught.value.message.render("en")


@pytest.mark.parametrize("name", [b"\xff\xfe/etc/shadow", b"a\0b/etc/shadow", b"\x1b[2J/etc/shadow"])
def test_a_backing_file_whose_name_cannot_be_shown_is_refused_in_words_that_can(tmp_path: Path, name: bytes) -> None:
    said = refused(tmp_path, qcow2(backing=name))
    assert "?" in said
    assert "/etc/shadow" in said
    assert said.isprintable()


def test_only_a_finished_file_of_the_same_pool_may_be_stood_on() -> None:
    check_references("/srv/p/heads/x", "/srv/p/layers/y", data_file=False)
    check_references("/srv/p/heads/x", "/srv/p/heads/y", data_file=False)
    check_references("/srv/p/layers/x", "/srv/p/layers/y", data_file=False)
    elsewhere = ("/srv/q/layers/y", "/srv/p/heads/x", "/srv/p/incoming/y", "/srv/p/layers/../../../etc/shadow")
    for backing in (*elsewhere, "layers/y", "json:{}"):
        with pytest.raises(Invalid):
            check_references("/srv/p/heads/x", backing, data_file=False)
    with pytest.raises(Invalid):
        check_references("/srv/p/incoming/x", "/srv/p/layers/y", data_file=False)
    with pytest.raises(Invalid):
        check_references("/srv/p/heads/x", "", data_file=True)


def test_an_external_data_file_is_told(tmp_path: Path) -> None:
    assert sniff(write(tmp_path, qcow2(features=4))).external_data


@pytest.mark.parametrize(
    "content",
    [
        qcow2(65 * TIB),
        qcow2(0),
        qcow2(2**63),
        qcow2(crypt=2),
        qcow2(features=2),
        qcow2(features=1 << 40),
        qcow2(version=1),
        qcow2(version=99),
        qcow2(bits=8),
        qcow2(bits=40),
        qcow2(l1_size=0),
        qcow2(l1_size=2**32 - 1),
        qcow2(l1_at=2**60),
        qcow2(snapshots=2**31),
        qcow2(backing=b"x", name_size=2**31),
        qcow2()[:60],
        b"QFI\xfb",
    ],
)
def test_a_lying_qcow2_header_is_refused(tmp_path: Path, content: bytes) -> None:
    assert "file" in refused(tmp_path, content)


def test_archives_and_texts_are_named_and_refused(tmp_path: Path) -> None:
    tar, box = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("bomb"))
    with zipfile.ZipFile(box, "w") as packed:
        packed.writestr("a", "b")
    assert "tar" in refused(tmp_path, tar.getvalue())
    assert "zip" in refused(tmp_path, box.getvalue())
    assert "gzip" in refused(tmp_path, b"\x1f\x8b" + b"\0" * 1022)
    assert "text" in refused(tmp_path, b"hello, I am a disk\n" * 512)
    assert "text" in refused(tmp_path, "你好，我是磁盘\n".encode() * 512)
    assert "empty" in refused(tmp_path, b"")
    assert "raw" in refused(tmp_path, b"\0" * 1000)


def test_raw_and_iso_are_what_is_left(tmp_path: Path) -> None:
    assert sniff(write(tmp_path, b"\0" * MIB)).format == "raw"
    boot = b"\xeb\x63\x90".ljust(510, b"\0") + b"\x55\xaa"
    found = sniff(write(tmp_path, boot + b"\0" * MIB))
    assert (found.format, found.virtual_bytes) == ("raw", MIB + 512)
    assert sniff(write(tmp_path, seed({"meta-data": b"a"}))).format == "iso"


def test_other_formats_are_known_by_their_magic(tmp_path: Path) -> None:
    vmdk = b"KDMV" + struct.pack("<IIQ", 1, 3, 2048) + b"\0" * 2000
    assert (sniff(write(tmp_path, vmdk)).format, sniff(write(tmp_path, vmdk)).virtual_bytes) == ("vmdk", MIB)
    vdi = (b"<<< Oracle VM VirtualBox Disk Image >>>\n".ljust(64, b"\0") + b"\x7f\x10\xda\xbe").ljust(368, b"\0")
    found = sniff(write(tmp_path, vdi + struct.pack("<Q", GIB) + b"\0" * 1000))
    assert (found.format, found.virtual_bytes) == ("vdi", GIB)
    assert sniff(write(tmp_path, b"vhdxfile" + b"\0" * 1016)).format == "vhdx"
    assert sniff(write(tmp_path, b"\0" * 1024 + b"conectix" + b"\0" * 504)).format == "vpc"
    assert "other files" in refused(tmp_path, b"# Disk DescriptorFile\nversion=1\nRW 1 FLAT /etc/shadow 0\n")


def test_a_huge_vmdk_or_vdi_is_refused(tmp_path: Path) -> None:
    assert "limit" in refused(tmp_path, b"KDMV" + struct.pack("<IIQ", 1, 3, 2**50) + b"\0" * 2000)


def test_a_pipe_and_a_directory_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Invalid):
        sniff(str(tmp_path / "pipe"))
    with pytest.raises(Invalid):
        sniff(str(tmp_path))
