"""Ports: places in a network with a MAC and addresses; most are the network cards of instances."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import Base, Row
from yun.base.ids import as_uuid
from yun.base.permissions import declare
from yun.network.model.states import DOWN, UP, Trashable

declare(
    "port", list="reader", show="reader", create="member", update="member", delete="member", add_address="member",
    remove_address="member",
)  # fmt: skip

LIVING = (DOWN, UP)
ALLOWED: dict[str, dict[str, tuple[str, ...]]] = {
    "port": {"update": LIVING, "delete": LIVING, "add_address": LIVING, "remove_address": LIVING},
}


class Port(Trashable, Row, Base):
    """A place in a network: of an instance's network card, or of none yet.

    ``state``: ``down`` (not wired), ``up``, ``trashed`` (address and MAC kept).

    ``instance_id`` names an instance without knowing it. ``device_index`` orders the cards of one instance.
    ``model`` is the card as its guest sees it: ``virtio``, ``e1000``…; ``link_up`` tells whether its cable is in.
    One that ``waits`` is not in the running machine before its next start.
    ``labels`` are the tags of its instance, told by those who know it.
    One that was taken out of its instance lies in the trash without an instance, unless it was kept.
    ``allowed_pairs`` are further senders that may speak through it: ``{"mac": its own where None, "cidr": range}``.
    ``ingress_kbps`` limits what comes to the machine, ``egress_kbps`` what it sends, in kbit/s, with bursts in kbit;
    ``dscp`` marks what it sends. None: no limit, no mark.
    """

    PREFIX = "prt"
    __tablename__ = "port"

    project_id: Mapped[str] = mapped_column(sa.ForeignKey("project.id"), index=True)
    network_id: Mapped[str] = mapped_column(sa.ForeignKey("network.id"), index=True)
    subnet_id: Mapped[str] = mapped_column(sa.ForeignKey("subnet.id"))
    name: Mapped[str] = mapped_column(sa.String(100), default="")
    mac: Mapped[str] = mapped_column(sa.String(17), unique=True)
    address: Mapped[str] = mapped_column(sa.String(45), index=True)
    instance_id: Mapped[str | None] = mapped_column(sa.String(40), index=True)
    device_index: Mapped[int] = mapped_column(default=0)
    hostname: Mapped[str] = mapped_column(sa.String(63), default="")
    labels: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    host_id: Mapped[str | None] = mapped_column(sa.String(40))
    model: Mapped[str] = mapped_column(sa.String(20), default="virtio", server_default="virtio")
    link_up: Mapped[bool] = mapped_column(default=True, server_default=sa.true())
    waits: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    port_security: Mapped[bool] = mapped_column(default=True)
    allowed_pairs: Mapped[list[dict[str, Any]]] = mapped_column(default=list, server_default="[]")
    ingress_kbps: Mapped[int | None]
    egress_kbps: Mapped[int | None]
    ingress_burst_kbit: Mapped[int | None]
    egress_burst_kbit: Mapped[int | None]
    dscp: Mapped[int | None]
    plugged: Mapped[bool] = mapped_column(default=False)

    __table_args__ = (
        sa.UniqueConstraint("subnet_id", "address"),
        sa.Index("ix_port_project_id_created", "project_id", "created_at", "id"),
    )

    @property
    def uuid(self) -> str:
        """The port's name for libvirt and Open vSwitch (interfaceid)."""
        return as_uuid(self.id)


class PortAddress(Base):
    """One more address of a port, beside ``Port.address``: of another subnet of its network, or a second of the same.

    Each has a `Reservation` in the port's name like the first.
    """

    __tablename__ = "port_address"

    subnet_id: Mapped[str] = mapped_column(sa.ForeignKey("subnet.id"), primary_key=True)
    address: Mapped[str] = mapped_column(sa.String(45), primary_key=True)
    port_id: Mapped[str] = mapped_column(sa.ForeignKey("port.id"), index=True)
