"""Tables of snapshots: the nodes of each instance's tree, the disks in them, and where its present grows from."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import Base, Row
from yun.base.messages import Message, _
from yun.base.permissions import declare

declare(
    "snapshot", list="reader", show="reader", create="member", update="member", delete="member", purge="member",
    restore="member", restore_as="member", take_disk="member", fork="member",
)  # fmt: skip


class State(StrEnum):
    """What a node is: being taken, good, in the trash."""

    BUILDING = "building"
    AVAILABLE = "available"
    TRASHED = "trashed"


class Kind(StrEnum):
    """Who took a node, and why: somebody, a restore that kept what was there before, or a
    fork for as long as it lasts."""

    MANUAL = "manual"
    PRESENT = "present"
    FORK = "fork"


KINDS: dict[str, Message] = {
    Kind.MANUAL: _("taken by hand"),
    Kind.PRESENT: _("kept before a restore"),
    Kind.FORK: _("kept while forks are made"),
}

CONSISTENCIES: dict[str, Message] = {
    "stopped": _("The instance was off."),
    "quiesced": _("The guest agent had brought the file systems to rest."),
    "crash": _("The disks are as after a power failure."),
    "memory": _("Memory and disks are of the same moment."),
}
"""In what condition the disks of a node are, by the word that its row keeps."""

NOUNS = (_("snapshot"),)

ALLOWED: dict[str, tuple[State, ...]] = {
    "restore": (State.AVAILABLE,),
    "restore_as": (State.AVAILABLE,),
    "take_disk": (State.AVAILABLE,),
    "update": (State.AVAILABLE,),
    "delete": (State.AVAILABLE,),
    "purge": (State.TRASHED,),
}
"""Which verb is allowed in which state of a snapshot."""


class Snapshot(Row, Base):
    """A node: an instance at a moment (``taken_at``). ``parent_id`` is the node that it grew from.

    ``power`` is what the instance was then (``running``, ``paused``, ``stopped``). ``memory_path`` names the image of
    its memory (``memory_bytes`` long), empty without. ``pause_ms`` is how long its guest stood still for it.
    ``definition`` are columns of the instance as they were, ``running`` the ``running_…`` ones of one that was up,
    ``cards`` its ports (id and MAC), ``drives`` its CD drives;
    ``nvram`` and ``tpm`` tell whether what these keep was kept too. ``left`` are disks that it had and that are not in
    the node. An instance that is purged takes its nodes along (`snapshot.tend`).
    """

    PREFIX = "snp"
    __tablename__ = "snapshot"

    project_id: Mapped[str] = mapped_column(sa.ForeignKey("project.id"), index=True)
    instance_id: Mapped[str] = mapped_column(sa.String(40))
    instance_name: Mapped[str] = mapped_column(sa.String(120), default="")
    parent_id: Mapped[str | None] = mapped_column(sa.ForeignKey("snapshot.id", ondelete="SET NULL"), index=True)
    name: Mapped[str] = mapped_column(sa.String(120))
    note: Mapped[str] = mapped_column(sa.String(1000), default="")
    kind: Mapped[str] = mapped_column(sa.String(20), default=Kind.MANUAL)
    state: Mapped[str] = mapped_column(sa.String(20), default=State.BUILDING)
    created_by: Mapped[str] = mapped_column(sa.String(120), default="")
    taken_at: Mapped[datetime | None]
    power: Mapped[str] = mapped_column(sa.String(20), default="")
    consistency: Mapped[str] = mapped_column(sa.String(20), default="")
    pause_ms: Mapped[float | None]
    memory_path: Mapped[str] = mapped_column(sa.String(300), default="")
    memory_bytes: Mapped[int] = mapped_column(default=0)
    nvram: Mapped[bool] = mapped_column(default=False)
    tpm: Mapped[bool] = mapped_column(default=False)
    pool_path: Mapped[str] = mapped_column(sa.String(200), default="")
    definition: Mapped[dict[str, Any]] = mapped_column(default=dict)
    running: Mapped[dict[str, Any]] = mapped_column(default=dict)
    cards: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    drives: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    left: Mapped[list[str]] = mapped_column(default=list)

    __table_args__ = (
        sa.UniqueConstraint("instance_id", "name"),
        sa.Index("ix_snapshot_created", "created_at", "id"),
        sa.Index("ix_snapshot_name", "name", "id"),
    )


class SnapshotDisk(Base):
    """A disk in a node: the volume it was then (which may be gone by now), the frozen file that has its content, how
    large the guest saw it, and its place in the instance (columns of `Attachment`)."""

    __tablename__ = "snapshot_disk"

    snapshot_id: Mapped[str] = mapped_column(sa.ForeignKey("snapshot.id", ondelete="CASCADE"), primary_key=True)
    volume_id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    volume_name: Mapped[str] = mapped_column(sa.String(120))
    layer_id: Mapped[str] = mapped_column(sa.ForeignKey("layer.id"), index=True)
    size_bytes: Mapped[int]
    place: Mapped[dict[str, Any]] = mapped_column(default=dict)

    @property
    def slot(self) -> str:
        """The disk's name in the instance (``vda``)."""
        return str(self.place.get("slot", ""))


class Present(Base):
    """Which node an instance's present grew from, if any."""

    __tablename__ = "snapshot_present"

    instance_id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    snapshot_id: Mapped[str | None] = mapped_column(sa.ForeignKey("snapshot.id", ondelete="SET NULL"), index=True)
