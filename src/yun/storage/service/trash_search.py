"""What the trash can be searched by, in the query language (`yun.base.query`)."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base import query as language
from yun.base.query import Condition, Field
from yun.storage.model import TrashItem


def conditions(session: Session, query: str) -> list[Condition]:
    """What an item must fulfil to match every term of ``query``. Raises `Invalid` naming ``q``."""
    return language.conditions(session, query, FIELDS, _text)


def _text(_session: Session, value: str) -> Condition:
    return sa.or_(
        language.contains(value, TrashItem.name), TrashItem.id == value, TrashItem.subject_id == value,
        TrashItem.kind == value.lower(),
    )  # fmt: skip


FIELDS: dict[str, Field] = {
    "name": language.text(TrashItem.name),
    "kind": language.exact(TrashItem.kind),
    "id": language.exact(TrashItem.id, TrashItem.subject_id),
    "size": language.number(TrashItem.bytes, unit=1),
    "deleted": language.moment(TrashItem.trashed_at),
}
