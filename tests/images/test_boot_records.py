"""Which firmware starts from a CD: found in its boot catalogue when it comes in, and told."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pycdlib
import pytest

from tests.images.conftest import ImageCloud
from yun.images import service
from yun.images.boot_records import SECTOR, boot_records
from yun.images.model import Image
from yun.operations.model import State


def disc(*platforms: str) -> bytes:
    """A CD with a boot record for each of the platforms."""
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, vol_ident="DISC")
    for name in ("README", *(f"B{n}" for n, _platform in enumerate(platforms))):
        content = name.encode().ljust(4 * SECTOR, b"\0")
        iso.add_fp(io.BytesIO(content), len(content), f"/{name}.;1")
    for number, platform in enumerate(platforms):
        uefi = platform == "uefi"
        iso.add_eltorito(f"/B{number}.;1", bootcatfile="/CAT.;1", efi=uefi, platform_id=0xEF if uefi else 0)
    out = io.BytesIO()
    iso.write_fp(out)
    iso.close()
    return out.getvalue()


def found(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "cd.iso"
    path.write_bytes(content)
    return boot_records(str(path))


@pytest.mark.parametrize(
    ("platforms", "told"),
    [((), "none"), (("bios",), "bios"), (("uefi",), "uefi"), (("bios", "uefi"), "bios uefi")],
)
def test_the_boot_catalogue_says_which_firmware_starts(tmp_path: Path, platforms: tuple[str, ...], told: str) -> None:
    assert found(tmp_path, disc(*platforms)) == told


def test_a_catalogue_that_is_spoilt_or_leads_nowhere_starts_nothing(tmp_path: Path) -> None:
    whole = bytearray(disc("bios"))
    record = 17 * SECTOR
    assert whole[record + 7 : record + 30] == b"EL TORITO SPECIFICATION"
    at = int.from_bytes(whole[record + 71 : record + 75], "little") * SECTOR
    for place, value in ((at, 9), (at + 30, 0), (at + 32, 0), (record + 74, 0x7F), (record + 7, 0)):
        spoilt = bytearray(whole)
        spoilt[place] = value
        assert found(tmp_path, bytes(spoilt)) == "none", place - at
    hybrid = bytearray(disc())
    hybrid[510:512] = b"\x55\xaa"
    assert found(tmp_path, bytes(hybrid)) == "none", "a partition table is for sticks, not for CDs"
    assert found(tmp_path, bytes(whole[: 16 * SECTOR + 100])) == "none"


@pytest.mark.parametrize(
    ("platforms", "firmware", "fault"),
    [
        ((), "bios", "has no boot record"), ((), "uefi", "has no boot record"),
        (("bios",), "uefi-secure", "for BIOS only"), (("uefi",), "bios", "for UEFI only"), (("bios",), "bios", ""),
        (("bios", "uefi"), "uefi", ""),
    ],
)  # fmt: skip
def test_a_cd_that_comes_in_is_examined_and_its_fault_is_told(
    cloud: ImageCloud, platforms: tuple[str, ...], firmware: str, fault: str
) -> None:
    done = cloud.bring("cd", disc(*platforms))
    assert done.state == State.SUCCEEDED, done.error
    image = cloud.image("cd")
    assert image.kind == "iso"
    assert image.boots == (" ".join(platforms) or "none")
    said = service.boot_fault(image, firmware)
    assert (fault in said.render()) if fault else said is None, said
    with cloud.asking() as ctx:
        for query, matches in (("boots:none", not platforms), ("boots:uefi", "uefi" in platforms)):
            assert bool(service.list_images(ctx, q=query).items) == matches


def test_what_is_no_cd_and_what_was_not_examined_is_not_spoken_of(cloud: ImageCloud) -> None:
    cloud.bring("disk")
    assert cloud.image("disk").boots == ""
    values: dict[str, Any] = {"kind": "iso", "name": "old", "boots": ""}
    assert service.boot_fault(Image(**values), "bios") is None
