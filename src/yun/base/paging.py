"""Lists: pages by key (never by offset), so page 100 costs what page 1 costs and nothing is skipped or doubled."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session

from yun.base.db import UTCDateTime
from yun.base.errors import Invalid
from yun.base.messages import _

T = TypeVar("T")
MAX_LIMIT = 1000


@dataclass(frozen=True)
class Page(Generic[T]):
    """Items in order and the cursor of what follows (None at the end)."""

    items: list[T]
    next: str | None = None


def every_id(fetch: Callable[[str | None, int], Page[Any]], most: int) -> list[str]:
    """The ids of a list's rows, page by page (``fetch`` takes a cursor and a limit); at most ``most``."""
    found: list[str] = []
    cursor: str | None = None
    while len(found) < most:
        page = fetch(cursor, min(most - len(found), MAX_LIMIT))
        found += [row.id for row in page.items]
        if (cursor := page.next) is None:
            break
    return found


def paginate(
    session: Session,
    query: sa.Select[T],
    *,
    sorts: Mapping[str, InstrumentedAttribute[Any]],
    key: InstrumentedAttribute[str],
    sort: str,
    cursor: str | None = None,
    limit: int = 100,
    columns: Sequence[InstrumentedAttribute[Any]] | None = None,
) -> Page[Any]:
    """One page of ``query``, ordered by ``sort`` (a name of ``sorts``, ``-`` before it for descending), then ``key``.

    ``columns`` reads only these, as plain rows: for lists of thousands. Sort columns must not be NULL. Raises
    `Invalid` for an unknown sort, a limit outside 1…1000 and a cursor that this function did not make for the same
    sort.
    """
    name, descending = sort.lstrip("-"), sort.startswith("-")
    if name not in sorts:
        raise Invalid(
            _("The list cannot be sorted by {sort}.", sort=name[:40]),
            fields={"sort": _("one of {names}", names=", ".join(sorted(sorts)))},
        )
    if not 1 <= limit <= MAX_LIMIT:
        raise Invalid(
            _("A page has 1 to {most} items.", most=MAX_LIMIT), fields={"limit": _("1 to {most}", most=MAX_LIMIT)}
        )
    column = sorts[name]
    if cursor:
        value, identifier = _decode(cursor, sort, column)
        place = sa.tuple_(column, key)
        edge = sa.tuple_(sa.literal(value, column.type), sa.literal(identifier, key.type))
        query = query.where(place < edge if descending else place > edge)
    order = (column.desc(), key.desc()) if descending else (column.asc(), key.asc())
    query = query.order_by(*order).limit(limit + 1)
    if columns is None:
        rows: list[Any] = list(session.scalars(query))
    else:
        rows = list(session.execute(query.with_only_columns(*columns)))
    if len(rows) <= limit:
        return Page(rows)
    last = rows[limit - 1]
    return Page(rows[:limit], _encode(sort, getattr(last, column.key), getattr(last, key.key)))


def _encode(sort: str, value: Any, identifier: str) -> str:
    text = json.dumps([sort, value.isoformat() if isinstance(value, datetime) else value, identifier])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str, sort: str, column: InstrumentedAttribute[Any]) -> tuple[Any, str]:
    try:
        made_for, value, identifier = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if made_for != sort or not isinstance(identifier, str):
            raise ValueError(made_for)
        if isinstance(column.type, UTCDateTime):
            value = datetime.fromisoformat(value)
            if value.tzinfo is None:
                raise ValueError(value)
        elif not isinstance(value, column.type.python_type):
            raise ValueError(value)
        if "\0" in f"{value}{identifier}" or (isinstance(value, int) and abs(value) >= 1 << 63):
            raise ValueError("no database holds this")
    except (ValueError, TypeError, UnicodeError) as error:
        raise Invalid(
            _("The cursor does not belong to this list."), fields={"cursor": _("the value of next in the page before")}
        ) from error
    return value, identifier
