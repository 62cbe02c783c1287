"""Peerings: routers of two projects that reach each other for the ranges both sides agreed to."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import Base, Row
from yun.base.permissions import declare
from yun.network.model.states import ACTIVE, Trashable

REQUESTED = "requested"

declare("network_peering", list="reader", show="reader", create="member", accept="member", delete="member")

ALLOWED: dict[str, dict[str, tuple[str, ...]]] = {
    "network_peering": {"accept": (REQUESTED,), "delete": (REQUESTED, ACTIVE)},
}


class NetworkPeering(Trashable, Row, Base):
    """``project_id`` asked ``peer_project_id`` that ``ranges`` behind its router and ``peer_ranges`` behind the other's
    reach each other. ``state``: ``requested``, ``active`` once the other side named its router, ``trashed``.

    Nothing flows unless both ``agreed`` and ``peer_agreed``: each is one side's consent and taken back by that side.
    ``link`` numbers the pair of addresses between the two routers.
    """

    PREFIX = "pee"
    __tablename__ = "network_peering"

    project_id: Mapped[str] = mapped_column(sa.ForeignKey("project.id"), index=True)
    peer_project_id: Mapped[str] = mapped_column(sa.ForeignKey("project.id"), index=True)
    router_id: Mapped[str] = mapped_column(sa.ForeignKey("router.id"), index=True)
    peer_router_id: Mapped[str | None] = mapped_column(sa.ForeignKey("router.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(100))
    description: Mapped[str] = mapped_column(sa.String(1000), default="")
    ranges: Mapped[list[str]] = mapped_column(default=list)
    peer_ranges: Mapped[list[str]] = mapped_column(default=list)
    agreed: Mapped[bool] = mapped_column(default=True)
    peer_agreed: Mapped[bool] = mapped_column(default=False)
    link: Mapped[int] = mapped_column(unique=True)

    __table_args__ = (sa.UniqueConstraint("project_id", "name"),)
