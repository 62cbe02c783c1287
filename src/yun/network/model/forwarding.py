"""Port forwardings: single ports of an outside address that lead to machines behind it."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import Base, Row
from yun.base.permissions import declare
from yun.network.model.states import ACTIVE, Trashable

declare("port_forwarding", list="reader", show="reader", create="member", delete="member")

ALLOWED: dict[str, dict[str, tuple[str, ...]]] = {"port_forwarding": {"delete": (ACTIVE,)}}


class PortForwarding(Trashable, Row, Base):
    """Ports ``outside_port`` to ``outside_port_max`` of an outside address, led to a port of a machine from
    ``inner_port`` on. The address is a floating IP's, or the router's own where ``router_id`` is set instead.

    ``inner_address`` is one of the port's further addresses, None its first one.
    """

    PREFIX = "pfw"
    __tablename__ = "port_forwarding"

    project_id: Mapped[str] = mapped_column(sa.ForeignKey("project.id"), index=True)
    floating_ip_id: Mapped[str | None] = mapped_column(sa.ForeignKey("floating_ip.id"), index=True)
    router_id: Mapped[str | None] = mapped_column(sa.ForeignKey("router.id"), index=True)
    port_id: Mapped[str] = mapped_column(sa.ForeignKey("port.id"), index=True)
    inner_address: Mapped[str | None] = mapped_column(sa.String(45))
    protocol: Mapped[str] = mapped_column(sa.String(10))
    outside_port: Mapped[int]
    outside_port_max: Mapped[int]
    inner_port: Mapped[int]
    description: Mapped[str] = mapped_column(sa.String(200), default="")
