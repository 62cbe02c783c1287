"""Scenes of whole volumes: copied and made files of, whether a machine writes to them or not."""

from __future__ import annotations

from typing import Any

from tests.house.scenes_disks import MAKE_POOL
from tests.house.story import MAKE_VOLUME, Ask, Scene, instance, on
from yun.compute import service as compute
from yun.storage import service as storage


def of(verb: Any, volume: str, **values: Any) -> Ask:
    """Ask a verb of a volume."""
    return lambda ctx: verb(ctx, storage.get_volume(ctx, volume), **values)


DISK = on(compute.add_disk, size_bytes=1 << 30)
RAW = on(compute.add_disk, size_bytes=1 << 30, format="raw")
SCENES: dict[str, Scene] = {
    "volume.copy": Scene(of(compute.copy, "m1", name="c1"), (instance(),)),
    "instance.detach": Scene(
        on(compute.detach_disks, wish=compute.DetachWish(["vdb", "vdc"], trash=["vdc"])), (instance(), DISK, DISK)
    ),
    "volume.download": Scene(of(compute.download, "m1"), (instance(),), undoable=False),
}
MORE: dict[str, Scene] = {
    "instance.create with a raw disk": Scene(instance(disk=compute.FirstDisk(format="raw", bus="ide"))),
    "instance.add_disk in raw": Scene(RAW, (instance(),)),
    "instance.add_disk in raw while it is off": Scene(RAW, (instance(start=False),)),
    "instance.clone with a raw disk": Scene(on(compute.clone, wish=compute.CloneWish("c{n}")), (instance(), RAW)),
    "volume.move of a raw disk": Scene(of(compute.move, "m1-vdb", pool="p2"), (instance(), RAW, MAKE_POOL)),
    "volume.move of a raw disk while it is off": Scene(
        of(compute.move, "m1-vdb", pool="p2"), (instance(start=False), RAW, MAKE_POOL)
    ),
    "volume.flatten of what stands on a raw file": Scene(
        of(compute.flatten, "m1-vdb"),
        (instance(), RAW, on(compute.clone, wish=compute.CloneWish("c{n}", start=False))), undoable=False,
    ),
    "volume.copy of a stopped machine": Scene(
        of(compute.copy, "m1", pool="p2"), (instance(start=False), MAKE_POOL)
    ),
    "volume.copy on its own": Scene(of(compute.copy, "v1"), (MAKE_VOLUME,)),
    "volume.download on its own": Scene(of(compute.download, "v1", format="raw"), (MAKE_VOLUME,), undoable=False),
}
"""Further scenes of the same kinds, walked by the same tests."""
