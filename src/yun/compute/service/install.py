"""Installing from a CD: the drives of a new instance, and in which turn it tries them."""

from __future__ import annotations

from yun.base.context import Context
from yun.base.ids import new_id
from yun.base.messages import Message, _
from yun.compute.media.model import CdDrive
from yun.compute.model import Instance
from yun.compute.service.bus_fit import IDE
from yun.compute.service.media import usable_cd
from yun.images.model import Image

INSTALL_SLOTS = {"sata": ("sdi", "sdj"), IDE: ("hdb", "hdc")}
"""On SATA, which installers know, or on IDE, beside the letter that a disk of theirs has."""


def drives_for(ctx: Context, row: Instance, image: Image, driver: Image | None, disk_bus: str) -> list[CdDrive]:
    """The CD drives of a new instance: none for an image of a disk. Beside a disk on IDE they are there too, since who
    asks for that has a system which knows nothing else. The CD's turn comes after the disk's: while that is empty the
    machine starts from the CD, and once a system is on it, from the disk, whoever restarts it and how."""
    if image.kind != "iso":
        return []
    bus = IDE if disk_bus == IDE else "sata"
    discs = [image, driver] if driver is not None else [image]
    for disc in discs:
        usable_cd(ctx, row.project_id, row.host_id, disc)
    return [
        CdDrive(
            id=new_id(CdDrive.PREFIX), instance_id=row.id, slot=slot, bus=bus, image_id=disc.id,
            image_name=disc.name, layer_id=disc.layer_id, boot_order=2 if disc is image else None,
        )
        for slot, disc in zip(INSTALL_SLOTS[bus], discs, strict=False)
    ]  # fmt: skip


def effects(drives: list[CdDrive]) -> tuple[Message, ...]:
    """What a person wants to know of them beforehand."""
    told = []
    for drive in drives:
        if drive.boot_order:
            told.append(_("It starts from the CD {image} as long as its disk is empty, and then from the disk.",
                          image=drive.image_name))  # fmt: skip
        else:
            told.append(_("{image} lies in a second CD drive.", image=drive.image_name))
    return tuple(told)
