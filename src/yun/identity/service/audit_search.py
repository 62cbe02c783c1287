"""What the audit can be searched by, in the query language (`yun.base.query`): one language over its two tables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base import query as language
from yun.base.messages import Message
from yun.base.query import Condition, Field
from yun.identity.model import AuditEntry
from yun.operations.model import Operation, State
from yun.operations.service import search

OUTCOMES = (*State, "refused")


def of_entries(session: Session, query: str, locale: str, titles: dict[str, Message]) -> list[Condition]:
    """What an entry (a log-in, a refusal) must fulfil to match ``query``; ``titles`` are the actions as people read
    them."""

    def text(_session: Session, value: str) -> Condition:
        named = [action for action, title in titles.items() if value.lower() in title.render(locale).lower()]
        words = (AuditEntry.action, AuditEntry.actor_name, AuditEntry.subject_name)
        return sa.or_(
            language.contains(value, *words), AuditEntry.action.in_(named), AuditEntry.address == value,
            AuditEntry.subject_id == value,
        )  # fmt: skip

    return language.conditions(session, query, ENTRIES, text)


def of_changes(session: Session, query: str, locale: str) -> list[Condition]:
    """What an operation must fulfil to match ``query``."""
    return language.conditions(session, query, CHANGES, lambda _session, value: search.text(value, locale))


def _fields(table: type[Any], action: Any, outcome: Any, at: Any) -> dict[str, Field]:
    return {
        "action": language.text(action),
        "outcome": language.choice(outcome, OUTCOMES),
        "by": language.exact(table.actor_name, table.actor_id),
        "address": language.same(lambda _session, value: table.address.startswith(value, autoescape=True)),
        "at": language.moment(at),
    }


ENTRIES: dict[str, Field] = {
    **_fields(AuditEntry, AuditEntry.action, AuditEntry.outcome, AuditEntry.at),
    "subject": language.same(
        lambda _session, value: sa.or_(
            AuditEntry.subject_id == value, AuditEntry.subject_name.icontains(value, autoescape=True)
        )
    ),
}
CHANGES: dict[str, Field] = {
    **_fields(Operation, Operation.kind, Operation.state, Operation.created_at),
    "subject": language.same(lambda _session, value: search.touches(value)),
}
