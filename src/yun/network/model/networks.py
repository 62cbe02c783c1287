"""Networks, their subnets, and who has which address."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import Base, Row
from yun.base.permissions import declare
from yun.network.model.states import ACTIVE, Trashable

declare(
    "network", list="reader", show="reader", topology="reader", create="member", tag="member", update="member",
    delete="member",
)  # fmt: skip
declare("network", "cloud", ensure_default="admin", provide="admin", reconcile="admin", tend="admin")
declare("subnet", list="reader", show="reader", create="member", update="member", delete="member",
        reserve="member", unreserve="member", addresses="reader")  # fmt: skip

ALLOWED: dict[str, dict[str, tuple[str, ...]]] = {
    "network": {"delete": (ACTIVE,), "tag": (ACTIVE,), "update": (ACTIVE,)},
    "subnet": {"delete": (ACTIVE,), "update": (ACTIVE,), "reserve": (ACTIVE,), "unreserve": (ACTIVE,)},
}


class Network(Trashable, Row, Base):
    """A layer-2 network of a project; ``project_id`` None: of the whole cloud. ``physical`` names the bridge mapping
    of an external one, whose addresses are floating IPs. ``mtu`` in bytes; in ``domain`` its ports have names."""

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
    domain: Mapped[str] = mapped_column(sa.String(253), default="", server_default="")

    __table_args__ = (sa.UniqueConstraint("project_id", "name"),)


class Subnet(Trashable, Row, Base):
    """A range of addresses in a network. The pool (inclusive) is what is given out by itself; DHCP serves it.

    ``routes`` are what guests are told of other ranges: ``{"destination": CIDR, "nexthop": address}``. An IPv6 one says
    in ``ipv6_mode`` how guests get their addresses: ``slaac``, ``dhcpv6-stateful`` or ``dhcpv6-stateless``.
    """

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
    ntp_servers: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    routes: Mapped[list[dict[str, Any]]] = mapped_column(default=list, server_default="[]")
    ipv6_mode: Mapped[str] = mapped_column(sa.String(20), default="", server_default="")

    __table_args__ = (sa.UniqueConstraint("network_id", "name"),)


class Place(sa.types.TypeDecorator[int]):
    """A distance of up to 64 bits without a sign, in a column of 64 bits with one; those below 2**63 keep order."""

    impl = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: sa.Dialect) -> int | None:
        """Beyond the middle, numbers go on from the lowest."""
        return value - 2**64 if value is not None and value >= 2**63 else value

    def process_result_value(self, value: int | None, dialect: sa.Dialect) -> int | None:
        """And come back."""
        return value + 2**64 if value is not None and value < 0 else value


class Reservation(Base):
    """One address of a subnet that is taken, by whom. ``place`` is its distance from the subnet's first address.

    Every port, router leg and floating IP has one as long as it has a row, in the trash too: two things never have
    one address, whatever table they are in.
    """

    __tablename__ = "address_reservation"

    subnet_id: Mapped[str] = mapped_column(sa.ForeignKey("subnet.id"), primary_key=True)
    place: Mapped[int] = mapped_column(Place(), primary_key=True, autoincrement=False)
    owner_kind: Mapped[str] = mapped_column(sa.String(20))
    owner_id: Mapped[str] = mapped_column(sa.String(40), index=True)
    since: Mapped[datetime | None] = mapped_column(default=lambda: datetime.now(UTC))


class AddressRange(Row, Base):
    """Addresses of a subnet, from ``first`` to ``last`` (distances like `Reservation.place`), that the cloud gives to
    nobody: somebody keeps them for things that it does not know, or for later."""

    PREFIX = "rsv"
    __tablename__ = "address_range"

    subnet_id: Mapped[str] = mapped_column(sa.ForeignKey("subnet.id"), index=True)
    first: Mapped[int] = mapped_column(Place())
    last: Mapped[int] = mapped_column(Place())
    note: Mapped[str] = mapped_column(sa.String(200), default="")


class NetworkDefault(Base):
    """The mark that a project was given its default things once, so that those it deletes do not come back."""

    __tablename__ = "network_default"

    project_id: Mapped[str] = mapped_column(sa.ForeignKey("project.id"), primary_key=True)
