"""The same change of many things: who can take it and who cannot is known before, what became of each after."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from yun.base.context import Context
from yun.base.errors import Conflict, Forbidden, Invalid, NoCapacity, NotFound, OverQuota, YunError
from yun.base.messages import Message, _
from yun.operations.intent import Intent
from yun.operations.model import Operation
from yun.operations.service.submit import submit

MOST = 500
"""Things of one change: each is an operation of its own."""
WHOLE = 100_000
"""More than a list has."""
LEFT_OUT = (Conflict, Forbidden, Invalid, NoCapacity, NotFound, OverQuota)
"""What keeps one of many from its turn and not the others."""


class Named(Protocol):
    """What has an id and a name."""

    id: Any
    name: Any


Row = TypeVar("Row", bound=Named)
Wish = TypeVar("Wish")


@dataclass(frozen=True)
class Turn:
    """One of many: who, and what is to be done with it, what was, or why nothing is."""

    id: str
    name: str
    intent: Intent | None = None
    operation: Operation | None = None
    error: YunError | None = None


@dataclass(frozen=True)
class Many(Generic[Row, Wish]):
    """The changes that many of one kind can take.

    ``noun`` begins their permissions; ``get`` finds one by name or id; ``find`` gives the ids that a query of the list
    finds, at most so many; ``calls`` are the verbs; ``titles`` say of so many what is done; ``none`` and ``too_many``
    are said where nothing is chosen, and where it is more than `MOST`.
    """

    noun: str
    get: Callable[[Context, str], Row]
    find: Callable[[Context, str, int], list[str]]
    calls: Mapping[str, Callable[[Context, Row, Wish], Intent]]
    titles: Mapping[str, Callable[[int], Message]]
    none: Message
    too_many: Message

    def meant(
        self, ctx: Context, *, query: str | None = None, ids: Sequence[str] | None = None, none: bool = False
    ) -> list[str]:
        """The ids that are meant: those that ``query`` finds, or ``ids`` (names and ids); each once, at most `MOST`.

        With both, ids are what a preview of the query showed, and what is meant. Raises `Invalid` for neither, for too
        many, for a query that means nothing, and for none found unless ``none``.
        """
        if query is None and ids is None:
            raise Invalid(_("Say a query, or which ones."), fields={"query": _("a query, or ids")})
        if ids is not None:
            found, wrong = list(dict.fromkeys(ids)), "ids"
        else:
            found, wrong = self.find(ctx, query or "", MOST + 1), "query"
        if not found and not none:
            raise Invalid(self.none, fields={wrong: _("one or more")})
        if len(found) > MOST:
            raise Invalid(self.too_many, fields={wrong: _("at most {most}", most=MOST)})
        return found

    def plan(self, ctx: Context, verb: str, ids: Sequence[str], wish: Wish) -> list[Turn]:
        """What ``verb`` would do to each, or why it does not. Raises the first reason where it fits none."""
        return _some(_once(self._turn(ctx, verb, identifier, wish) for identifier in ids))

    def carry_out(
        self, ctx: Context, verb: str, ids: Sequence[str], wish: Wish, *, query: str | None = None
    ) -> list[Turn]:
        """Submit ``verb`` for one after the other, each as things are by then; what is refused keeps no other from it.

        With ``query`` the ids are what a preview of it showed: one that it does not find any more is left out. Raises
        the first reason where all are refused: nothing was done then.
        """
        still = set(self.find(ctx, query, WHOLE)) if query is not None else set(ids)
        turns: list[Turn] = []
        for identifier in ids:
            turn = self._turn(ctx, verb, identifier, wish)
            if any(turn.id == other.id for other in turns):
                continue
            if turn.id not in still and identifier not in still:
                turn = Turn(turn.id, turn.name, error=Conflict(_("The search does not find it any more.")))
            if turn.intent is not None:
                try:
                    with ctx.session.begin_nested():
                        turn = Turn(turn.id, turn.name, operation=submit(ctx, turn.intent))
                except LEFT_OUT as error:
                    turn = Turn(turn.id, turn.name, error=error)
            turns.append(turn)
        return _some(turns)

    def come_since(self, ctx: Context, verb: str, query: str, ids: Sequence[str], wish: Wish) -> list[Turn]:
        """What ``query`` finds by now, was not in the preview, and could take the change: it is left as it is, and
        told. Ask before carrying out."""
        shown = set(ids)
        others = [i for i in self.find(ctx, query, WHOLE) if i not in shown]
        turns = [self._turn(ctx, verb, identifier, wish) for identifier in others[:MOST]]
        return [turn for turn in turns if turn.intent is not None]

    def _turn(self, ctx: Context, verb: str, identifier: str, wish: Wish) -> Turn:
        name = identifier
        try:
            row = self.get(ctx, identifier)
            identifier, name = row.id, row.name
            return Turn(identifier, name, intent=self.calls[verb](ctx, row, wish))
        except LEFT_OUT as error:
            return Turn(identifier, name, error=error)

    def together(self, ctx: Context, verb: str, turns: Sequence[Turn]) -> dict[str, Any]:
        """One preview of all: a line for each, with what it destroys and restarts, and who is left out why."""
        able = [(t, t.intent.render(ctx.locale, now=ctx.clock.now(), undo_days=ctx.settings.undo_days))
                for t in turns if t.intent is not None]  # fmt: skip
        plans = [p for _t, p in able]

        def union(part: str) -> list[str]:
            return list(dict.fromkeys(line for p in plans for line in p[part]))

        return {
            **plans[0],
            "kind": f"{self.noun}.{verb}",
            "title": plans[0]["title"] if len(plans) == 1 else self.titles[verb](len(plans)).render(ctx.locale),
            "count": len(plans),
            "effects": [p["title"] for p in plans],
            "restarts": union("restarts"), "destroys": union("destroys"), "depends": union("depends"), "capacity": [],
            "machines": [{"id": t.id, "name": t.name, "effects": p["effects"]} for t, p in able],
            "left_out": [
                {"id": t.id, "name": t.name, "reason": t.error.message.render(ctx.locale)}
                for t in turns if t.error is not None
            ],
        }  # fmt: skip


def _once(turns: Iterable[Turn]) -> list[Turn]:
    """Each thing once, also where it was named by its name and its id."""
    return list({turn.id: turn for turn in turns}.values())


def _some(turns: list[Turn]) -> list[Turn]:
    if turns and all(t.error is not None for t in turns):
        first = turns[0].error
        assert first is not None
        raise first
    return turns
