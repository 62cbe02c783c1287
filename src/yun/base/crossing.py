"""Two people change the same: what each saw, what is there now, and the difference as an error. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yun.base.errors import Conflict
from yun.base.messages import Message, _

WAS = "was"
LONGEST = 200
"""Characters of a value that a sentence repeats."""


def apart(
    was: Mapping[str, Any], wanted: Mapping[str, Any], now: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What of ``wanted`` differs from what the person saw (``was``), and what of that somebody else changed since."""
    changes: dict[str, Any] = {}
    crossed: dict[str, Any] = {}
    for name, value in wanted.items():
        if same(value, was.get(name, now[name])) or same(value, now[name]):
            continue
        if name in was and not same(was[name], now[name]):
            crossed[name] = value
        changes[name] = value
    return changes, crossed


def same(one: Any, other: Any) -> bool:
    """Whether two values of a field mean the same: space around a text and the kind of its line ends do not count."""
    if isinstance(one, str) and isinstance(other, str):
        return one.replace("\r\n", "\n").strip() == other.replace("\r\n", "\n").strip()
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return list(one) == list(other)
    return bool(one == other)


def conflict(
    crossed: Mapping[str, Any], now: Mapping[str, Any], titles: Mapping[str, Message], hint: Message
) -> Conflict:
    """Two people changed the same: names the first field and both values; ``details`` has the difference of all."""
    name, mine = next(iter(crossed.items()))
    return Conflict(
        _(
            "Somebody else changed {field} meanwhile: it is now {now}, you want {mine}.",
            field=titles.get(name, name), now=readable(now[name]), mine=readable(mine),
        ),
        hint=hint,
        fields={n: _("meanwhile: {value}", value=readable(now[n])) for n in crossed},
        details={WAS: {n: now[n] for n in crossed}, "difference": difference(crossed, now)},
    )  # fmt: skip


def difference(wanted: Mapping[str, Any], now: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each field with what is there now (``theirs``) and what is wanted (``yours``)."""
    return [{"field": name, "theirs": now[name], "yours": value} for name, value in wanted.items()]


def readable(value: Any) -> Message:
    """A field's value in words."""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, float):
        value = f"{value:g}"
    if isinstance(value, Mapping):
        value = [f"{name} {one}" for name, one in value.items()]
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value).strip()
    return Message("{text}", {"text": (text if len(text) <= LONGEST else f"{text[:LONGEST]}…") or "–"})


def refuse(
    was: Mapping[str, Any], wanted: Mapping[str, Any], now: Mapping[str, Any], titles: Mapping[str, Message]
) -> None:
    """Pass where everything wanted is still as it was when it was asked for. For work that waited in a queue; raises
    `Conflict`."""
    _changes, crossed = apart(was, wanted, now)
    if crossed:
        raise conflict(crossed, now, titles, _("Nothing was changed. Look at it as it is now and ask for it again."))
