"""Tables of the guest side: what agents told, which file systems stand still, and errands whose secrets stay here."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import JSON, Base
from yun.base.permissions import declare

declare(
    "instance", guest="reader", set_password="member", freeze="member", thaw="member", trim="member",
    sync_time="member", run="admin",
)  # fmt: skip


def _instance() -> Mapped[str]:
    return mapped_column(sa.ForeignKey("instance.id", ondelete="CASCADE"), primary_key=True)


class InstanceGuest(Base):
    """What the guest last told of itself.

    ``asked_at`` is when it was last asked, ``seen_at`` when it last answered. ``file_systems`` are objects with
    ``mount``, ``type``, ``device``, ``total_bytes``, ``used_bytes`` (None where unknown), ``slots`` and ``serials`` of
    the disks below; ``cards`` have ``name``, ``mac`` and ``addresses`` with their prefix lengths.
    """

    __tablename__ = "instance_guest"

    instance_id: Mapped[str] = _instance()
    asked_at: Mapped[datetime] = mapped_column(index=True)
    seen_at: Mapped[datetime | None]
    os_id: Mapped[str] = mapped_column(sa.String(100), default="")
    os_name: Mapped[str] = mapped_column(sa.String(300), default="")
    kernel: Mapped[str] = mapped_column(sa.String(300), default="")
    hostname: Mapped[str] = mapped_column(sa.String(300), default="")
    time_zone: Mapped[str] = mapped_column(sa.String(100), default="")
    file_systems: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    cards: Mapped[list[dict[str, Any]]] = mapped_column(default=list)


class InstanceFreeze(Base):
    """The guest's file systems stand still, or are about to: thawed by itself at ``thaw_at``. Written before the
    guest is asked, so that no death leaves a guest frozen."""

    __tablename__ = "instance_freeze"

    instance_id: Mapped[str] = _instance()
    frozen_at: Mapped[datetime]
    thaw_at: Mapped[datetime] = mapped_column(index=True)


class GuestErrand(Base):
    """What an open operation in a guest must remember and the journal must not: gone when the operation has ended.

    ``secret`` is a password's crypt(3) hash. A command has ``begun`` before the guest is asked to run it, so that it
    never runs twice; ``pid`` is its number in the guest, ``outcome`` what came of it.
    """

    __tablename__ = "guest_errand"

    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    instance_id: Mapped[str] = mapped_column(sa.ForeignKey("instance.id", ondelete="CASCADE"), index=True)
    secret: Mapped[str] = mapped_column(sa.String(300), default="", deferred=True)
    begun: Mapped[bool] = mapped_column(default=False)
    pid: Mapped[int | None]
    outcome: Mapped[dict[str, Any] | None] = mapped_column(JSON)
