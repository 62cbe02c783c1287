"""Scenes of volumes that are moved, copied and limited: in machines that run, that are off, and on their own."""

from __future__ import annotations

from tests.house.story import MAKE_VOLUME, Ask, Scene, instance
from yun.compute import service as compute
from yun.storage import service as storage

MAKE_POOL: Ask = lambda ctx: storage.create_pool(  # noqa: E731
    ctx, name="p2", path=str(ctx.settings.state_dir / "pool2")
)


def moved(name: str) -> Ask:
    """Ask for the move of a volume."""
    return lambda ctx: compute.move(ctx, storage.get_volume(ctx, name), "p2")


SCENES: dict[str, Scene] = {
    "volume.move": Scene(moved("m1"), (instance(), MAKE_POOL)),
}
MORE: dict[str, Scene] = {
    "volume.move of a stopped machine": Scene(moved("m1"), (instance(start=False), MAKE_POOL)),
    "volume.move on its own": Scene(moved("v1"), (MAKE_VOLUME, MAKE_POOL)),
}
"""Further scenes of the same kinds, walked by the same tests."""
