"""The live stream: one message an event, resumed where it broke off, alive in silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from tests.web.conftest import SmallCloud
from yun.base.errors import Invalid
from yun.base.permissions import NEEDS, Need
from yun.web.sse import last_seen, stream

Event = tuple[int, str, dict[str, Any]]


async def three() -> AsyncIterator[Event]:
    for number in (1, 2, 3):
        yield number, "thing.made", {"name": f"第{number}\n行"}


async def text_of(source: AsyncIterator[Event], **options: Any) -> str:
    return "".join([str(part) async for part in stream(source, **options).body_iterator])


def test_each_event_is_one_message_with_number_and_name() -> None:
    messages = asyncio.run(text_of(three())).split("\n\n")
    assert messages[1] == 'id: 1\nevent: thing.made\ndata: {"name": "第1\\n行"}'
    assert len([m for m in messages if m.startswith("id:")]) == 3


def test_names_can_be_left_out_for_browsers() -> None:
    assert "event:" not in asyncio.run(text_of(three(), named=False))


def test_silence_is_filled_with_heartbeats_and_loses_nothing() -> None:
    async def slow() -> AsyncIterator[Event]:
        await asyncio.sleep(0.12)
        yield 7, "late", {}

    told = asyncio.run(text_of(slow(), heartbeat=0.03))
    assert told.count(": still here") >= 2
    assert "id: 7" in told


def test_a_client_that_goes_away_ends_the_source() -> None:
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[Event]:
        try:
            await asyncio.sleep(3600)
            yield 1, "never", {}
        finally:
            ended.set()

    async def go() -> None:
        body = stream(endless(), heartbeat=60).body_iterator
        assert "retry" in str(await anext(aiter(body)))
        reading = asyncio.ensure_future(anext(aiter(body)))
        await asyncio.sleep(0.05)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await asyncio.wait_for(ended.wait(), 2)

    asyncio.run(go())


def request_with(**headers: str) -> Request:
    raw = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    return Request({"type": "http", "headers": raw, "query_string": b""})


def test_the_last_number_seen_is_read_and_nonsense_refused() -> None:
    assert last_seen(request_with(last_event_id="41")) == 41
    assert last_seen(request_with()) is None
    for bad in ("x", "-1", "1e3", "9" * 30):
        with pytest.raises(Invalid):
            last_seen(request_with(last_event_id=bad))


def test_a_page_follows_what_it_may_see(
    client: TestClient, small: SmallCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NEEDS, "event.list", Need("reader"))
    small.news = [(1, "a.b", {"kind": "a.b"}), (2, "c.d", {"kind": "c.d"})]
    answer = client.get("/live", headers={"Last-Event-ID": "1"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "id: 2" in answer.text
    assert "id: 1" not in answer.text
    assert client.get("/live", headers={"Authorization": ""}).status_code == 401
