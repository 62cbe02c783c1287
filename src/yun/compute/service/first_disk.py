"""The first disk of a new instance: on which bus it is, of which format its file is, and what either means."""

from __future__ import annotations

from dataclasses import dataclass, replace

from yun.base.context import Context
from yun.base.errors import Invalid
from yun.base.messages import Message, _
from yun.base.units import format_size
from yun.compute import hardware as parts
from yun.compute.model import Instance
from yun.compute.service.bus_fit import BUSES, IDE
from yun.compute.service.disk_ways import DiskWish
from yun.compute.service.slots import slots_of
from yun.images.model import Image
from yun.storage import service as storage
from yun.storage.service import VolumePlan

USUAL = {"virtio": "virtio", "compatible": "sata"}
"""The bus of the first disk by the image's hardware, where nobody says another one."""


@dataclass(frozen=True)
class FirstDisk(DiskWish):
    """How it is wished for. ``bus`` empty: one that the image has a driver for."""

    bus: str = ""
    format: str = "qcow2"


@dataclass(frozen=True)
class FirstPlan:
    """The volume before it is, its place, and the layer that is copied into it (empty: it stands on that)."""

    volume: VolumePlan
    slot: str
    bus: str
    copied: str = ""


def plan_first(ctx: Context, row: Instance, wish: FirstDisk, image: Image, size_bytes: int) -> FirstPlan:
    """Plan the disk. A raw one of an image becomes a copy of that, since a raw file stands on nothing; one on IDE gives
    the machine the type that has the bus (in ``row.hardware``). Raises `Invalid` naming the field, and as planning a
    volume does."""
    bus = wish.bus or USUAL[image.hardware]
    if bus not in BUSES:
        raise Invalid(
            _("There is no bus {bus}.", bus=bus[:40]), fields={"bus": _("one of {names}", names=", ".join(BUSES))}
        )
    if bus == IDE:
        if row.firmware == "uefi-secure":
            raise Invalid(
                _("The image needs Secure Boot, and no machine with an IDE bus has that."),
                fields={"bus": _("sata, or another one")},
            )
        row.hardware = parts.stored(replace(parts.PLAIN, machine="pc"))
    base = None if image.kind == "iso" else image.layer_id
    volume = storage.plan_volume(
        ctx, name=row.name, size_bytes=size_bytes, layer_id=base, project_id=row.project_id
    )
    volume = storage.in_format(volume, wish.format)
    copied = base if base is not None and volume.format == "raw" else ""
    return FirstPlan(volume, slots_of(bus)[0], bus, copied)


def said_first(plan: FirstPlan, image: Image, *, card: str) -> tuple[Message, ...]:
    """What is not usual of it, for the preview."""
    said = list(storage.said_format(plan.volume))
    if plan.copied and plan.volume.layer is not None:
        said.append(
            _("A raw file stands on no image: all data of {image} ({size}) is copied into it first, which takes a "
              "while.", image=image.name, size=format_size(plan.volume.layer.file_bytes))
        )  # fmt: skip
    if image.hardware == "compatible" and plan.bus == USUAL["compatible"]:
        said.append(_("Its disk is on SATA and its network card an e1000, as the image says."))
    elif plan.bus != USUAL[image.hardware]:
        said.append(_("Its disk is {slot} ({bus}).", slot=plan.slot, bus=plan.bus))
        said.append(
            _("The image says that its system has no driver for {bus}: without one it does not start.", bus=plan.bus)
            if image.hardware == "compatible" and plan.bus in ("virtio", "scsi")
            else _("Its system must have a driver for {bus} to start from it.", bus=plan.bus)
        )
        if card != "virtio":
            said.append(_("Its network card is an e1000, as the image says."))
    if plan.bus == IDE:
        said.append(_("Its machine type is pc, the only one that has an IDE bus."))
    return tuple(said)
