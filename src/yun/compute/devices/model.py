"""The table of PCI and USB devices of hosts, and who may see them and give them away."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import Base, Row
from yun.base.messages import Message, _
from yun.base.permissions import declare

declare("host", "cloud", devices="admin")
declare("instance", "cloud", add_host_device="admin", remove_host_device="admin")


class HostDevice(Row, Base):
    """A device of a host, as last seen; ``instance_id`` is the machine that it was given to.

    ``identity`` tells it from all others of its host and stays: a PCI device's address; a USB device's maker, kind and
    serial number where that is one of its own, else the port it is plugged into. ``address`` is where it is now. One
    that is not ``present`` was pulled out: it is kept for the machine that has it, and for as long as an undo may want
    it. The other columns are those of the driver's `HostDevice`.
    """

    PREFIX = "hdv"
    __tablename__ = "host_device"

    host_id: Mapped[str] = mapped_column(sa.ForeignKey("host.id"))
    identity: Mapped[str] = mapped_column(sa.String(200))
    kind: Mapped[str] = mapped_column(sa.String(10))
    address: Mapped[str] = mapped_column(sa.String(40))
    vendor_id: Mapped[str] = mapped_column(sa.String(8))
    product_id: Mapped[str] = mapped_column(sa.String(8))
    vendor: Mapped[str] = mapped_column(sa.String(200), default="")
    product: Mapped[str] = mapped_column(sa.String(200), default="")
    serial: Mapped[str] = mapped_column(sa.String(200), default="")
    category: Mapped[str] = mapped_column(sa.String(10), default="")
    driver: Mapped[str] = mapped_column(sa.String(60), default="")
    iommu_group: Mapped[int | None]
    bus: Mapped[int] = mapped_column(default=0)
    number: Mapped[int] = mapped_column(default=0)
    host_use: Mapped[str] = mapped_column(sa.String(20), default="")
    present: Mapped[bool] = mapped_column(default=True)
    seen_at: Mapped[datetime]
    instance_id: Mapped[str | None] = mapped_column(sa.ForeignKey("instance.id", ondelete="SET NULL"), index=True)

    __table_args__ = (sa.UniqueConstraint("host_id", "identity"),)

    @property
    def name(self) -> str:
        """What a person calls it."""
        words = " ".join(word for word in (self.vendor, self.product) if word)
        return words or f"{self.vendor_id}:{self.product_id}"


USES: dict[str, Message] = {
    "disk": _("the host has file systems or swap on it"),
    "network": _("it is the host's way into the network, or belongs to one of its bridges"),
    "bridge": _("it is a bridge that leads to other devices"),
}
"""Why the host cannot give a device away, by the word that its row keeps."""
