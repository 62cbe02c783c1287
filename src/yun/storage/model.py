"""Tables of storage: pools, layers and who needs them, volumes and their heads, attachments, the trash, its clock."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import Base, Row
from yun.base.permissions import declare
from yun.base.units import GIB

declare("pool", list="reader", show="reader")
declare("pool", "cloud", create="admin", update="admin", delete="admin")
declare("volume", list="reader", show="reader", create="member", tag="member", delete="member", purge="member")
declare("trash", list="reader", show="reader", restore="member", purge="member")


class PoolState(StrEnum):
    """Whether a pool's file system answers."""

    ACTIVE = "active"
    UNREACHABLE = "unreachable"


class LayerState(StrEnum):
    """Where a frozen file stands: on its way in, sound, gone or spoilt on the disk, on its way out, being merged with
    the one below it."""

    ADOPTING = "adopting"
    ACTIVE = "active"
    MISSING = "missing"
    DAMAGED = "damaged"
    REMOVING = "removing"
    MERGING = "merging"


class VolumeState(StrEnum):
    """What a volume is. Only an available one can be started from; the trashed one waits for its purge."""

    BUILDING = "building"
    AVAILABLE = "available"
    MISSING = "missing"
    DAMAGED = "damaged"
    TRASHED = "trashed"


class HeadState(StrEnum):
    """Whether a head is the volume's present, or kept in the trash."""

    CURRENT = "current"
    TRASHED = "trashed"


class Removal(StrEnum):
    """What became of asking a running guest for a disk, as long as it has it. One that is gone has no row."""

    WAITING = "waiting"
    REFUSED = "refused"
    TIMED_OUT = "timed_out"


ALLOWED: dict[str, tuple[VolumeState, ...]] = {
    "delete": (VolumeState.AVAILABLE, VolumeState.MISSING, VolumeState.DAMAGED),
    "tag": (VolumeState.BUILDING, VolumeState.AVAILABLE, VolumeState.MISSING, VolumeState.DAMAGED),
    "attach": (VolumeState.AVAILABLE,),
    "grow": (VolumeState.AVAILABLE,),
    "move": (VolumeState.AVAILABLE,),
    "copy": (VolumeState.AVAILABLE,),
    "purge": (VolumeState.TRASHED,),
}
"""Which verb is allowed in which state of a volume."""


class Pool(Row, Base):
    """A directory of disk files on a host.

    Sizes in bytes as last seen. What volumes are promised may reach the pool's space times ``overcommit``; new work is
    refused once less than ``reserve_bytes`` are free. The ``is_default`` one is used where nobody names a pool.
    """

    __tablename__ = "pool"
    PREFIX = "pol"

    host_id: Mapped[str] = mapped_column(sa.ForeignKey("host.id"))
    name: Mapped[str] = mapped_column(sa.String(64), unique=True)
    path: Mapped[str] = mapped_column(sa.String(200))
    state: Mapped[str] = mapped_column(sa.String(20), default=PoolState.ACTIVE)
    is_default: Mapped[bool] = mapped_column(default=False)
    capacity_bytes: Mapped[int] = mapped_column(default=0)
    free_bytes: Mapped[int] = mapped_column(default=0)
    used_bytes: Mapped[int] = mapped_column(default=0)
    overcommit: Mapped[float] = mapped_column(default=3.0)
    reserve_bytes: Mapped[int] = mapped_column(default=GIB)

    __table_args__ = (sa.UniqueConstraint("host_id", "path"),)


class Layer(Row, Base):
    """A frozen file. ``digest`` is the SHA-256 of its bytes, or, for what was a volume's head, the layer's own id:
    such a file is frozen in an instant, wherever it lies, and is not read for it. ``file_bytes`` is what it takes,
    ``length`` how long it is, ``mtime_ns`` when it was last written: what is compared with the disk. An ``adopted`` one
    lies where its owner put it; it is neither changed nor removed here, since others may stand on it unseen."""

    __tablename__ = "layer"
    PREFIX = "lay"

    pool_id: Mapped[str] = mapped_column(sa.ForeignKey("pool.id"))
    parent_id: Mapped[str | None] = mapped_column(sa.ForeignKey("layer.id"), index=True)
    digest: Mapped[str] = mapped_column(sa.String(64))
    path: Mapped[str] = mapped_column(sa.String(300))
    format: Mapped[str] = mapped_column(sa.String(10))
    virtual_bytes: Mapped[int]
    file_bytes: Mapped[int]
    length: Mapped[int]
    mtime_ns: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    state: Mapped[str] = mapped_column(sa.String(20), default=LayerState.ACTIVE)
    adopted: Mapped[bool] = mapped_column(default=False, server_default=sa.false())

    __table_args__ = (sa.UniqueConstraint("pool_id", "digest"),)

    @property
    def has_digest(self) -> bool:
        """Whether its content can be told by its name."""
        return self.digest != self.id


class LayerHold(Base):
    """Somebody above (``image:img_…``) needs a layer, whether or not anything stands on it."""

    __tablename__ = "layer_hold"

    layer_id: Mapped[str] = mapped_column(sa.ForeignKey("layer.id"), primary_key=True)
    holder: Mapped[str] = mapped_column(sa.String(80), primary_key=True)


