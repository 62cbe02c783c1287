"""Load balancers: an address whose connections are shared among several instances."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import Base, Row
from yun.base.permissions import declare
from yun.network.model.states import ACTIVE, Trashable

declare(
    "load_balancer", list="reader", show="reader", create="member", update="member", delete="member",
    add_listener="member", change_listener="member", remove_listener="member", add_member="member",
    remove_member="member",
)  # fmt: skip
declare("load_balancer", "cloud", tend="admin")

_CHANGES = ("update", "delete", "add_listener", "change_listener", "remove_listener", "add_member", "remove_member")
ALLOWED: dict[str, dict[str, tuple[str, ...]]] = {"load_balancer": dict.fromkeys(_CHANGES, (ACTIVE,))}

ONLINE, OFFLINE, UNKNOWN = "online", "offline", "unknown"


class LoadBalancer(Trashable, Row, Base):
    """An inner address of a subnet, and a floating IP in front of it if one is wanted, whose connections are shared
    among members."""

    PREFIX = "lba"
    __tablename__ = "load_balancer"

    project_id: Mapped[str] = mapped_column(sa.ForeignKey("project.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(100))
    description: Mapped[str] = mapped_column(sa.String(1000), default="")
    network_id: Mapped[str] = mapped_column(sa.ForeignKey("network.id"), index=True)
    subnet_id: Mapped[str] = mapped_column(sa.ForeignKey("subnet.id"), index=True)
    address: Mapped[str] = mapped_column(sa.String(45))
    floating_ip_id: Mapped[str | None] = mapped_column(sa.ForeignKey("floating_ip.id"), unique=True)

    __table_args__ = (sa.UniqueConstraint("project_id", "name"), sa.UniqueConstraint("subnet_id", "address"))


class Listener(Row, Base):
    """One port of a load balancer. ``member_port`` is where members listen. With ``affinity_seconds`` a caller keeps
    its member for that long after its last connection. With ``check_seconds`` members are looked at so often: one that
    fails ``check_failures`` times in a row gets nothing more until it answers again; an answer is waited for
    ``check_timeout`` seconds."""

    PREFIX = "lis"
    __tablename__ = "load_balancer_listener"

    load_balancer_id: Mapped[str] = mapped_column(sa.ForeignKey("load_balancer.id"), index=True)
    protocol: Mapped[str] = mapped_column(sa.String(10), default="tcp")
    port: Mapped[int]
    member_port: Mapped[int]
    affinity_seconds: Mapped[int] = mapped_column(default=0)
    check_seconds: Mapped[int] = mapped_column(default=0)
    check_timeout: Mapped[int] = mapped_column(default=2)
    check_failures: Mapped[int] = mapped_column(default=3)

    __table_args__ = (sa.UniqueConstraint("load_balancer_id", "protocol", "port"),)


class Member(Row, Base):
    """Who shares the connections of a load balancer: a port, an instance, or every instance with a tag.

    ``kind`` is ``port``, ``instance`` or ``tag``; ``target`` the id, or the tag itself.
    """

    PREFIX = "mem"
    __tablename__ = "load_balancer_member"

    load_balancer_id: Mapped[str] = mapped_column(sa.ForeignKey("load_balancer.id"), index=True)
    kind: Mapped[str] = mapped_column(sa.String(10))
    target: Mapped[str] = mapped_column(sa.String(100), index=True)

    __table_args__ = (sa.UniqueConstraint("load_balancer_id", "kind", "target"),)


class MemberHealth(Base):
    """What the last look at a member's port by a listener's check found: ``online``, ``offline`` or ``unknown``, and
    since when."""

    __tablename__ = "load_balancer_health"

    listener_id: Mapped[str] = mapped_column(sa.ForeignKey("load_balancer_listener.id"), primary_key=True)
    port_id: Mapped[str] = mapped_column(sa.ForeignKey("port.id"), primary_key=True, index=True)
    state: Mapped[str] = mapped_column(sa.String(10), default=UNKNOWN)
    since: Mapped[datetime]
