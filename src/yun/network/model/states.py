"""The states that things of the networks share, and the trash they lie in."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

ACTIVE, TRASHED = "active", "trashed"
DOWN, UP = "down", "up"


class Trashable:
    """A thing that lies in the trash for a while before it is purged; names and addresses stay taken meanwhile."""

    state: Mapped[str] = mapped_column(sa.String(20), default=ACTIVE)
    trashed_at: Mapped[datetime | None]
