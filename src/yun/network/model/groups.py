"""Security groups, their rules, and which port is in which."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import Base, Row
from yun.base.permissions import declare
from yun.network.model.states import ACTIVE, Trashable

declare(
    "security_group", list="reader", show="reader", create="member", delete="member", add_rule="member",
    remove_rule="member",
)  # fmt: skip

ALLOWED: dict[str, dict[str, tuple[str, ...]]] = {
    "security_group": {"delete": (ACTIVE,), "add_rule": (ACTIVE,), "remove_rule": (ACTIVE,)},
}


class SecurityGroup(Trashable, Row, Base):
    """A named set of rules; what no rule of a port's groups allows is dropped. Each project has a ``default`` one."""

    PREFIX = "sgr"
    __tablename__ = "security_group"

    project_id: Mapped[str] = mapped_column(sa.ForeignKey("project.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(100))
    description: Mapped[str] = mapped_column(sa.String(1000), default="")
    is_default: Mapped[bool] = mapped_column(default=False)

    __table_args__ = (sa.UniqueConstraint("project_id", "name"),)


class SecurityRule(Row, Base):
    """One thing that a group allows, replies included. Ports are inclusive; ``remote_cidr`` or ``remote_group_id``
    limits the other side, neither means anybody."""

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
    description: Mapped[str] = mapped_column(sa.String(200), default="")


class PortSecurityGroup(Base):
    """Which groups a port is in."""

    __tablename__ = "port_security_group"

    port_id: Mapped[str] = mapped_column(sa.ForeignKey("port.id"), primary_key=True)
    group_id: Mapped[str] = mapped_column(sa.ForeignKey("security_group.id"), primary_key=True, index=True)
