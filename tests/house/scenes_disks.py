"""Scenes of volumes that are moved, copied and limited: in machines that run, that are off, and on their own."""

from __future__ import annotations

from typing import Any

from tests.house.story import MAKE_VOLUME, Ask, Scene, instance
from yun.compute import service as compute
from yun.storage import service as storage

MAKE_POOL: Ask = lambda ctx: storage.create_pool(  # noqa: E731
    ctx, name="p2", path=str(ctx.settings.state_dir / "pool2")
)


def moved(name: str) -> Ask:
    """Ask for the move of a volume."""
    return lambda ctx: compute.move(ctx, storage.get_volume(ctx, name), "p2")


LIMITED = {"total_iops_sec": 500, "total_iops_sec_max": 900}


def attached(limits: dict[str, int], group: str = "") -> Ask:
    """Ask for v1 as a disk of m1."""
    return lambda ctx: compute.attach(
        ctx, storage.get_volume(ctx, "v1"), compute.get(ctx, "m1"), compute.Place(limits=limits, limit_group=group)
    )


def changed(slot: str, **values: Any) -> Ask:
    """Ask for another way of a disk of m1."""
    return lambda ctx: compute.change_disk(ctx, compute.get(ctx, "m1"), slot, compute.DiskChange(**values))


SCENES: dict[str, Scene] = {
    "instance.change_disk": Scene(
        changed("vda", limits={"total_iops_sec": 100}, limit_group="g", cache="writeback", serial="s1"),
        (instance(), MAKE_VOLUME, attached(LIMITED, "g")),
    ),
    "volume.move": Scene(moved("m1"), (instance(), MAKE_POOL)),
}
MORE: dict[str, Scene] = {
    "instance.change_disk of a stopped machine": Scene(
        changed("vda", limits={"read_bytes_sec": 4096}, io="native", discard=False), (instance(start=False),)
    ),
    "instance.change_disk that leaves its group": Scene(
        changed("vda", limit_group=""),
        (instance(), changed("vda", limits=LIMITED, limit_group="g"), MAKE_VOLUME, attached({}, "g")),
    ),
    "instance.drop_pending of a disk": Scene(
        lambda ctx: compute.drop_pending(ctx, compute.get(ctx, "m1")), (instance(), changed("vda", cache="unsafe"))
    ),
    "volume.change_bus to the old one": Scene(
        lambda ctx: compute.change_bus(ctx, storage.get_volume(ctx, "m1"), "ide"),
        (instance(start=False), lambda ctx: compute.configure(ctx, compute.get(ctx, "m1"), machine="pc")),
    ),
    "volume.attach with limits": Scene(attached(LIMITED), (instance(), MAKE_VOLUME)),
    "volume.move of a stopped machine": Scene(moved("m1"), (instance(start=False), MAKE_POOL)),
    "volume.move on its own": Scene(moved("v1"), (MAKE_VOLUME, MAKE_POOL)),
}
"""Further scenes of the same kinds, walked by the same tests."""
