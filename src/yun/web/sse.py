"""Server-sent events: a stream that resumes after the last number seen and proves every few seconds that it lives."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import StreamingResponse

from yun.base.errors import Invalid
from yun.base.messages import _

HEARTBEAT = 15.0
LIFETIME = 300.0
Source = AsyncIterator[tuple[int, str, dict[str, Any]]]


def last_seen(request: Request) -> int | None:
    """The number of the last event the client saw (``Last-Event-ID`` header, or ``after`` in the query), or None.

    Raises `Invalid` where it is not a number.
    """
    text = request.headers.get("last-event-id") or request.query_params.get("after")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        expected = _("the number of an event")
        raise Invalid(_("{value} is not the number of an event.", value=text[:40]), fields={"after": expected})
    return int(text)


def stream(source: Source, *, heartbeat: float = HEARTBEAT, named: bool = True) -> StreamingResponse:
    """An answer with one message per event of ``source``; a comment every ``heartbeat`` seconds of silence.

    ``named=False`` leaves the SSE event name out, so that a browser hears every kind in one place.
    """
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_messages(source, heartbeat, named), media_type="text/event-stream", headers=headers)


async def _messages(source: Source, heartbeat: float, named: bool) -> AsyncIterator[str]:
    # It ends now and then; the client comes back and is asked again who it is and what it may see.
    end = time.monotonic() + LIFETIME
    yield "retry: 1000\n\n"
    waiting: asyncio.Task[tuple[int, str, dict[str, Any]]] | None = None
    try:
        while time.monotonic() < end:
            waiting = waiting or asyncio.ensure_future(_following(source))
            done, _pending = await asyncio.wait({waiting}, timeout=heartbeat)
            if not done:
                yield ": still here\n\n"
                continue
            try:
                number, kind, data = waiting.result()
            except StopAsyncIteration:
                return
            finally:
                waiting = None
            name = f"event: {kind}\n" if named else ""
            yield f"id: {number}\n{name}data: {json.dumps(data, ensure_ascii=False)}\n\n"
    finally:
        # The client is gone, this task is being cancelled: the source is still to be ended in good order.
        with anyio.CancelScope(shield=True):
            if waiting is not None:
                waiting.cancel()
                await asyncio.wait({waiting})
            close = getattr(source, "aclose", None)
            if close is not None:
                await close()


async def _following(source: Source) -> tuple[int, str, dict[str, Any]]:
    return await source.__anext__()
