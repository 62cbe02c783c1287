"""Floating IPs."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import Base, Row
from yun.base.permissions import declare
from yun.network.model.states import ACTIVE, Trashable

declare(
    "floating_ip", list="reader", show="reader", allocate="member", update="member", associate="member",
    disassociate="member", release="member",
)  # fmt: skip

ALLOWED: dict[str, dict[str, tuple[str, ...]]] = {
    "floating_ip": {"update": (ACTIVE,), "associate": (ACTIVE,), "disassociate": (ACTIVE,), "release": (ACTIVE,)},
}


class FloatingIp(Trashable, Row, Base):
    """An outside address of a project; with ``port_id`` it leads to that port, at its first address or at
    ``inner_address``, which is another one of the port's."""

    PREFIX = "fip"
    __tablename__ = "floating_ip"

    project_id: Mapped[str] = mapped_column(sa.ForeignKey("project.id"), index=True)
    network_id: Mapped[str] = mapped_column(sa.ForeignKey("network.id"), index=True)
    subnet_id: Mapped[str] = mapped_column(sa.ForeignKey("subnet.id"))
    address: Mapped[str] = mapped_column(sa.String(45))
    port_id: Mapped[str | None] = mapped_column(sa.ForeignKey("port.id"), unique=True)
    inner_address: Mapped[str | None] = mapped_column(sa.String(45))
    name: Mapped[str] = mapped_column(sa.String(100), default="", server_default="")
    description: Mapped[str] = mapped_column(sa.String(200), default="")

    __table_args__ = (sa.UniqueConstraint("subnet_id", "address"),)
