"""Which networks other projects may use."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import Base
from yun.base.permissions import declare

declare("network", share="admin", unshare="admin")

ALLOWED: dict[str, dict[str, tuple[str, ...]]] = {}
ALL = "*"


class NetworkShare(Base):
    """A project that may put its machines on a network of another; ``*``: every project may."""

    __tablename__ = "network_share"

    network_id: Mapped[str] = mapped_column(sa.ForeignKey("network.id"), primary_key=True)
    project_id: Mapped[str] = mapped_column(sa.String(40), primary_key=True, index=True)
    created_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))
