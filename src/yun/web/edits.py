"""Forms that change what is there: only what the person changed is applied, and what a colleague changed stays.

Such a form carries what it showed in a hidden field (``ui.was``)::

    titles = {"name": _("Name"), "protected": _("Protect against deletion")}
    changes = changed(typed, wanted, now, titles)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import FormData

from yun.base.errors import Conflict, Invalid
from yun.base.messages import Message, _

WAS = "was"


def changed(
    form: FormData, wanted: Mapping[str, Any], now: Mapping[str, Any], titles: Mapping[str, Message]
) -> dict[str, Any]:
    """The values of ``wanted`` that the person changed in the form; ``now`` are the present ones by the same names.

    Raises `Conflict` where somebody else changed the same field since the form was shown, to something else: it names
    the field by ``titles`` and both values, and carries what is there now, so that saving again means it knowingly.
    """
    was = _shown(form, now)
    changes: dict[str, Any] = {}
    crossed: dict[str, Any] = {}
    for name, value in wanted.items():
        if same(value, was.get(name, now[name])) or same(value, now[name]):
            continue
        if name in was and not same(was[name], now[name]):
            crossed[name] = value
        changes[name] = value
    if crossed:
        raise _conflict(crossed, now, titles)
    return changes


def same(one: Any, other: Any) -> bool:
    """Whether two values of a field mean the same: space around a text and the kind of its line ends do not count."""
    if isinstance(one, str) and isinstance(other, str):
        return one.replace("\r\n", "\n").strip() == other.replace("\r\n", "\n").strip()
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return list(one) == list(other)
    return bool(one == other)


def _shown(form: FormData, now: Mapping[str, Any]) -> Mapping[str, Any]:
    text = form.get(WAS)
    if not isinstance(text, str) or not text:
        return {}
    try:
        was = json.loads(text)
    except (ValueError, RecursionError):
        was = None
    if not isinstance(was, dict):
        raise Invalid(_("The form does not say what it showed. Load the page again."))
    return {name: value for name, value in was.items() if name in now}


def _conflict(crossed: Mapping[str, Any], now: Mapping[str, Any], titles: Mapping[str, Message]) -> Conflict:
    name, mine = next(iter(crossed.items()))
    return Conflict(
        _(
            "Somebody else changed {field} meanwhile: it is now {now}, you want {mine}.",
            field=titles[name], now=_readable(now[name]), mine=_readable(mine),
        ),
        hint=_("Nothing was saved. Save again to have it your way, or load the page again to leave it."),
        fields={n: _("meanwhile: {value}", value=_readable(now[n])) for n in crossed},
        details={WAS: {n: now[n] for n in crossed}},
    )  # fmt: skip


def _readable(value: Any) -> Message:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, float):
        value = f"{value:g}"
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return Message("{text}", {"text": text or "–"})
