"""ETags: what a reader holds is known again by the whole answer, what a writer saw by the row's revision.

An answer about a row carries ``W/"ID.REVISION.DIGEST"``. The digest is of the rendered body, which holds more than the
row: its disks, its addresses, what happens to it now. ``If-None-Match`` compares all of it, ``If-Match`` only the
row's part, so that a machine's new address is no reason to refuse another description.

A change of fields that comes too late is answered with the difference, field by field. A row moves on for many reasons;
who says in ``was`` what the fields he changes were is refused only where one of them is another now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Protocol

from fastapi import Depends, Header
from starlette.requests import Request
from starlette.responses import Response

from yun.base import crossing
from yun.base.errors import Conflict
from yun.base.messages import Message, _
from yun.web import problem
from yun.web.request import SAFE_METHODS


class Revised(Protocol):
    """A row with a revision."""

    id: str
    revision: int


class Expected:
    """The revision that the caller saw last (``If-Match``), if he says one."""

    def __init__(
        self, if_match: Annotated[str | None, Header(description="ETag of the revision that is to be changed.")] = None
    ) -> None:
        self.tags = None if if_match is None else _tags(if_match)

    def check(self, row: Revised) -> None:
        """Raise `problem.Stale` (412) where the row has moved on since."""
        if self._behind(row):
            raise problem.Stale(CHANGED, hint=_("Load it again and repeat your change."))

    def edit(
        self, row: Revised, wanted: Mapping[str, Any], now: Mapping[str, Any], titles: Mapping[str, Message],
        was: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """What of ``wanted`` is to be changed: all but what the caller left as he saw it (``was``).

        Raises `Conflict` with the difference where somebody else changed such a field since, or, without ``was``, where
        the row has moved on and is not as wanted already.
        """
        if was is not None:
            changes, crossed = crossing.apart(was, wanted, now)
            if crossed:
                raise crossing.conflict(crossed, now, titles, AGAIN)
            return changes
        differing = {name: value for name, value in wanted.items() if not crossing.same(value, now[name])}
        if self._behind(row) and differing:
            raise Conflict(
                CHANGED,
                hint=_("Load it again and repeat your change."),
                fields={n: _("it is now {value}", value=crossing.readable(now[n])) for n in differing},
                details={"difference": crossing.difference(differing, now)},
            )
        return dict(wanted)

    def _behind(self, row: Revised) -> bool:
        if self.tags is None or "*" in self.tags:
            return False
        now = f"{row.id}.{row.revision}"
        return not any(tag == now or tag.startswith(now + ".") for tag in self.tags)


Match = Annotated[Expected, Depends()]
AGAIN = _("Nothing was changed. To have it your way, ask again and say what is there now as what it was.")
CHANGED = _("This was changed by somebody else in the meantime.")


def _tags(header: str) -> set[str]:
    return {t.strip().removeprefix("W/").strip('"') for t in header.split(",")}


def tag(response: Response, row: Revised) -> None:
    """Put the row's revision on the answer; `marked` adds the digest of the body."""
    response.headers["ETag"] = f'"{row.id}.{row.revision}"'


def marked(request: Request, response: Response) -> Response:
    """The answer with its complete ETag where it is about a tagged row; 304 where the reader holds it already."""
    row, body = response.headers.get("etag"), getattr(response, "body", None)
    if request.method not in SAFE_METHODS or response.status_code != 200 or row is None or not isinstance(body, bytes):
        return response
    known = f"{row.strip(chr(34))}.{hashlib.sha256(body).hexdigest()[:16]}"
    response.headers["ETag"] = f'W/"{known}"'
    wanted = request.headers.get("if-none-match")
    if wanted and known in _tags(wanted):
        return Response(status_code=304, headers={"ETag": response.headers["ETag"]})
    return response
