"""Names of a network beside those of its machines."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import Base, Row
from yun.base.permissions import declare

declare("dns_record", list="reader", show="reader", create="member", delete="member")

ALLOWED: dict[str, dict[str, tuple[str, ...]]] = {}


class DnsRecord(Row, Base):
    """A name that a network answers with an address. One without a dot is also found in the network's domain; ``kind``
    is ``A`` or ``AAAA``. A name may have several."""

    PREFIX = "dnr"
    __tablename__ = "dns_record"

    network_id: Mapped[str] = mapped_column(sa.ForeignKey("network.id"), index=True)
    project_id: Mapped[str | None] = mapped_column(sa.ForeignKey("project.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(253))
    kind: Mapped[str] = mapped_column(sa.String(4))
    address: Mapped[str] = mapped_column(sa.String(45))

    __table_args__ = (sa.UniqueConstraint("network_id", "name", "address"),)
