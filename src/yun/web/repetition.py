"""Requests that may be repeated: the same ``Idempotency-Key`` and the same request get the same answer."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

MAX_REMEMBERED = 1 << 20
NO = frozenset({"", "0", "false", "no", "off", "n", "f"})
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


def dry(request: Request) -> bool:
    """Whether the request asks only to be shown what it would do; a value that is neither yes nor no counts as yes."""
    return request.query_params.get("dry_run", "").lower() not in NO


@dataclass(frozen=True)
class Repeat:
    """A changing request that may be repeated: its key, and a digest of what it asks."""

    key: str
    digest: str

    @classmethod
    async def of(cls, request: Request, project_id: str | None) -> Repeat | None:
        """The request's key and digest, in the project that it works in.

        None without a key, for a preview, for the panel's forms, and for bodies too large to be remembered.
        """
        key = request.headers.get("idempotency-key")
        size = request.headers.get("content-length", "0")
        if not key or len(key) > 200 or not size.isdigit() or int(size) > MAX_REMEMBERED or dry(request):
            return None
        if request.headers.get("content-type", "").startswith(FORMS):
            return None
        place = f"{request.method} {request.url.path}?{request.url.query}\n{project_id or ''}\n"
        return cls(key, hashlib.sha256(place.encode() + await request.body()).hexdigest())


class Replayed(Exception):
    """The request was answered before: this is that answer."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(status)
        self.status, self.body = status, body

    def response(self) -> Response:
        """The first answer again, marked as such, with the header that names its operation."""
        headers = {"Idempotency-Replayed": "true"}
        told = json.loads(self.body) if self.body else None
        if isinstance(told, dict) and isinstance(operation := told.get("operation"), dict):
            headers["Yun-Operation"] = str(operation.get("id"))
        return Response(self.body, self.status, media_type="application/json", headers=headers)
