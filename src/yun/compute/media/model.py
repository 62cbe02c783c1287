"""The table of CD drives, and who may change what lies in them."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import Base, Row
from yun.base.permissions import declare

declare("instance", insert="member", eject="member")


class CdDrive(Row, Base):
    """A CD drive of an instance, ``slot`` its name there; empty where ``image_id`` is.

    ``layer_id`` is the file that lies in it: while it is named here the file stays, even if its image is purged.
    ``boot_order``: the machine tries it in this turn, as it does its disks (None: never).
    """

    PREFIX = "cdd"
    __tablename__ = "cd_drive"

    instance_id: Mapped[str] = mapped_column(sa.ForeignKey("instance.id", ondelete="CASCADE"))
    slot: Mapped[str] = mapped_column(sa.String(10))
    bus: Mapped[str] = mapped_column(sa.String(10))
    image_id: Mapped[str | None] = mapped_column(sa.String(40))
    image_name: Mapped[str] = mapped_column(sa.String(120), default="")
    layer_id: Mapped[str | None] = mapped_column(sa.ForeignKey("layer.id"), index=True)
    boot_order: Mapped[int | None]

    __table_args__ = (sa.UniqueConstraint("instance_id", "slot"),)
