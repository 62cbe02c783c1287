"""What a project holds: how the rooms' things are called, and what a room gives every project by itself.

Rooms above register here what they give: it does not count as content, goes with the project and comes back with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.db import Base
from yun.base.messages import Message, _

if TYPE_CHECKING:
    from yun.operations.flow import Op

# Tables that mention a project without being a thing in it.
NOT_CONTENT = frozenset(
    ("project", "role_grant", "api_token", "web_session", "audit_entry", "operation", "event", "trash_item", "reply")
)
NOUNS: dict[str, Message] = {
    "image_upload": _("upload"), "image_export": _("export"), "floating_ip": _("floating IP"),
    "capture": _("packet recording"), "network_share": _("share of a network"), "dns_record": _("DNS record"),
}  # fmt: skip


@dataclass(frozen=True)
class Given:
    """What a room gives every project.

    ``count`` says how many rows of which table that is. ``put_away`` lays it into the trash and returns, as JSON, what
    ``bring_back`` takes out again; both work in the caller's transaction. ``effect`` is told before the deletion.
    """

    count: Callable[[Session, str], dict[str, int]]
    put_away: Callable[[Op, Session, str], Any]
    bring_back: Callable[[Op, Session, Any], None]
    effect: Message


GIVEN: dict[str, Given] = {}


def give(room: str, given: Given) -> None:
    """Register what a room gives every project."""
    GIVEN[room] = given


def noun(table: str) -> Message:
    """What a person calls the things of a table."""
    return NOUNS.get(table) or _(table.replace("_", " "))


def contents(session: Session, project_id: str) -> dict[str, int]:
    """How many things of each table were made in the project; what lies in the trash counts too."""
    given: dict[str, int] = {}
    for room in GIVEN.values():
        for name, count in room.count(session, project_id).items():
            given[name] = given.get(name, 0) + count
    found: dict[str, int] = {}
    for name, table in Base.metadata.tables.items():
        if name in NOT_CONTENT or "project_id" not in table.c:
            continue
        query = sa.select(sa.func.count()).select_from(table).where(table.c.project_id == project_id)
        if (count := (session.scalar(query) or 0) - given.get(name, 0)) > 0:
            found[name] = count
    return found


def listed(found: dict[str, int]) -> Message:
    """The contents as one text."""
    parts = [_("{noun}: {count}", noun=noun(name), count=count) for name, count in sorted(found.items())]
    text = parts.pop()
    while parts:
        text = _("{first}, {rest}", first=parts.pop(), rest=text)
    return text


def effects(session: Session, project_id: str) -> tuple[Message, ...]:
    """What else goes with the project."""
    return tuple(room.effect for room in GIVEN.values() if any(room.count(session, project_id).values()))


def put_away(op: Op, session: Session, project_id: str) -> dict[str, Any]:
    """What rooms gave the project lies in the trash; returns what `bring_back` needs."""
    return {name: room.put_away(op, session, project_id) for name, room in GIVEN.items()}


def bring_back(op: Op, session: Session, kept: dict[str, Any]) -> None:
    """What `put_away` laid into the trash is there again."""
    for name, things in kept.items():
        if name in GIVEN:
            GIVEN[name].bring_back(op, session, things)
