"""The live stream: events in order as they are committed, each to those who may see it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from yun.base.context import Actor
from yun.base.db import Database
from yun.base.errors import Unavailable
from yun.operations import events
from yun.operations.answer import moment
from yun.operations.model import Event
from yun.operations.service import events_after, last_event

POLL_SECONDS = 1.0
RENEW_SECONDS = 15.0
LOST = frozenset(
    ("user.disabled", "user.deleted", "user.granted", "user.revoked", "user.password_set", "token.revoked")
)
"""Events after which their subject may no longer be, or no longer see, what it did before."""
Renew = Callable[[Session], Actor | None]


def visible(actor: Actor, event: Event) -> bool:
    """Whether an event is any of the actor's business: his projects' things, and for administrators all."""
    if actor.is_admin:
        return True
    return event.project_id is not None and actor.role_in(event.project_id) is not None


def show_event(event: Event) -> dict[str, Any]:
    """An event as JSON; texts inside ``data`` stay unrendered."""
    return {
        "id": event.seq,
        "kind": event.kind,
        "at": moment(event.at),
        "project_id": event.project_id,
        "subject": {"kind": event.subject_kind, "id": event.subject_id, "name": event.subject_name},
        "operation_id": event.operation_id,
        "data": event.data,
    }


def ends(actor: Actor, event: Event) -> bool:
    """Whether an event changes what the actor himself may see."""
    return event.kind in LOST and event.subject_id in (actor.id, actor.token_id)


async def follow(
    database: Database, actor: Actor, after: int | None, renew: Renew | None = None
) -> AsyncIterator[tuple[int, str, dict[str, Any]]]:
    """Every event after number ``after`` (None: from now on) that the actor may see.

    Woken by commits of this process; other processes' are found within a second. Ends at news of the actor's own
    account: whoever listens comes back and is asked who he is. ``renew`` says every 15 s who the actor is now, None
    for nobody: a session or token that no longer holds ends the stream, a new role shows more or less.
    """
    loop = asyncio.get_running_loop()
    news = asyncio.Event()
    end = events.listen(lambda: loop.call_soon_threadsafe(news.set))

    def read(since: int) -> list[Event]:
        with database.read() as session:
            return events_after(session, since)

    def newest() -> tuple[int, Actor | None]:
        with database.read() as session:
            return last_event(session), renew(session) if renew else actor

    try:
        # News of the actor's account up to here are known: he is who he is after them.
        known, someone = await run_in_threadpool(newest)
        position, asked = after if after is not None else known, time.monotonic()
        while someone is not None:
            news.clear()
            try:
                batch = await run_in_threadpool(read, position)
                if renew is not None and time.monotonic() - asked >= RENEW_SECONDS:
                    (_last, someone), asked = await run_in_threadpool(newest), time.monotonic()
            except Unavailable:
                batch = []
            for event in batch:
                if someone is None or (event.seq > known and ends(someone, event)):
                    return
                position = event.seq
                if visible(someone, event):
                    yield event.seq, event.kind, show_event(event)
            if not batch:
                try:
                    await asyncio.wait_for(news.wait(), POLL_SECONDS)
                except TimeoutError:
                    continue
    finally:
        end()
