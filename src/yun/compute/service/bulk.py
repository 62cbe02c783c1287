"""The same change of many instances: who can take it and who cannot is known before, what became of each after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from yun.base.context import Context
from yun.base.errors import Invalid
from yun.base.messages import Message, _
from yun.base.tags import changed_tags
from yun.compute.model import Instance
from yun.compute.service import edit, power, remove
from yun.compute.service.look import get, ids_of
from yun.compute.service.resize import resize
from yun.operations.intent import Intent
from yun.operations.service.many import LEFT_OUT, MOST, Many, Turn

__all__ = ["LEFT_OUT", "MANY", "MOST", "BulkWish", "Turn", "carry_out", "come_since", "meant", "plan", "together"]


@dataclass(frozen=True)
class BulkWish:
    """What a change of many may say more, as the change of one does; None: nothing."""

    flavor: str | None = None
    vcpus: int | None = None
    memory_mib: int | None = None
    add_tags: Sequence[str] = ()
    remove_tags: Sequence[str] = ()
    autostart: bool | None = None
    protected: bool | None = None
    on_crash: str | None = None
    shutdown_seconds: int | None = None
    timeout: int | None = None
    force: bool = False


Call = Callable[[Context, Instance, BulkWish], Intent]
POLICIES = ("autostart", "protected", "on_crash", "shutdown_seconds")


def _tag(ctx: Context, row: Instance, wish: BulkWish) -> Intent:
    return edit.tag(ctx, row, changed_tags(row.tags, wish.add_tags, wish.remove_tags))


def _update(ctx: Context, row: Instance, wish: BulkWish) -> Intent:
    values = {name: value for name in POLICIES if (value := getattr(wish, name)) is not None}
    if not values:
        raise Invalid(_("What shall change?"), fields={"autostart": _("one of {names}", names=", ".join(POLICIES))})
    return edit.update(ctx, row, **values)


def _resize(ctx: Context, row: Instance, wish: BulkWish) -> Intent:
    return resize(ctx, row, flavor=wish.flavor, vcpus=wish.vcpus, memory_mib=wish.memory_mib)


CALLS: dict[str, Call] = {
    "start": lambda ctx, row, _wish: power.start(ctx, row),
    "stop": lambda ctx, row, wish: power.stop(ctx, row, timeout=wish.timeout, force=wish.force),
    "reboot": lambda ctx, row, wish: power.reboot(ctx, row, timeout=wish.timeout, hard=wish.force),
    "pause": lambda ctx, row, _wish: power.pause(ctx, row),
    "resume": lambda ctx, row, _wish: power.resume(ctx, row),
    "delete": lambda ctx, row, wish: remove.delete(ctx, row, timeout=wish.timeout, force=wish.force),
    "tag": _tag,
    "resize": _resize,
    "update": _update,
}
TITLES: dict[str, Callable[[int], Message]] = {
    "start": lambda count: _("Start {count} instances", count=count),
    "stop": lambda count: _("Stop {count} instances", count=count),
    "reboot": lambda count: _("Reboot {count} instances", count=count),
    "pause": lambda count: _("Pause {count} instances", count=count),
    "resume": lambda count: _("Resume {count} instances", count=count),
    "delete": lambda count: _("Delete {count} instances", count=count),
    "tag": lambda count: _("Tag {count} instances", count=count),
    "resize": lambda count: _("Resize {count} instances", count=count),
    "update": lambda count: _("Change {count} instances", count=count),
}


MANY: Many[Instance, BulkWish] = Many(
    noun="instance", get=get, find=ids_of, calls=CALLS, titles=TITLES,
    none=_("Choose at least one instance."), too_many=_("These are more than {most} instances.", most=MOST),
)  # fmt: skip
meant, come_since, together = MANY.meant, MANY.come_since, MANY.together


def plan(ctx: Context, verb: str, ids: Sequence[str], wish: BulkWish | None = None) -> list[Turn]:
    """What ``verb`` would do to each, or why it does not (`Many.plan`)."""
    return MANY.plan(ctx, verb, ids, wish or BulkWish())


def carry_out(
    ctx: Context, verb: str, ids: Sequence[str], wish: BulkWish | None = None, *, query: str | None = None
) -> list[Turn]:
    """Submit ``verb`` for one after the other (`Many.carry_out`)."""
    return MANY.carry_out(ctx, verb, ids, wish or BulkWish(), query=query)
