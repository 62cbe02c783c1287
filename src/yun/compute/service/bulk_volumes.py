"""The same change of many volumes (`yun.operations.service.many`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from yun.base.context import Context
from yun.base.errors import Invalid
from yun.base.messages import Message, _
from yun.base.tags import changed_tags
from yun.compute.service import disks
from yun.compute.service.move import move
from yun.operations.intent import Intent
from yun.operations.service.many import MOST, Many
from yun.storage import service as storage
from yun.storage.model import Volume


@dataclass(frozen=True)
class VolumesWish:
    """What a change of many volumes may say more; None: nothing."""

    pool: str | None = None
    add_tags: Sequence[str] = ()
    remove_tags: Sequence[str] = ()
    timeout: int | None = None


def _detach(ctx: Context, row: Volume, wish: VolumesWish) -> Intent:
    return disks.detach(ctx, row, timeout=disks.DETACH_SECONDS if wish.timeout is None else wish.timeout)


def _move(ctx: Context, row: Volume, wish: VolumesWish) -> Intent:
    if wish.pool is None:
        raise Invalid(_("To which pool?"), fields={"pool": _("a pool by name or id")})
    return move(ctx, row, wish.pool)


def _tag(ctx: Context, row: Volume, wish: VolumesWish) -> Intent:
    return storage.tag_volume(ctx, row, changed_tags(row.tags, wish.add_tags, wish.remove_tags))


CALLS: dict[str, Callable[[Context, Volume, VolumesWish], Intent]] = {
    "delete": lambda ctx, row, _wish: storage.delete_volume(ctx, row),
    "detach": _detach,
    "move": _move,
    "tag": _tag,
}
TITLES: dict[str, Callable[[int], Message]] = {
    "delete": lambda count: _("Delete {count} volumes", count=count),
    "detach": lambda count: _("Detach {count} volumes", count=count),
    "move": lambda count: _("Move {count} volumes", count=count),
    "tag": lambda count: _("Tag {count} volumes", count=count),
}
MANY: Many[Volume, VolumesWish] = Many(
    noun="volume", get=storage.get_volume, find=storage.ids_of, calls=CALLS, titles=TITLES,
    none=_("Choose at least one volume."), too_many=_("These are more than {most} volumes.", most=MOST),
)  # fmt: skip
