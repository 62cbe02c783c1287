"""What went through ports: samples of their counters, and recordings of their packets."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import Base, Row
from yun.base.permissions import declare

declare("port", metrics="reader", capture="admin")
declare("capture", list="admin", show="admin", download="admin", stop="admin", delete="admin")

RECORDING, COMPLETE, FAILED = "recording", "complete", "failed"
CAPTURE_STATES = (RECORDING, COMPLETE, FAILED)
ALLOWED: dict[str, dict[str, tuple[str, ...]]] = {
    "capture": {"stop": (RECORDING,), "delete": CAPTURE_STATES, "download": (COMPLETE,)},
}


class PortSample(Base):
    """One measurement of a plugged port: counters as read, as its machine sees them."""

    __tablename__ = "port_sample"

    port_id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True, index=True)
    bytes_in: Mapped[int]
    packets_in: Mapped[int]
    dropped_in: Mapped[int]
    bytes_out: Mapped[int]
    packets_out: Mapped[int]
    dropped_out: Mapped[int]

    __table_args__: Any = {"sqlite_with_rowid": False}


class Capture(Row, Base):
    """A recording of a port's packets. ``reason`` is why it ended: ``time``, ``size``, ``stopped``, ``lost``;
    ``size`` in bytes, ``packets`` once it has ended. ``port_id`` outlives the port."""

    PREFIX = "cap"
    __tablename__ = "capture"

    project_id: Mapped[str] = mapped_column(sa.ForeignKey("project.id"), index=True)
    port_id: Mapped[str] = mapped_column(sa.String(40), index=True)
    port_name: Mapped[str] = mapped_column(sa.String(100))
    host_id: Mapped[str] = mapped_column(sa.String(40))
    filter: Mapped[str] = mapped_column(sa.String(200), default="")
    seconds: Mapped[int]
    max_bytes: Mapped[int]
    made_by: Mapped[str] = mapped_column(sa.String(200), default="")
    state: Mapped[str] = mapped_column(sa.String(20), default=RECORDING)
    reason: Mapped[str] = mapped_column(sa.String(20), default="")
    size: Mapped[int] = mapped_column(default=0)
    packets: Mapped[int | None]
    path: Mapped[str] = mapped_column(sa.String(500), default="")
    ended_at: Mapped[datetime | None]
