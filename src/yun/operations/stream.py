"""The live stream: events in order as they are committed, each to those who may see it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from starlette.concurrency import run_in_threadpool

from yun.base.context import Actor
from yun.base.db import Database
from yun.base.errors import Unavailable
from yun.operations import events
from yun.operations.answer import moment
from yun.operations.model import Event
from yun.operations.service import events_after, last_event

POLL_SECONDS = 1.0


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


async def follow(database: Database, actor: Actor, after: int | None) -> AsyncIterator[tuple[int, str, dict[str, Any]]]:
    """Every event after number ``after`` (None: from now on) that the actor may see; never ends.

    Woken by commits of this process; other processes' are found within a second.
    """
    loop = asyncio.get_running_loop()
    news = asyncio.Event()
    end = events.listen(lambda: loop.call_soon_threadsafe(news.set))

    def read(since: int) -> list[Event]:
        with database.read() as session:
            return events_after(session, since)

    def newest() -> int:
        with database.read() as session:
            return last_event(session)

    try:
        position = after if after is not None else await run_in_threadpool(newest)
        while True:
            news.clear()
            try:
                batch = await run_in_threadpool(read, position)
            except Unavailable:
                batch = []
            for event in batch:
                position = event.seq
                if visible(actor, event):
                    yield event.seq, event.kind, show_event(event)
            if not batch:
                try:
                    await asyncio.wait_for(news.wait(), POLL_SECONDS)
                except TimeoutError:
                    continue
    finally:
        end()
