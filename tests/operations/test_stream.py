"""The live stream: in order, resumed after a number, to those who may see it, as long as they are who they were."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import Session

from yun.base.context import Actor
from yun.base.db import Database
from yun.operations import stream as streams
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


def heard(database: Database, actor: Actor, act: Callable[[list[str]], None], **rest: Any) -> list[str]:
    """Names of the subjects that are told until the stream ends by itself; ``act`` is called once it waits."""

    async def listen() -> list[str]:
        found: list[str] = []
        stream = follow(database, actor, rest.pop("after", None), **rest)

        async def all_of_it() -> None:
            async for _number, _kind, data in stream:
                found.append(data["subject"]["id"])

        listening = asyncio.ensure_future(all_of_it())
        await asyncio.sleep(0.3)
        await asyncio.to_thread(act, found)
        await asyncio.wait_for(listening, 10)
        return found

    return asyncio.run(listen())


LOSSES = [
    ("user.disabled", "usr_m"), ("user.revoked", "usr_m"), ("user.granted", "usr_m"), ("user.password_set", "usr_m"),
    ("token.revoked", "tok_m"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "subject"), LOSSES)
def test_a_stream_ends_at_news_of_the_listeners_own_account(
    database: Database, tell: Callable[..., None], kind: str, subject: str
) -> None:
    def act(found: list[str]) -> None:
        tell("seen")
        with database.write() as session:
            emit(session, kind, subject=Subject("user", "usr_other", "o"))
        tell("seen too")
        with database.write() as session:
            emit(session, kind, subject=Subject("account", subject, "m"), project_id="prj_mine")
            emit(session, "toy.told", subject=Subject("toy", "secret", "secret"), project_id="prj_mine")

    actor = Actor("token", "usr_m", "m", {"prj_mine": "member"}, token_id="tok_m")
    assert heard(database, actor, act) == ["seen", "seen too"]


def test_who_comes_back_after_the_news_of_his_account_goes_on_listening(
    database: Database, tell: Callable[..., None]
) -> None:
    with database.write() as session:
        emit(session, "user.granted", subject=Subject("user", "usr_m", "m"), project_id="prj_mine")
    tell("after")
    found = asyncio.run(read(database, MEMBER, 0, 3, lambda: tell("later")))
    assert [data["subject"]["id"] for _n, _k, data in found] == ["usr_m", "after", "later"]


def test_a_listener_is_asked_again_who_he_is(
    database: Database, tell: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "RENEW_SECONDS", 0.2)
    monkeypatch.setattr(streams, "POLL_SECONDS", 0.1)
    who: list[Actor | None] = [MEMBER]
    asked = threading.Event()

    def renew(_session: Session) -> Actor | None:
        asked.set()
        return who[-1]

    def become(actor: Actor | None) -> None:
        who.append(actor)
        asked.clear()
        assert asked.wait(10)

    def act(found: list[str]) -> None:
        become(Actor("user", "usr_m", "m", {"prj_other": "reader"}))
        time.sleep(0.2)
        tell("no more mine")
        tell("mine now", "prj_other")
        while not found:
            time.sleep(0.05)
        become(None)

    assert heard(database, MEMBER, act, renew=renew) == ["mine now"]
