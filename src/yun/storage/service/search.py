"""What the list of volumes can be searched by, in the query language (`yun.base.query`)."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base import query as language
from yun.base.query import SAME, TEXT, Condition, Field
from yun.storage.model import Attachment, Pool, Volume, VolumeState


def conditions(session: Session, query: str) -> list[Condition]:
    """What a volume must fulfil to match every term of ``query``. Raises `Invalid` naming ``q``."""
    return language.conditions(session, query, FIELDS, _text)


def finished(query: str) -> str:
    """``query`` with the word that is still being typed made whole (`yun.base.query.finished`)."""
    return language.finished(query, FIELDS)


def asks_for_trash(query: str) -> bool:
    """Whether the query names the state ``trashed``, which lists leave out otherwise."""
    return language.asks_for(query, FIELDS, "state", VolumeState.TRASHED)


def _text(_session: Session, value: str) -> Condition:
    return sa.or_(
        Volume.name.icontains(value, autoescape=True), Volume.description.icontains(value, autoescape=True),
        Volume.id == value,
    )  # fmt: skip


def _pool(_session: Session, _operator: str, value: str) -> Condition:
    named: Condition = Volume.pool_id.in_(sa.select(Pool.id).where(sa.or_(Pool.name == value, Pool.id == value)))
    return named


def _instance(_session: Session, operator: str, value: str) -> Condition:
    column = Attachment.instance_name
    found = column == value if operator == "=" else column.icontains(value, autoescape=True)
    named = sa.select(Attachment.volume_id).where(sa.or_(found, Attachment.instance_id == value))
    condition: Condition = Volume.id.in_(named)
    return condition


_ATTACHED = Volume.id.in_(sa.select(Attachment.volume_id))

FIELDS: dict[str, Field] = {
    "name": language.text(Volume.name),
    "tag": language.tag(Volume.tags),
    "id": language.exact(Volume.id),
    "description": language.text(Volume.description),
    "state": language.choice(Volume.state, list(VolumeState)),
    "size": language.number(Volume.size_bytes, unit=1),
    "used": language.number(Volume.used_bytes, unit=1),
    "pool": Field(SAME, _pool),
    "instance": Field(TEXT, _instance),
    "attached": language.flag(_ATTACHED),
    "created": language.moment(Volume.created_at),
}
