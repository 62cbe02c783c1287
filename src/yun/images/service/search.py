"""What the list of images can be searched by, in the query language (`yun.base.query`)."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base import query as language
from yun.base.query import Condition, Field
from yun.base.units import MIB
from yun.identity.model import Project
from yun.images.model import ARCHITECTURES, FIRMWARES, HARDWARE, Image, State, Visibility
from yun.storage.model import Pool


def conditions(session: Session, query: str) -> list[Condition]:
    """What an image must fulfil to match every term of ``query``. Raises `Invalid` naming ``q``."""
    return language.conditions(session, query, FIELDS, _text)


def asks_for_trash(query: str) -> bool:
    """Whether the query names the state ``trashed``, which lists leave out otherwise."""
    return language.asks_for(query, FIELDS, "state", State.TRASHED)


def _text(_session: Session, value: str) -> Condition:
    words = (Image.name, Image.os, Image.os_version, Image.description, Image.source_name)
    return sa.or_(language.contains(value, *words), Image.id == value)


def _project(_session: Session, value: str) -> Condition:
    return sa.or_(Image.project_id == value, Image.project_id.in_(sa.select(Project.id).where(Project.name == value)))


def _pool(_session: Session, value: str) -> Condition:
    return Image.pool_id.in_(sa.select(Pool.id).where(sa.or_(Pool.name == value, Pool.id == value)))


def _boots(_session: Session, _operator: str, value: str) -> Condition:
    return Image.boots == value if value == "none" else Image.boots.in_([value, "bios uefi"])


FIELDS: dict[str, Field] = {
    "name": language.text(Image.name),
    "tag": language.tag(Image.tags),
    "description": language.text(Image.description),
    "state": language.choice(Image.state, list(State)),
    "visibility": language.choice(Image.visibility, list(Visibility)),
    "kind": language.choice(Image.kind, ["disk", "iso"]),
    "boots": Field(language.SAME, _boots, ("none", "bios", "uefi")),
    "id": language.exact(Image.id),
    "os": language.text(Image.os),
    "version": language.text(Image.os_version),
    "user": language.exact(Image.default_user),
    "source": language.choice(
        Image.source, ["upload", "file", "address", "catalogue", "recipe", "instance"]
    ),
    "firmware": language.choice(Image.firmware, FIRMWARES),
    "hardware": language.choice(Image.hardware, HARDWARE),
    "architecture": language.choice(Image.architecture, ARCHITECTURES),
    "cloud_init": language.flag(Image.cloud_init),
    "pool": language.same(_pool),
    "project": language.same(_project),
    "size": language.number(Image.size_bytes, unit=1),
    "disk": language.number(Image.min_disk_bytes, unit=1),
    "memory": language.number(Image.min_memory_mib, unit=MIB),
    "created": language.moment(Image.created_at),
}  # fmt: skip