class Volume(Row, Base):
    """A disk of a project, ``size_bytes`` large as its guest sees it. ``used_bytes`` is what its own file takes on the
    host, as last measured (0 before that); base files that it shares with others are not counted."""

    __tablename__ = "volume"
    PREFIX = "vol"

    project_id: Mapped[str] = mapped_column(sa.ForeignKey("project.id"))
    pool_id: Mapped[str] = mapped_column(sa.ForeignKey("pool.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(120))
    description: Mapped[str] = mapped_column(sa.String(500), default="")
    size_bytes: Mapped[int]
    used_bytes: Mapped[int] = mapped_column(default=0, server_default="0")
    tags: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    state: Mapped[str] = mapped_column(sa.String(20), default=VolumeState.BUILDING)

    __table_args__ = (
        sa.UniqueConstraint("project_id", "name"),
        sa.Index("ix_volume_name", "name", "id"),
        sa.Index("ix_volume_created", "created_at", "id"),
    )


class Head(Row, Base):
    """A writable file of a volume, standing on ``layer_id`` or on nothing. Trashed heads stay where they are on the
    disk: a file that machines' definitions name never moves, so taking it out of the trash touches no file. An
    ``adopted`` one lies where its owner put it, perhaps outside of every pool, and may be ``raw``."""

    __tablename__ = "head"
    PREFIX = "hed"

    volume_id: Mapped[str] = mapped_column(sa.ForeignKey("volume.id"), index=True)
    layer_id: Mapped[str | None] = mapped_column(sa.ForeignKey("layer.id"), index=True)
    path: Mapped[str] = mapped_column(sa.String(300), unique=True)
    state: Mapped[str] = mapped_column(sa.String(20), default=HeadState.CURRENT)
    format: Mapped[str] = mapped_column(sa.String(10), default="qcow2", server_default="qcow2")
    adopted: Mapped[bool] = mapped_column(default=False, server_default=sa.false())


class Attachment(Row, Base):
    """A volume's place in an instance: ``slot`` is the disk's name there (``vda``). One that is ``kept`` is let go of
    when its instance is deleted; others go to the trash with it. ``instance_name`` is written by the room above, and
    again when the instance is renamed. ``removal`` (of `Removal`, or empty) is where the last try stands to take the
    disk from a running guest. ``io`` and ``serial`` are empty for the usual ones. ``limits`` keeps what of
    `IoLimits` is not plain. ``running`` keeps what a running instance has otherwise than the row, which counts from its
    next start on; one that ``waits`` is not in what runs before that."""

    __tablename__ = "attachment"
    PREFIX = "att"

    volume_id: Mapped[str] = mapped_column(sa.ForeignKey("volume.id"), unique=True)
    instance_id: Mapped[str] = mapped_column(sa.String(40))
    instance_name: Mapped[str] = mapped_column(sa.String(120), default="", server_default="")
    slot: Mapped[str] = mapped_column(sa.String(10))
    bus: Mapped[str] = mapped_column(sa.String(10), default="virtio")
    boot_order: Mapped[int | None]
    readonly: Mapped[bool] = mapped_column(default=False)
    serial: Mapped[str] = mapped_column(sa.String(40), default="")
    cache: Mapped[str] = mapped_column(sa.String(20), default="none")
    kept: Mapped[bool] = mapped_column(default=False)
    io: Mapped[str] = mapped_column(sa.String(10), default="", server_default="")
    discard: Mapped[bool] = mapped_column(default=True, server_default=sa.true())
    limits: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    running: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    removal: Mapped[str] = mapped_column(sa.String(12), default="", server_default="")
    waits: Mapped[bool] = mapped_column(default=False, server_default=sa.false())

    __table_args__ = (sa.UniqueConstraint("instance_id", "slot"),)


class TrashItem(Row, Base):
    """Something deleted that is kept until ``purge_at``. ``kind`` and ``subject_id`` name it (also things of rooms
    above); undoing ``operation_id`` brings it back; the operation ``<kind>.purge`` removes it for good."""

    __tablename__ = "trash_item"
    PREFIX = "tra"

    kind: Mapped[str] = mapped_column(sa.String(40))
    subject_id: Mapped[str] = mapped_column(sa.String(40))
    project_id: Mapped[str | None] = mapped_column(sa.ForeignKey("project.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(300))
    bytes: Mapped[int] = mapped_column(default=0)
    trashed_at: Mapped[datetime]
    purge_at: Mapped[datetime] = mapped_column(index=True)
    operation_id: Mapped[str | None] = mapped_column(sa.String(40))

    __table_args__ = (sa.UniqueConstraint("kind", "subject_id"), sa.Index("ix_trash_item_time", "trashed_at", "id"))


class ClockMark(Base):
    """The wall time of the last look at the trash, the ticks of the host's steady clock then, and which start of the
    host they count from. ``unsettled_since`` is when the wall clock was last seen to jump."""

    __tablename__ = "clock_mark"

    id: Mapped[str] = mapped_column(sa.String(20), primary_key=True)
    seen_at: Mapped[datetime]
    ticks: Mapped[float]
    boot: Mapped[str] = mapped_column(sa.String(40), default="")
    unsettled_since: Mapped[datetime | None]
