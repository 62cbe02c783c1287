"""Names, paths, checksums and formats that are refused, and those that are only unusual."""

from __future__ import annotations

import hashlib
import lzma
from pathlib import Path

import pytest

from tests.images.conftest import MEMBER, MIB, READER, ROOT, ImageCloud, disk, qcow2
from tests.images.test_import import refused
from yun.base.errors import Conflict, Forbidden, Invalid, NoCapacity
from yun.images import service
from yun.images.service import NewImage
from yun.operations.model import State


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """Nothing here depends on the kind of database."""
    return f"sqlite:///{tmp_path / 'yun.db'}"


def test_a_file_that_is_not_what_was_declared_is_refused(cloud: ImageCloud) -> None:
    assert "The file is {found}" in refused(cloud, disk(), format="qcow2")
    assert "The file is {found}" in refused(cloud, qcow2(), format="raw")


def test_a_wrong_checksum_is_refused_and_a_right_one_passes(cloud: ImageCloud) -> None:
    assert "checksum is wrong" in refused(cloud, disk(), checksum="sha256:" + "0" * 64)
    assert "checksum is wrong" in refused(cloud, disk(), checksum="0" * 128)
    right = hashlib.sha512(disk()).hexdigest()
    assert cloud.bring("good", disk(), checksum=right).state == State.SUCCEEDED


@pytest.mark.parametrize("checksum", ["md5:" + "0" * 32, "abc", "sha256:xyz", "crc:" + "0" * 64, "0" * 40])
def test_a_checksum_that_proves_nothing_is_refused(cloud: ImageCloud, checksum: str) -> None:
    with pytest.raises(Invalid) as error:
        cloud.bring("x", checksum=checksum)
    assert "checksum" in error.value.fields


@pytest.mark.parametrize(
    "name",
    ["-rf", "", "   ", "a/b", "..\\..", "a\nb", "a\0b", "x" * 300, "\u202eevil", "img_" + "0" * 26, "a\u2028b",
     "/etc/passwd"],
)
def test_names_that_cannot_be_kept_are_refused(cloud: ImageCloud, name: str) -> None:
    with pytest.raises(Invalid) as error, cloud.asking() as ctx:
        service.import_address(ctx, NewImage(name), "https://example.org/x.qcow2")
    assert "name" in error.value.fields


@pytest.mark.parametrize(
    "name", ["我的镜像 二号", "$(rm -rf ~); `id` | x > y & 'q' \"d\" <b>&amp;", "ë" * 100, "a -rf", "..", "%s{x}"]
)
def test_any_script_and_shell_characters_are_only_text(cloud: ImageCloud, name: str) -> None:
    assert cloud.bring(name).state == State.SUCCEEDED
    assert cloud.image(name).state == "active"
    with cloud.asking() as ctx:
        assert service.get(ctx, name).name == name


@pytest.mark.parametrize("path", ["relative", "/etc/../etc/shadow", "/x\0y", "", "//tmp/x", "/tmp/"])
def test_a_path_that_is_none_is_refused(cloud: ImageCloud, path: str) -> None:
    with pytest.raises(Invalid) as error, cloud.asking(ROOT) as ctx:
        service.import_file(ctx, NewImage("x"), path)
    assert "path" in error.value.fields


@pytest.mark.parametrize("path", ["/dev/zero", "/proc/kcore", "/tmp", "/nowhere/at/all", "/dev/stdin"])
def test_what_is_no_regular_file_is_refused(cloud: ImageCloud, path: str) -> None:
    operation = cloud.do(lambda ctx: service.import_file(ctx, NewImage("x"), path), actor=ROOT)
    assert operation.state == State.FAILED
    assert cloud.images() == {}
    assert cloud.incoming() == []


def test_only_administrators_read_files_of_the_host_and_readers_import_nothing(cloud: ImageCloud) -> None:
    with cloud.asking(MEMBER) as ctx, pytest.raises(Forbidden):
        service.import_file(ctx, NewImage("x"), "/etc/shadow")
    with cloud.asking(READER) as ctx, pytest.raises(Forbidden):
        service.import_address(ctx, NewImage("x"), "https://example.org/x.qcow2")
    with cloud.asking(MEMBER) as ctx, pytest.raises(Forbidden):
        service.import_address(ctx, NewImage("x", visibility="public"), "https://example.org/x.qcow2")
    with cloud.asking(MEMBER) as ctx, pytest.raises(Forbidden):
        service.build(ctx, "tiny")


def test_a_recipe_on_fakes_makes_an_image_with_its_properties(cloud: ImageCloud) -> None:
    operation = cloud.do(lambda ctx: service.build(ctx, "tiny", NewImage("tiny", visibility="public")), actor=ROOT)
    assert operation.state == State.SUCCEEDED
    image = cloud.image("tiny")
    assert (image.default_user, image.visibility, image.source, image.source_name) == (
        "root",
        "public",
        "recipe",
        "tiny",
    )
    with cloud.asking(ROOT) as ctx, pytest.raises(Invalid):
        service.build(ctx, "gentoo")


def test_an_installation_cd_is_kept_and_not_booted_as_a_disk(cloud: ImageCloud) -> None:
    content = bytearray(64 * 1024)
    content[32769:32774] = b"CD001"
    assert cloud.bring("cd", bytes(content)).state == State.SUCCEEDED
    assert (cloud.image("cd").kind, cloud.image("cd").format) == ("iso", "iso")
    with cloud.asking() as ctx, pytest.raises(Conflict):
        service.get_bootable(ctx, "cd")


def test_xz_is_unpacked_up_to_the_limit_and_no_further(tmp_path: object) -> None:
    from pathlib import Path

    from yun.images import fetch

    folder = Path(str(tmp_path))
    packed, out = folder / "a.xz", folder / "a"
    packed.write_bytes(lzma.compress(disk(5 * MIB)))
    fetch.unpack_xz(packed, out, 5 * MIB, lambda _p: None)
    assert out.read_bytes() == disk(5 * MIB)
    with pytest.raises(NoCapacity):
        fetch.unpack_xz(packed, out, 5 * MIB - 1, lambda _p: None)
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(Invalid):
        fetch.unpack_xz(packed, out, 50 * MIB, lambda _p: None)
