"""Security groups, their rules, and which port is in which."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import Base, Row
from yun.base.permissions import declare
from yun.network.model.states import ACTIVE, Trashable

declare(
    "security_group", list="reader", show="reader", create="member", update="member", clone="member", delete="member",
    add_rule="member", update_rule="member", remove_rule="member",
)  # fmt: skip
declare("network", reach="reader")
declare("security_group", log="admin", stop_log="admin", hits="admin")
declare("address_set", list="reader", show="reader", create="member", update="member", delete="member")

ALLOWED: dict[str, dict[str, tuple[str, ...]]] = {
    "security_group": dict.fromkeys(
        ("update", "clone", "delete", "add_rule", "update_rule", "remove_rule", "log", "stop_log"), (ACTIVE,)
    ),
    "address_set": dict.fromkeys(("update", "delete"), (ACTIVE,)),
}


class SecurityGroup(Trashable, Row, Base):
    """A named set of rules; what no rule of a port's groups allows is dropped. Each project has a ``default`` one.

    A ``stateless`` one follows no connections: answers need rules of their own. Until ``log_until`` what its rules
    let through and what is dropped is noted.
    """

    PREFIX = "sgr"
    __tablename__ = "security_group"

    project_id: Mapped[str] = mapped_column(sa.ForeignKey("project.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(100))
    description: Mapped[str] = mapped_column(sa.String(1000), default="")
    is_default: Mapped[bool] = mapped_column(default=False)
    stateless: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    log_until: Mapped[datetime | None]

    __table_args__ = (sa.UniqueConstraint("project_id", "name"),)


class SecurityRule(Row, Base):
    """One thing that a group allows, replies included. Ports are inclusive; ``remote_cidr``, ``remote_group_id`` or
    ``remote_set_id`` limits the other side, none of them means anybody."""

    PREFIX = "sru"
    __tablename__ = "security_rule"

    group_id: Mapped[str] = mapped_column(sa.ForeignKey("security_group.id"), index=True)
    direction: Mapped[str] = mapped_column(sa.String(10))
    family: Mapped[str] = mapped_column(sa.String(10), default="ipv4")
    protocol: Mapped[str] = mapped_column(sa.String(10), default="any")
    port_min: Mapped[int | None]
    port_max: Mapped[int | None]
    icmp_type: Mapped[int | None]
    icmp_code: Mapped[int | None]
    remote_cidr: Mapped[str | None] = mapped_column(sa.String(50))
    remote_group_id: Mapped[str | None] = mapped_column(sa.ForeignKey("security_group.id"), index=True)
    remote_set_id: Mapped[str | None] = mapped_column(sa.ForeignKey("address_set.id"), index=True)
    description: Mapped[str] = mapped_column(sa.String(200), default="")


class AddressSet(Trashable, Row, Base):
    """Ranges of addresses with a name, of both families, for the other side of rules: changed once, in force in all."""

    PREFIX = "ads"
    __tablename__ = "address_set"

    project_id: Mapped[str] = mapped_column(sa.ForeignKey("project.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(100))
    description: Mapped[str] = mapped_column(sa.String(1000), default="")
    ranges: Mapped[list[str]] = mapped_column(default=list)

    __table_args__ = (sa.UniqueConstraint("project_id", "name"),)


class SecurityHit(Base):
    """What was noted of one rule of a group, or of what was dropped (no rule): how much, and the last samples."""

    __tablename__ = "security_hit"

    group_id: Mapped[str] = mapped_column(sa.ForeignKey("security_group.id", ondelete="CASCADE"), primary_key=True)
    rule_id: Mapped[str] = mapped_column(sa.String(40), primary_key=True, default="")
    count: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    last_at: Mapped[datetime]
    samples: Mapped[list[dict[str, Any]]] = mapped_column(default=list)


class SecurityLogMark(Base):
    """Up to when what a host noted of a group was read; the host without a name is all of them, when it began."""

    __tablename__ = "security_log_mark"

    group_id: Mapped[str] = mapped_column(sa.ForeignKey("security_group.id", ondelete="CASCADE"), primary_key=True)
    host_id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    read_until: Mapped[datetime]


class PortSecurityGroup(Base):
    """Which groups a port is in."""

    __tablename__ = "port_security_group"

    port_id: Mapped[str] = mapped_column(sa.ForeignKey("port.id"), primary_key=True)
    group_id: Mapped[str] = mapped_column(sa.ForeignKey("security_group.id"), primary_key=True, index=True)
