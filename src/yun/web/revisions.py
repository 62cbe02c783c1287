"""ETags: what a reader holds is known again by the whole answer, what a writer saw by the row's revision.

An answer about a row carries ``W/"ID.REVISION.DIGEST"``. The digest is of the rendered body, which holds more than the
row: its disks, its addresses, what happens to it now. ``If-None-Match`` compares all of it, ``If-Match`` only the
row's part, so that a machine's new address is no reason to refuse another description.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Protocol

from fastapi import Depends, Header
from starlette.requests import Request
from starlette.responses import Response

from yun.base.messages import _
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
        if self.tags is None or "*" in self.tags:
            return
        now = f"{row.id}.{row.revision}"
        if not any(tag == now or tag.startswith(now + ".") for tag in self.tags):
            raise problem.Stale(
                _("This was changed by somebody else in the meantime."), hint=_("Load it again and repeat your change.")
            )


Match = Annotated[Expected, Depends()]


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
