"""What a list page does with its search field: finish the word being typed, and tell what means nothing beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from yun.base import query as language
from yun.base.context import Context
from yun.base.errors import Invalid
from yun.base.paging import Page
from yun.web.pages import fault_of
from yun.web.problem import Problem


def searched(
    ctx: Context, q: str, fields: language.Fields, find: Callable[[str], Page[Any]]
) -> tuple[Page[Any], Problem | None]:
    """The page that ``find`` gives for the query, with its last word finished; for one that means nothing an empty
    page and the reason. Other errors are raised."""
    try:
        return find(language.finished(q, fields)), None
    except Invalid as error:
        if "q" not in error.fields:
            raise
        return Page[Any]([]), fault_of(ctx, error)
