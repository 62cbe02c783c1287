"""The live stream: in order, resumed after a number, to those who may see it, woken by a commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from yun.base.context import Actor
from yun.base.db import Database
from yun.operations.events import emit
from yun.operations.intent import Subject
from yun.operations.stream import follow

ADMIN = Actor("user", "usr_a", "a", {"*": "admin"})
MEMBER = Actor("user", "usr_m", "m", {"prj_mine": "member"})


@pytest.fixture
def tell(database: Database) -> Callable[..., None]:
    def call(name: str, project: str | None = "prj_mine") -> None:
        with database.write() as session:
            emit(session, "toy.told", subject=Subject("toy", name, name), project_id=project)

    return call


async def read(database: Database, actor: Actor, after: int | None, count: int, act: Callable[[], None]) -> list[Any]:
    """The next ``count`` events; ``act`` is called once the stream waits."""
    stream = follow(database, actor, after)
    found = []
    first = asyncio.ensure_future(stream.__anext__())
    await asyncio.sleep(0.3)
    await asyncio.to_thread(act)
    found.append(await asyncio.wait_for(first, 10))
    while len(found) < count:
        found.append(await asyncio.wait_for(stream.__anext__(), 10))
    await stream.aclose()  # type: ignore[attr-defined]
    return found


def test_a_listener_is_woken_by_a_commit_and_hears_everything_in_order(
    database: Database, tell: Callable[..., None]
) -> None:
    tell("before")
    found = asyncio.run(read(database, ADMIN, None, 3, lambda: [tell(n) for n in "abc"] and None))  # type: ignore[func-returns-value]
    assert [data["subject"]["id"] for _n, _k, data in found] == ["a", "b", "c"]
    assert [number for number, _k, _d in found] == sorted(number for number, _k, _d in found)


def test_a_stream_goes_on_after_the_last_number_seen(database: Database, tell: Callable[..., None]) -> None:
    for name in "abcd":
        tell(name)
    found = asyncio.run(read(database, ADMIN, 2, 2, lambda: None))
    assert [data["subject"]["id"] for _n, _k, data in found] == ["c", "d"]


def test_another_projects_news_are_not_told(database: Database, tell: Callable[..., None]) -> None:
    tell("theirs", "prj_theirs")
    tell("the cloud's", None)
    tell("mine")
    found = asyncio.run(read(database, MEMBER, 0, 1, lambda: None))
    assert [data["subject"]["id"] for _n, _k, data in found] == ["mine"]
