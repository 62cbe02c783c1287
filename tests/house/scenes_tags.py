"""Scenes of tags."""

from __future__ import annotations

from tests.house.story import MAKE_NET, MAKE_VOLUME, Scene
from yun.images import service as images
from yun.network import service as network
from yun.storage import service as storage

SCENES: dict[str, Scene] = {
    "volume.tag": Scene(
        lambda ctx: storage.tag_volume(ctx, storage.get_volume(ctx, "v1"), ["a", "数据"]), (MAKE_VOLUME,)
    ),
    "image.tag": Scene(lambda ctx: images.tag(ctx, images.get(ctx, "tiny"), ["golden"])),
    "network.tag": Scene(lambda ctx: network.tag_network(ctx, network.get_network(ctx, "n1"), ["lab"]), (MAKE_NET,)),
}
