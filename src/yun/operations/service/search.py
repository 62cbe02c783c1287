"""What the history can be searched by, in the query language (`yun.base.query`)."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base import query as language
from yun.base.messages import sources_of
from yun.base.query import Condition, Field
from yun.operations.model import OPEN, Operation, OperationSubject, State


def conditions(session: Session, query: str, locale: str) -> list[Condition]:
    """What an operation must fulfil to match every term of ``query``; titles are searched as they read in ``locale``.
    Raises `Invalid` naming ``q``."""
    return language.conditions(session, query, FIELDS, lambda _session, value: text(value, locale))


def text(value: str, locale: str) -> Condition:
    """Free text in the history: the title's own words, the names it touches, who did it, and from where."""
    title = Operation.title["text"].as_string()
    sources = sources_of(value, locale)
    reads = title.icontains(value, autoescape=True) if sources is None else title.in_(sources)
    return sa.or_(
        reads, touches(value), language.contains(value, Operation.kind, Operation.actor_name),
        Operation.id == value, Operation.address == value,
    )  # fmt: skip


def touches(value: str) -> Condition:
    """Operations that touch a thing with this id, or with this in its name."""
    same = sa.or_(OperationSubject.id == value, OperationSubject.name.icontains(value, autoescape=True))
    return sa.or_(
        Operation.subject_name.icontains(value, autoescape=True),
        Operation.seq.in_(sa.select(OperationSubject.seq).where(same)),
    )


FIELDS: dict[str, Field] = {
    "state": language.choice(Operation.state, list(State)),
    "kind": language.text(Operation.kind),
    "subject": language.same(lambda _session, value: touches(value)),
    "by": language.exact(Operation.actor_name, Operation.actor_id),
    "address": language.exact(Operation.address),
    "id": language.exact(Operation.id),
    "open": language.flag(Operation.state.in_(OPEN)),
    "created": language.moment(Operation.created_at),
    "ended": language.moment(Operation.finished_at),
}
