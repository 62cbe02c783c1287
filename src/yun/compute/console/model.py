"""The table of console tickets, and what consoles ask of a role."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import Base, Row
from yun.base.permissions import declare

declare("instance", screenshot="reader", log="reader")

KINDS = ("vnc", "spice", "serial")
SCREENS = ("vnc", "spice")
LIFE_SECONDS = 30


def screens_of(running_hardware: Mapping[str, Any]) -> list[str]:
    """The kinds of screens that a running machine has, the one to show first in front."""
    display = str(running_hardware.get("display", "vnc"))
    return list(SCREENS) if display == "both" else [display]


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
