"""The table of console tickets, and what consoles ask of a role."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import Base, Row
from yun.base.permissions import declare

declare("instance", screenshot="reader", log="reader")

KINDS = ("vnc", "serial")
LIFE_SECONDS = 30


class ConsoleTicket(Row, Base):
    """The right to open one console once: for one person, one instance, for `LIFE_SECONDS`.

    Only the SHA-256 of its secret is kept. ``actor_id`` must be who connects. Rows are removed an hour after they ran
    out; purging the instance leaves them to that.
    """

    PREFIX = "ctk"
    __tablename__ = "console_ticket"

    digest: Mapped[str] = mapped_column(sa.String(64), unique=True)
    kind: Mapped[str] = mapped_column(sa.String(10))
    instance_id: Mapped[str] = mapped_column(sa.String(40))
    actor_id: Mapped[str] = mapped_column(sa.String(80))
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]
