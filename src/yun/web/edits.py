"""Changes of what is there: only what the person changed is applied, and what a colleague changed stays.

A form carries what it showed in a hidden field (``ui.was``), a request's body in ``was``::

    titles = {"name": _("Name"), "protected": _("Protect against deletion")}
    changes = changed(typed, wanted, now, titles)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import FormData

from yun.base.crossing import WAS, apart, conflict
from yun.base.errors import Invalid
from yun.base.messages import Message, _


def changed(
    form: FormData, wanted: Mapping[str, Any], now: Mapping[str, Any], titles: Mapping[str, Message]
) -> dict[str, Any]:
    """The values of ``wanted`` that the person changed in the form; ``now`` are the present ones by the same names.

    Raises `Conflict` where somebody else changed the same field since the form was shown, to something else: it names
    the field by ``titles`` and both values, and carries what is there now, so that saving again means it knowingly.
    """
    changes, crossed = apart(_shown(form, now), wanted, now)
    if crossed:
        again = _("Nothing was saved. Save again to have it your way, or load the page again to leave it.")
        raise conflict(crossed, now, titles, again)
    return changes


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
