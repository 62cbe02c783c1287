"""Which firmware starts a machine from a CD, as its boot catalogue says; and what a person is told of it."""

from __future__ import annotations

import os
from collections.abc import Sequence

from yun.base.messages import Message, _
from yun.images.model import Image

SECTOR = 2048
FIRST_DESCRIPTOR, MOST_DESCRIPTORS = 16, 64
EL_TORITO = b"EL TORITO SPECIFICATION"
PLATFORMS = {0x00: "bios", 0xEF: "uefi"}
BOOTABLE = 0x88
SECTIONS = (0x90, 0x91)
ENTRY = 32
NONE = "none"
"""What the column says of a CD that starts nothing; empty is one that was not looked at."""


def boot_records(path: str) -> str:
    """The firmwares that start from an ISO 9660 file, in one word each (``bios``, ``uefi``), or ``none``.

    As El Torito has it: a volume descriptor leads to a catalogue, whose entries say of which platform they are. A
    partition table beside that (of a hybrid, for USB sticks) starts no machine that has the file as a CD.
    """
    with open(path, "rb", buffering=0) as file:
        descriptor = file.fileno()
        for number in range(MOST_DESCRIPTORS):
            found = os.pread(descriptor, SECTOR, (FIRST_DESCRIPTOR + number) * SECTOR)
            if len(found) < SECTOR or found[1:6] != b"CD001" or found[0] == 0xFF:
                break
            if found[0] == 0 and found[7:39].rstrip(b"\0") == EL_TORITO:
                at = int.from_bytes(found[71:75], "little")
                return " ".join(_platforms(os.pread(descriptor, SECTOR, at * SECTOR))) or NONE
    return NONE


def _platforms(catalogue: bytes) -> list[str]:
    """The platforms of all bootable entries, each once."""
    entries = [catalogue[at : at + ENTRY] for at in range(0, len(catalogue), ENTRY)]
    if len(entries) < 2 or entries[0][0] != 1 or entries[0][30:32] != b"\x55\xaa":
        return []
    platform, found = entries[0][1], []
    for entry in entries[1:]:
        if entry[0] in SECTIONS:
            platform = entry[1]
        elif entry[0] == BOOTABLE:
            found.append(PLATFORMS.get(platform, ""))
        elif not any(entry):
            break
    return sorted({name for name in found if name})


def boot_fault(image: Image, firmware: str) -> Message | None:
    """Why a machine with this firmware will not start from the CD; None where it does, or nobody looked."""
    if image.kind != "iso" or not image.boots:
        return None
    if image.boots == NONE:
        return _("{image} has no boot record: a machine will not start from it.", image=image.name)
    if firmware.startswith("uefi") and "uefi" not in image.boots.split():
        return _("{image} has a boot record for BIOS only: a machine with UEFI will not start from it.",
                 image=image.name)  # fmt: skip
    if not firmware.startswith("uefi") and "bios" not in image.boots.split():
        return _("{image} has a boot record for UEFI only: a machine with BIOS will not start from it.",
                 image=image.name)  # fmt: skip
    return None


def boot_faults(images: Sequence[Image | None], firmware: str) -> tuple[Message, ...]:
    """The same of several, for a preview."""
    told = [boot_fault(image, firmware) for image in images if image is not None]
    return tuple(text for text in told if text is not None)


def boot_word(image: Image) -> Message:
    """What starts from it, for people."""
    words: dict[str, Message] = {
        "": _("not examined"), NONE: _("nothing: it has no boot record"), "bios": _("BIOS"), "uefi": _("UEFI"),
        "bios uefi": _("BIOS and UEFI"),
    }  # fmt: skip
    return words[image.boots]
