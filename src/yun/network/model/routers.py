"""Routers and their legs."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import Base, Row
from yun.base.permissions import declare
from yun.network.model.states import Trashable

declare("router", list="reader", show="reader")

ALLOWED: dict[str, dict[str, tuple[str, ...]]] = {}


class Router(Trashable, Row, Base):
    """Connects a project's subnets with each other and, with source NAT, to an external network. ``host_id`` is the
    host that carries its outside leg."""

    PREFIX = "rtr"
    __tablename__ = "router"

    project_id: Mapped[str] = mapped_column(sa.ForeignKey("project.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(100))
    snat: Mapped[bool] = mapped_column(default=True)
    host_id: Mapped[str | None] = mapped_column(sa.String(40))

    __table_args__ = (sa.UniqueConstraint("project_id", "name"),)


class RouterInterface(Row, Base):
    """A router's leg in a subnet; the ``external`` one is the way out."""

    PREFIX = "rif"
    __tablename__ = "router_interface"

    router_id: Mapped[str] = mapped_column(sa.ForeignKey("router.id"), index=True)
    network_id: Mapped[str] = mapped_column(sa.ForeignKey("network.id"), index=True)
    subnet_id: Mapped[str] = mapped_column(sa.ForeignKey("subnet.id"), index=True)
    address: Mapped[str] = mapped_column(sa.String(45))
    mac: Mapped[str] = mapped_column(sa.String(17), unique=True)
    external: Mapped[bool] = mapped_column(default=False)

    __table_args__ = (sa.UniqueConstraint("subnet_id", "address"),)
