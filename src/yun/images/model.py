"""Tables of images, uploads and exports, the states of an image, and which verb is allowed in which state."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import Base, Row
from yun.base.permissions import declare

declare(
    "image",
    **{
        "list": "reader", "show": "reader", "import": "member", "upload": "member", "pull": "member",
        "update": "member", "tag": "member", "export": "member", "delete": "member", "purge": "member",
    },
)  # fmt: skip
declare("volume", upload="member")
# A host's own file may be anybody's secret, and what is public is everybody's.
declare("image", "cloud", build="admin", set_visibility="admin", import_file="admin")


class State(StrEnum):
    """What an image is. Only an active one can be booted from."""

    QUEUED = "queued"
    IMPORTING = "importing"
    ACTIVE = "active"
    TRASHED = "trashed"


class Visibility(StrEnum):
    """Who sees an image: its own project, or every project."""

    PRIVATE = "private"
    PUBLIC = "public"


FIRMWARES = ("bios", "uefi", "uefi-secure")
HARDWARE = ("virtio", "compatible")
"""What machines made of an image are given: paravirtual devices, or a SATA disk and an Intel e1000 card."""
BOOTS = ("none", "bios", "uefi", "bios uefi")
ARCHITECTURES = ("x86_64", "aarch64")
FORMATS = ("auto", "qcow2", "raw", "vmdk", "vdi", "vhdx", "vpc", "iso")

UNFINISHED = (State.QUEUED, State.IMPORTING)
"""While an import works on it, or after one was abandoned: only then such an image can be deleted."""

ALLOWED: dict[str, tuple[State, ...]] = {
    "update": (State.QUEUED, State.IMPORTING, State.ACTIVE),
    "tag": (State.QUEUED, State.IMPORTING, State.ACTIVE),
    "set_visibility": (State.QUEUED, State.IMPORTING, State.ACTIVE),
    "export": (State.ACTIVE,),
    "delete": (State.QUEUED, State.IMPORTING, State.ACTIVE),
    "purge": (State.TRASHED,),
}


OF_INSTANCE = "instance"
"""The ``source`` of an image made of a machine: machines made of it are told to renew their identity."""


class Image(Row, Base):
    """A bootable disk (or an installation CD) to make machines of.

    ``layer_id`` is the frozen file that holds it, empty until the image is active. ``format`` is what it came as, as
    found by looking. ``source`` says where from: ``upload``, ``file``, ``address``, ``catalogue``, ``recipe``,
    ``instance``, with ``source_name``. ``checksum`` is the SHA-256 of what came. ``size_bytes`` is what it takes,
    ``virtual_bytes`` how big its disk is. ``min_disk_bytes`` and ``min_memory_mib`` are what a machine needs at
    least. ``hardware`` (of `HARDWARE`) is what its system has drivers for. ``boots`` says of a CD which firmware
    starts from it: `BOOTS`, empty for what was not examined.
    """

    PREFIX = "img"
    __tablename__ = "image"

    project_id: Mapped[str] = mapped_column(sa.ForeignKey("project.id"))
    name: Mapped[str] = mapped_column(sa.String(120))
    description: Mapped[str] = mapped_column(sa.String(1000), default="")
    visibility: Mapped[str] = mapped_column(sa.String(20), default=Visibility.PRIVATE)
    tags: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    state: Mapped[str] = mapped_column(sa.String(20), default=State.QUEUED)
    pool_id: Mapped[str] = mapped_column(sa.ForeignKey("pool.id"))
    layer_id: Mapped[str | None] = mapped_column(sa.ForeignKey("layer.id"), index=True)
    kind: Mapped[str] = mapped_column(sa.String(10), default="disk")
    format: Mapped[str] = mapped_column(sa.String(10), default="")
    source: Mapped[str] = mapped_column(sa.String(20))
    source_name: Mapped[str] = mapped_column(sa.String(1000), default="")
    checksum: Mapped[str] = mapped_column(sa.String(64), default="")
    size_bytes: Mapped[int] = mapped_column(default=0)
    virtual_bytes: Mapped[int] = mapped_column(default=0)
    min_disk_bytes: Mapped[int] = mapped_column(default=0)
    min_memory_mib: Mapped[int] = mapped_column(default=0)
    firmware: Mapped[str] = mapped_column(sa.String(20), default="bios")
    hardware: Mapped[str] = mapped_column(sa.String(20), default="virtio", server_default="virtio")
    boots: Mapped[str] = mapped_column(sa.String(20), default="", server_default="")
    os: Mapped[str] = mapped_column(sa.String(40), default="")
    os_version: Mapped[str] = mapped_column(sa.String(40), default="")
    default_user: Mapped[str] = mapped_column(sa.String(32), default="")
    architecture: Mapped[str] = mapped_column(sa.String(20), default="x86_64")
    cloud_init: Mapped[bool] = mapped_column(default=True)
    purge_at: Mapped[datetime | None]

    __table_args__ = (
        sa.UniqueConstraint("project_id", "name"),
        sa.Index("ix_image_name", "name", "id"),
        sa.Index("ix_image_created", "created_at", "id"),
        sa.Index("ix_image_visibility", "visibility", "state"),
    )

    def allows(self, verb: str) -> bool:
        """Whether the verb makes sense in this state (permissions aside)."""
        return self.state in ALLOWED[verb]


class Upload(Row, Base):
    """A file on its way in, in pieces. How much has come is the length of its file; nothing else is believed.

    ``purpose``: it becomes an ``image`` or a ``volume`` as soon as all has come, or waits as an ``appliance`` (an OVA)
    for somebody to say what instance it shall become.

    ``wanted`` are the properties of the image it shall become. ``operation_id`` is set once all has come and the
    import has been accepted. One that nobody has added to until ``expires_at`` is thrown away.
    """

    PREFIX = "upl"
    __tablename__ = "image_upload"

    project_id: Mapped[str] = mapped_column(sa.ForeignKey("project.id"), index=True)
    actor_id: Mapped[str] = mapped_column(sa.String(40))
    pool_id: Mapped[str] = mapped_column(sa.ForeignKey("pool.id"))
    path: Mapped[str] = mapped_column(sa.String(500))
    name: Mapped[str] = mapped_column(sa.String(120))
    filename: Mapped[str] = mapped_column(sa.String(255), default="")
    length_bytes: Mapped[int]
    purpose: Mapped[str] = mapped_column(sa.String(20), default="image", server_default="image")
    wanted: Mapped[dict[str, Any]] = mapped_column(default=dict)
    expires_at: Mapped[datetime]
    image_id: Mapped[str | None] = mapped_column(sa.String(40))
    operation_id: Mapped[str | None] = mapped_column(sa.String(40))


class Export(Row, Base):
    """A copy made for a download, of an image, a volume or (an OVA) an instance; thrown away after ``expires_at``.

    ``image_id`` and ``image_name`` are those of what it was made of. ``state`` is making or ready.
    """

    PREFIX = "exp"
    __tablename__ = "image_export"

    project_id: Mapped[str] = mapped_column(sa.ForeignKey("project.id"), index=True)
    image_id: Mapped[str] = mapped_column(sa.String(40))
    image_name: Mapped[str] = mapped_column(sa.String(120))
    pool_id: Mapped[str] = mapped_column(sa.ForeignKey("pool.id"))
    path: Mapped[str] = mapped_column(sa.String(500))
    format: Mapped[str] = mapped_column(sa.String(10))
    state: Mapped[str] = mapped_column(sa.String(10), default="making")
    size_bytes: Mapped[int] = mapped_column(default=0)
    checksum: Mapped[str] = mapped_column(sa.String(64), default="")
    expires_at: Mapped[datetime]
