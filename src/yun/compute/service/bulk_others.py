"""The same change of many images, or networks (`yun.operations.service.many`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from yun.base.messages import _
from yun.base.tags import changed_tags
from yun.images import service as images
from yun.images.model import Image
from yun.network import service as network
from yun.network.model import Network
from yun.operations.service.many import MOST, Many


@dataclass(frozen=True)
class TagsWish:
    """Which tags each shall have, and which none."""

    add_tags: Sequence[str] = ()
    remove_tags: Sequence[str] = ()


IMAGES: Many[Image, TagsWish] = Many(
    noun="image", get=images.get, find=images.ids_of,
    calls={
        "delete": lambda ctx, row, _wish: images.delete(ctx, row),
        "tag": lambda ctx, row, wish: images.tag(ctx, row, changed_tags(row.tags, wish.add_tags, wish.remove_tags)),
    },
    titles={
        "delete": lambda count: _("Delete {count} images", count=count),
        "tag": lambda count: _("Tag {count} images", count=count),
    },
    none=_("Choose at least one image."), too_many=_("These are more than {most} images.", most=MOST),
)  # fmt: skip
NETWORKS: Many[Network, TagsWish] = Many(
    noun="network", get=network.get_network, find=lambda ctx, q, most: network.ids_of(ctx, Network, q, most),
    calls={
        "delete": lambda ctx, row, _wish: network.delete_network(ctx, row),
        "tag": lambda ctx, row, wish: network.tag_network(
            ctx, row, changed_tags(row.tags, wish.add_tags, wish.remove_tags)
        ),
    },
    titles={
        "delete": lambda count: _("Delete {count} networks", count=count),
        "tag": lambda count: _("Tag {count} networks", count=count),
    },
    none=_("Choose at least one network."), too_many=_("These are more than {most} networks.", most=MOST),
)  # fmt: skip
