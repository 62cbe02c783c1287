"""Tables of the networks, what each verb asks of a role, and the states of each thing."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import Base, Row
from yun.base.ids import as_uuid
from yun.base.permissions import declare

declare("network", list="reader", show="reader", create="member", tag="member", delete="member")
declare("network", "cloud", ensure_default="admin", reconcile="admin", tend="admin")
declare("subnet", list="reader", show="reader", create="member", delete="member")
declare("router", list="reader", show="reader")
declare("port", list="reader", show="reader")
declare(
    "security_group", list="reader", show="reader", create="member", delete="member", add_rule="member",
    remove_rule="member",
)  # fmt: skip
declare(
    "floating_ip", list="reader", show="reader", allocate="member", associate="member", disassociate="member",
    release="member",
)  # fmt: skip

ACTIVE, TRASHED = "active", "trashed"
DOWN, UP = "down", "up"

ALLOWED: dict[str, dict[str, tuple[str, ...]]] = {
    "network": {"delete": (ACTIVE,), "tag": (ACTIVE,)},
    "subnet": {"delete": (ACTIVE,)},
    "security_group": {"delete": (ACTIVE,), "add_rule": (ACTIVE,), "remove_rule": (ACTIVE,)},
    "floating_ip": {"associate": (ACTIVE,), "disassociate": (ACTIVE,), "release": (ACTIVE,)},
}
"""Which verb is allowed in which state, by noun."""


class Trashable:
    """A thing that lies in the trash for a while before it is purged; names and addresses stay taken meanwhile."""

    state: Mapped[str] = mapped_column(sa.String(20), default=ACTIVE)
    trashed_at: Mapped[datetime | None]


class Network(Trashable, Row, Base):
    """A layer-2 network of a project; ``project_id`` None: of the whole cloud. ``physical`` names the bridge mapping
    of an external one, whose addresses are floating IPs. ``mtu`` in bytes."""

    PREFIX = "net"
    __tablename__ = "network"

    project_id: Mapped[str | None] = mapped_column(sa.ForeignKey("project.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(100))
    description: Mapped[str] = mapped_column(sa.String(1000), default="")
    tags: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    external: Mapped[bool] = mapped_column(default=False)
    physical: Mapped[str | None] = mapped_column(sa.String(64))
    vlan: Mapped[int | None]
    mtu: Mapped[int] = mapped_column(default=1442)

    __table_args__ = (sa.UniqueConstraint("project_id", "name"),)


class Subnet(Trashable, Row, Base):
    """A range of addresses in a network. The pool (inclusive) is what is given out by itself; DHCP serves it."""

    PREFIX = "sub"
    __tablename__ = "subnet"

    network_id: Mapped[str] = mapped_column(sa.ForeignKey("network.id"), index=True)
    project_id: Mapped[str | None] = mapped_column(sa.ForeignKey("project.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(100))
    cidr: Mapped[str] = mapped_column(sa.String(50))
    gateway: Mapped[str | None] = mapped_column(sa.String(45))
    pool_start: Mapped[str] = mapped_column(sa.String(45))
    pool_end: Mapped[str] = mapped_column(sa.String(45))
    dns_servers: Mapped[list[str]] = mapped_column(default=list)
    domain: Mapped[str] = mapped_column(sa.String(253), default="")
    dhcp: Mapped[bool] = mapped_column(default=True)
    lease_seconds: Mapped[int] = mapped_column(default=3600)

    __table_args__ = (sa.UniqueConstraint("network_id", "name"),)


class Reservation(Base):
    """One address of a subnet that is taken, by whom. ``place`` is its distance from the subnet's first address.

    Every port, router leg and floating IP has one as long as it has a row, in the trash too: two things never have
    one address, whatever table they are in.
    """

    __tablename__ = "address_reservation"

    subnet_id: Mapped[str] = mapped_column(sa.ForeignKey("subnet.id"), primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    owner_kind: Mapped[str] = mapped_column(sa.String(20))
    owner_id: Mapped[str] = mapped_column(sa.String(40), index=True)


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


class Port(Trashable, Row, Base):
    """A network card of an instance. ``state``: ``down`` (not wired), ``up``, ``trashed`` (address and MAC kept).

    ``instance_id`` names an instance without knowing it. ``device_index`` orders the cards of one instance.
    ``model`` is the card as its guest sees it: ``virtio``, ``e1000``…; ``link_up`` tells whether its cable is in.
    One that was taken out of its instance lies in the trash without an instance.
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
    host_id: Mapped[str | None] = mapped_column(sa.String(40))
    model: Mapped[str] = mapped_column(sa.String(20), default="virtio", server_default="virtio")
    link_up: Mapped[bool] = mapped_column(default=True, server_default=sa.true())
    port_security: Mapped[bool] = mapped_column(default=True)
    plugged: Mapped[bool] = mapped_column(default=False)

    __table_args__ = (
        sa.UniqueConstraint("subnet_id", "address"),
        sa.Index("ix_port_project_id_created", "project_id", "created_at", "id"),
    )

    @property
    def uuid(self) -> str:
        """The port's name for libvirt and Open vSwitch (interfaceid)."""
        return as_uuid(self.id)


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


class FloatingIp(Trashable, Row, Base):
    """An outside address of a project; with ``port_id`` it leads to that port."""

    PREFIX = "fip"
    __tablename__ = "floating_ip"

    project_id: Mapped[str] = mapped_column(sa.ForeignKey("project.id"), index=True)
    network_id: Mapped[str] = mapped_column(sa.ForeignKey("network.id"), index=True)
    subnet_id: Mapped[str] = mapped_column(sa.ForeignKey("subnet.id"))
    address: Mapped[str] = mapped_column(sa.String(45))
    port_id: Mapped[str | None] = mapped_column(sa.ForeignKey("port.id"), unique=True)
    description: Mapped[str] = mapped_column(sa.String(200), default="")

    __table_args__ = (sa.UniqueConstraint("subnet_id", "address"),)


class NetworkDefault(Base):
    """The mark that a project was given its default things once, so that those it deletes do not come back."""

    __tablename__ = "network_default"

    project_id: Mapped[str] = mapped_column(sa.ForeignKey("project.id"), primary_key=True)
