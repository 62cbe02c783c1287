"""Physical networks: what is beyond a host's cards, as operators describe it."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import Base, Row
from yun.base.permissions import declare

declare("physical_network", "cloud", list="reader", show="reader", create="admin", delete="admin")

ALLOWED: dict[str, dict[str, tuple[str, ...]]] = {}


class PhysicalNetwork(Row, Base):
    """A physical network as one host reaches it: by a bridge of Open vSwitch and, where one is named, a card in it. The
    same name on several hosts is the same network."""

    PREFIX = "phy"
    __tablename__ = "physical_network"

    name: Mapped[str] = mapped_column(sa.String(64), index=True)
    host_id: Mapped[str] = mapped_column(sa.String(40))
    bridge: Mapped[str] = mapped_column(sa.String(15))
    interface: Mapped[str] = mapped_column(sa.String(15), default="")
    description: Mapped[str] = mapped_column(sa.String(1000), default="")

    __table_args__ = (sa.UniqueConstraint("name", "host_id"),)
