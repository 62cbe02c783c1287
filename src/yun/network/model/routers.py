"""Routers and their legs."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import Base, Row
from yun.base.permissions import declare
from yun.network.model.states import ACTIVE, Trashable

declare(
    "router", list="reader", show="reader", create="member", update="member", delete="member", add_interface="member",
    remove_interface="member", set_gateway="member", clear_gateway="member", add_route="member", remove_route="member",
)  # fmt: skip

ALLOWED: dict[str, dict[str, tuple[str, ...]]] = {
    "router": {
        "update": (ACTIVE,), "delete": (ACTIVE,), "add_interface": (ACTIVE,), "remove_interface": (ACTIVE,),
        "set_gateway": (ACTIVE,), "clear_gateway": (ACTIVE,), "add_route": (ACTIVE,), "remove_route": (ACTIVE,),
    },
}  # fmt: skip


class Router(Trashable, Row, Base):
    """Connects a project's subnets with each other and, with source NAT, to an external network. ``host_id`` is the
    host that carries its outside leg."""

    PREFIX = "rtr"
    __tablename__ = "router"

    project_id: Mapped[str] = mapped_column(sa.ForeignKey("project.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(100))
    description: Mapped[str] = mapped_column(sa.String(1000), default="", server_default="")
    snat: Mapped[bool] = mapped_column(default=True)
    host_id: Mapped[str | None] = mapped_column(sa.String(40))

    __table_args__ = (sa.UniqueConstraint("project_id", "name"),)


class RouterInterface(Trashable, Row, Base):
    """A router's leg in a subnet; the ``external`` one is the way out.

    One that was taken off lies in the trash with its address and MAC. Two living ones never have one address.
    """

    PREFIX = "rif"
    __tablename__ = "router_interface"

    router_id: Mapped[str] = mapped_column(sa.ForeignKey("router.id"), index=True)
    network_id: Mapped[str] = mapped_column(sa.ForeignKey("network.id"), index=True)
    subnet_id: Mapped[str] = mapped_column(sa.ForeignKey("subnet.id"), index=True)
    address: Mapped[str] = mapped_column(sa.String(45))
    mac: Mapped[str] = mapped_column(sa.String(17), unique=True)
    external: Mapped[bool] = mapped_column(default=False)

    __table_args__ = (
        sa.Index(
            "uq_router_interface_living", "subnet_id", "address", unique=True,
            sqlite_where=sa.text("state = 'active'"), postgresql_where=sa.text("state = 'active'"),
        ),
    )  # fmt: skip


class RouterRoute(Row, Base):
    """A static route: what goes to ``destination`` (a range) is handed to ``next_hop``, an address in a subnet of one
    of the router's legs."""

    PREFIX = "rou"
    __tablename__ = "router_route"

    router_id: Mapped[str] = mapped_column(sa.ForeignKey("router.id"), index=True)
    destination: Mapped[str] = mapped_column(sa.String(50))
    next_hop: Mapped[str] = mapped_column(sa.String(45))

    __table_args__ = (sa.UniqueConstraint("router_id", "destination"),)
