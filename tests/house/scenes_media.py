"""Scenes of CD drives: inserted into machines that run, changed, ejected, removed; of the two buses."""

from __future__ import annotations

from typing import Any

from tests.house.story import Ask, Scene, instance, on
from yun.compute import service as compute
from yun.images import service as images


def insert(image: str = "debian-12-installer", name: str = "m1", **rest: Any) -> Ask:
    """Ask for a CD in a drive."""
    return lambda ctx: compute.insert(ctx, compute.get(ctx, name), images.get_iso(ctx, image), **rest)


def eject(name: str = "m1", **rest: Any) -> Ask:
    """Ask for a CD to be taken out."""
    return lambda ctx: compute.eject(ctx, compute.get(ctx, name), **rest)


START = on(compute.start)
SCENES: dict[str, Scene] = {
    "instance.insert": Scene(insert("virtio-win", slot="sdb"), (instance(start=False), insert(bus="scsi"), START)),
    "instance.eject": Scene(eject(), (instance(start=False), insert(bus="scsi"), START)),
}
MORE: dict[str, Scene] = {
    "instance.insert at the next start": Scene(insert(), (instance(),)),
    "instance.insert in place of another": Scene(insert("virtio-win", slot="sdb"), (instance(), insert(bus="scsi"))),
    "instance.eject with the drive": Scene(eject(remove=True), (instance(start=False), insert())),
}
"""Further scenes of the same kinds, walked by the same tests."""
