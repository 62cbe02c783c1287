"""The same change of many instances: who can take it and who cannot is known before, what became of each after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from yun.base.context import Context
from yun.base.errors import Conflict, Forbidden, Invalid, NoCapacity, NotFound, OverQuota, YunError
from yun.base.messages import Message, _
from yun.compute.model import Instance
from yun.compute.service import edit, power, remove
from yun.compute.service.look import get, list_instances
from yun.compute.service.resize import resize
from yun.operations.intent import Intent
from yun.operations.model import Operation
from yun.operations.service import submit

MOST = 500
"""Instances of one change: each is an operation of its own."""
LEFT_OUT = (Conflict, Forbidden, Invalid, NoCapacity, NotFound, OverQuota)
"""What keeps one of many from its turn and not the others."""


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
    if not wish.add_tags and not wish.remove_tags:
        raise Invalid(_("Which tags?"), fields={"add_tags": _("one or more tags")})
    tags = [*row.tags, *(t for t in wish.add_tags if t not in row.tags)]
    return edit.tag(ctx, row, [t for t in tags if t not in wish.remove_tags])


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


@dataclass(frozen=True)
class Turn:
    """One of many: who, and what is to be done with it, what was, or why nothing is."""

    id: str
    name: str
    intent: Intent | None = None
    operation: Operation | None = None
    error: YunError | None = None


def meant(ctx: Context, *, query: str | None = None, ids: Sequence[str] | None = None) -> list[str]:
    """The ids that a query of the list (`search`), or names and ids, mean; each once, at most `MOST`.

    Raises `Invalid` for both or neither, for none found and for too many.
    """
    if (query is None) == (ids is None):
        raise Invalid(_("Say a query, or which instances."), fields={"query": _("a query, or ids")})
    if ids is not None:
        found = list(dict.fromkeys(ids))
        wrong = "ids"
    else:
        found = [row.id for row in list_instances(ctx, q=query or "", sort="name", limit=MOST + 1).items]
        wrong = "query"
    if not found:
        raise Invalid(_("Choose at least one instance."), fields={wrong: _("one or more instances")})
    if len(found) > MOST:
        raise Invalid(
            _("These are more than {most} instances.", most=MOST), fields={wrong: _("at most {most}", most=MOST)}
        )
    return found


def plan(ctx: Context, verb: str, ids: Sequence[str], wish: BulkWish | None = None) -> list[Turn]:
    """What ``verb`` would do to each, or why it does not. Raises the first reason where it fits none."""
    turns = [_turn(ctx, identifier, lambda row: CALLS[verb](ctx, row, wish or BulkWish())) for identifier in ids]
    return _some(turns)


def carry_out(ctx: Context, verb: str, ids: Sequence[str], wish: BulkWish | None = None) -> list[Turn]:
    """Submit ``verb`` for one after the other, each as things are by then; what is refused keeps no other from it.
    Raises the first reason where all are refused: nothing was done then."""
    turns = []
    for identifier in ids:
        turn = _turn(ctx, identifier, lambda row: CALLS[verb](ctx, row, wish or BulkWish()))
        if turn.intent is not None:
            try:
                with ctx.session.begin_nested():
                    turn = Turn(turn.id, turn.name, operation=submit(ctx, turn.intent))
            except LEFT_OUT as error:
                turn = Turn(turn.id, turn.name, error=error)
        turns.append(turn)
    return _some(turns)


def _turn(ctx: Context, identifier: str, call: Callable[[Instance], Intent]) -> Turn:
    name = identifier
    try:
        row = get(ctx, identifier)
        identifier, name = row.id, row.name
        return Turn(identifier, name, intent=call(row))
    except LEFT_OUT as error:
        return Turn(identifier, name, error=error)


def _some(turns: list[Turn]) -> list[Turn]:
    if turns and all(t.error is not None for t in turns):
        first = turns[0].error
        assert first is not None
        raise first
    return turns


def together(ctx: Context, verb: str, turns: Sequence[Turn]) -> dict[str, Any]:
    """One preview of all: a line for each, with what it destroys and restarts, and who is left out why."""
    able = [(t, t.intent.render(ctx.locale, now=ctx.clock.now(), undo_days=ctx.settings.undo_days))
            for t in turns if t.intent is not None]  # fmt: skip
    left = [t for t in turns if t.error is not None]
    plans = [p for _t, p in able]

    def union(part: str) -> list[str]:
        return list(dict.fromkeys(line for p in plans for line in p[part]))

    return {
        **plans[0],
        "kind": f"instance.{verb}",
        "title": TITLES[verb](len(plans)).render(ctx.locale),
        "count": len(plans),
        "effects": [p["title"] for p in plans],
        "restarts": union("restarts"), "destroys": union("destroys"), "depends": union("depends"), "capacity": [],
        "machines": [{"id": t.id, "name": t.name, "effects": p["effects"]} for t, p in able],
        "left_out": [
            {"id": t.id, "name": t.name, "reason": t.error.message.render(ctx.locale)} for t in left if t.error
        ],
    }  # fmt: skip
