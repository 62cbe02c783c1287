"""Tables of instances and flavors, the states of an instance, and which verb is allowed in which state."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import Base, Row
from yun.base.messages import Message, _
from yun.base.permissions import declare
from yun.compute.console.model import ConsoleTicket  # noqa: F401 (its table belongs to this room)
from yun.compute.devices import model as devices  # noqa: F401 (so do these)
from yun.compute.guest import model as guest  # noqa: F401 (so do these)
from yun.compute.media import model as media  # noqa: F401 (and these)

declare(
    "instance", list="reader", show="reader", metrics="reader", create="member", start="member", stop="member",
    reboot="member", pause="member", resume="member", rename="member", update="member", tag="member",
    delete="member", purge="member", console="member", tend="member", add_disk="member",
    resize="member", configure="member", drop_pending="member", boot_order="member", boot_once="member",
    clone="member", make_image="member", **{"import": "member"},
)  # fmt: skip
declare("instance", export="member")
declare("instance", "cloud", xml="admin", set_overlay="admin")
declare("instance", add_nic="member", remove_nic="member", change_nic="member")
declare("instance", change_disk="member")
declare("instance", detach="member")
declare("volume", change_bus="member")
declare("volume", attach="member", detach="member", grow="member", flatten="member")
declare("volume", move="member", copy="member", download="member")
declare("instance", "cloud", adopt="admin", release="admin")
declare("host", "cloud", found="admin")
declare("flavor", list="reader", show="reader")
declare("flavor", "cloud", create="admin", delete="admin")


class State(StrEnum):
    """What an instance is, as last seen. What is being done to it is told by its open operation."""

    BUILDING = "building"
    STOPPED = "stopped"
    RUNNING = "running"
    PAUSED = "paused"
    CRASHED = "crashed"
    ERROR = "error"
    TRASHED = "trashed"


LIVE = (State.RUNNING, State.PAUSED)
SETTLED = (State.STOPPED, State.RUNNING, State.PAUSED, State.CRASHED, State.ERROR)

ALLOWED: dict[str, tuple[State, ...]] = {
    "start": (State.STOPPED, State.CRASHED, State.ERROR),
    "stop": (State.RUNNING, State.PAUSED, State.CRASHED, State.ERROR),
    "reboot": (State.RUNNING, State.PAUSED, State.CRASHED),
    "pause": (State.RUNNING,),
    "resume": (State.PAUSED,),
    "rename": (State.BUILDING, *SETTLED),
    "update": (State.BUILDING, *SETTLED),
    "tag": (State.BUILDING, *SETTLED),
    "delete": (State.BUILDING, *SETTLED),
    "purge": (State.TRASHED,),
    "release": SETTLED,
    "tend": SETTLED,
    "console": LIVE,
}

HOT_BUSES = ("virtio", "scsi")
"""Buses on which a running machine takes disks and gives them away; others wait for its next start."""

DISKS_CHANGE_IN = SETTLED
"""In these states an instance takes another disk, or gives one away."""

DOING: dict[str, Message] = {
    "create": _("creating…"),
    "start": _("starting…"),
    "stop": _("stopping…"),
    "reboot": _("rebooting…"),
    "pause": _("pausing…"),
    "resume": _("resuming…"),
    "rename": _("renaming…"),
    "update": _("changing…"),
    "tag": _("changing…"),
    "delete": _("deleting…"),
    "purge": _("purging…"),
    "resize": _("resizing…"),
    "adopt": _("being taken over…"),
    "release": _("being released…"),
    "clone": _("cloning…"),
    "import": _("importing…"),
    "make_image": _("making an image…"),
    "configure": _("changing…"),
    "drop_pending": _("changing…"),
    "boot_order": _("changing…"),
    "boot_once": _("changing…"),
    "set_overlay": _("changing…"),
    "export": _("exporting…"),
    "change_bus": _("changing…"),
    "add_disk": _("attaching a disk…"),
    "change_disk": _("changing a disk…"),
    "attach": _("attaching a disk…"),
    "detach": _("detaching a disk…"),
    "grow": _("growing a disk…"),
    "insert": _("inserting a CD…"),
    "eject": _("ejecting a CD…"),
    "flatten": _("flattening a disk…"),
    "merge": _("merging frozen files…"),
    "set_password": _("setting a password…"),
    "freeze": _("freezing…"),
    "thaw": _("thawing…"),
    "trim": _("trimming…"),
    "sync_time": _("setting the clock…"),
    "run": _("running a command…"),
    "add_nic": _("adding a network card…"),
    "remove_nic": _("removing a network card…"),
    "change_nic": _("changing a network card…"),
    "move": _("moving a disk…"),
    "add_host_device": _("adding a host device…"),
    "remove_host_device": _("removing a host device…"),
    "snapshot.create": _("taking a snapshot…"),
    "restore": _("being restored…"),
    "restore_as": _("creating…"),
    "undo": _("being undone…"),
}
"""What is shown in the place of a state while a verb is being done; a whole kind goes before its verb."""


REASONS: dict[str, Message] = {
    "shutdown": _("the guest powered itself off"),
    "destroyed": _("its power was cut by somebody else"),
    "crashed": _("its process ended unasked"),
    "failed": _("its process ended unasked"),
    "daemon": _("its process ended unasked"),
    "panicked": _("the guest's kernel panicked"),
    "missing": _("its definition vanished"),
    "host_reboot": _("its host was rebooted"),
    "gave_up": _("it went down too often"),
    "io_error": _("its disk cannot be written"),
    "booted": _("somebody else started it"),
    "unknown": _("nobody knows why"),
    "user": _("somebody asked for it"),
    "not_started": _("it could not be started again"),
}
"""Why an instance is in its state, by the word that its row keeps."""


def doing(kind: str) -> Message:
    """What an open operation of a kind is called while it lasts."""
    return DOING.get(kind) or DOING.get(kind.rpartition(".")[2]) or _("working…")


class OnCrash(StrEnum):
    """What is done about a machine that went down without anybody asking for it."""

    RESTART = "restart"
    LEAVE = "leave"


class Flavor(Row, Base):
    """A size to choose by name. A deleted one stays as a row, so that its deletion can be undone."""

    PREFIX = "flv"
    __tablename__ = "flavor"

    name: Mapped[str] = mapped_column(sa.String(64))
    vcpus: Mapped[int]
    memory_mib: Mapped[int]
    disk_bytes: Mapped[int]
    description: Mapped[str] = mapped_column(sa.String(1000), default="")
    state: Mapped[str] = mapped_column(sa.String(20), default="active")

    __table_args__ = (
        sa.Index(
            "uq_flavor_name", "name", unique=True,
            sqlite_where=sa.text("state = 'active'"), postgresql_where=sa.text("state = 'active'"),
        ),
    )  # fmt: skip


class Instance(Row, Base):
    """A virtual machine.

    ``uuid`` is its name for the hypervisor. ``reason`` is a stable word for why it is in its state (``shutdown``,
    ``crashed``, ``destroyed``, ``host_reboot``, …). ``boot_id`` is the host's boot in which it last ran. ``agent``
    tells whether a guest agent is connected. ``shutdown_seconds`` is how long a guest may take to power off before
    the power is cut. ``vcpus`` and ``memory_mib`` count from the next start on; the ``running_…`` ones tell what runs.
    ``hardware`` keeps what is not plain (`compute.hardware`).
    ``password_hash`` is a crypt(3) hash; the password itself is never kept. ``renew_identity`` marks a machine whose
    disk was another's: its guest is told to make itself a machine ID of its own. ``boot_order`` and ``boot_once`` name
    devices by their keys (`compute.boot`): what a start tries in turn (empty: as the devices themselves say), and what
    only the next start tries before that. ``places`` are what more a running one takes: empty where nobody has looked.
    """

    PREFIX = "ins"
    __tablename__ = "instance"

    uuid: Mapped[str] = mapped_column(sa.String(36), unique=True)
    project_id: Mapped[str] = mapped_column(sa.ForeignKey("project.id"))
    name: Mapped[str] = mapped_column(sa.String(120))
    description: Mapped[str] = mapped_column(sa.String(1000), default="")
    host_id: Mapped[str] = mapped_column(sa.ForeignKey("host.id"), index=True)
    state: Mapped[str] = mapped_column(sa.String(20), default=State.BUILDING)
    reason: Mapped[str] = mapped_column(sa.String(40), default="")
    vcpus: Mapped[int]
    memory_mib: Mapped[int]
    flavor_id: Mapped[str | None] = mapped_column(sa.String(40))
    flavor_name: Mapped[str] = mapped_column(sa.String(64), default="")
    image_id: Mapped[str | None] = mapped_column(sa.String(40), index=True)
    image_name: Mapped[str] = mapped_column(sa.String(255), default="")
    firmware: Mapped[str] = mapped_column(sa.String(20), default="bios")
    hostname: Mapped[str] = mapped_column(sa.String(63))
    default_user: Mapped[str] = mapped_column(sa.String(64), default="")
    cloud_init: Mapped[bool] = mapped_column(default=True)
    user_data: Mapped[str] = mapped_column(sa.Text, default="", deferred=True)
    password_hash: Mapped[str] = mapped_column(sa.String(200), default="", deferred=True)
    ssh_keys: Mapped[list[str]] = mapped_column(default=list, deferred=True)
    tags: Mapped[list[str]] = mapped_column(default=list)
    autostart: Mapped[bool] = mapped_column(default=True)
    protected: Mapped[bool] = mapped_column(default=False)
    on_crash: Mapped[str] = mapped_column(sa.String(20), default=OnCrash.RESTART)
    shutdown_seconds: Mapped[int] = mapped_column(default=60)
    boot_id: Mapped[str] = mapped_column(sa.String(64), default="")
    agent: Mapped[bool] = mapped_column(default=False)
    started_at: Mapped[datetime | None]
    running_vcpus: Mapped[int | None]
    running_memory_mib: Mapped[int | None]
    hardware: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    running_hardware: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    mended_at: Mapped[list[str]] = mapped_column(default=list)
    renew_identity: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    boot_order: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    boot_once: Mapped[str] = mapped_column(sa.String(40), default="", server_default="")
    places: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")

    __table_args__ = (
        sa.UniqueConstraint("project_id", "name"),
        sa.Index("ix_instance_project_created", "project_id", "created_at", "id"),
        sa.Index("ix_instance_created", "created_at", "id"),
        sa.Index("ix_instance_state", "state", "id"),
        sa.Index("ix_instance_name", "name", "id"),
    )

    def allows(self, verb: str) -> bool:
        """Whether the verb makes sense in this state (protection and permissions aside)."""
        return self.state in ALLOWED[verb]


class Adoption(Base):
    """What a machine was before it was taken over: the daemon's ``name`` of it, its definition (``xml``, secrets
    included), whether the daemon started it with the host, the slots of the ``disks`` that became volumes, the cards
    that it keeps outside of our networks, and its ``facts`` as they were found. Gone when it is released."""

    __tablename__ = "adoption"

    instance_id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(300))
    xml: Mapped[str] = mapped_column(sa.Text, deferred=True)
    autostart: Mapped[bool] = mapped_column(default=False)
    disks: Mapped[list[str]] = mapped_column(default=list)
    cards: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)


class FoundMachine(Base):
    """A domain of a host that no cloud has marked, as it was last seen. ``state`` is its `Power`; ``facts`` tell of its
    disks with the files below them, its cards, its snapshots (see `compute.found`)."""

    __tablename__ = "found_machine"

    uuid: Mapped[str] = mapped_column(sa.String(36), primary_key=True)
    host_id: Mapped[str] = mapped_column(sa.ForeignKey("host.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(300), index=True)
    state: Mapped[str] = mapped_column(sa.String(20))
    vcpus: Mapped[int]
    memory_mib: Mapped[int]
    autostart: Mapped[bool] = mapped_column(default=False)
    xml: Mapped[str] = mapped_column(sa.Text, deferred=True)
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    seen_at: Mapped[datetime]


class InstanceSample(Base):
    """One measurement of a running machine: counters as read, and rates since the measurement before.

    ``cpu`` counts busy processors (1.5 = one and a half). Rates are bytes per second; None in the first sample.
    """

    __tablename__ = "instance_sample"

    instance_id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True, index=True)
    cpu_ns: Mapped[int]
    disk_read_bytes: Mapped[int]
    disk_write_bytes: Mapped[int]
    net_rx_bytes: Mapped[int]
    net_tx_bytes: Mapped[int]
    memory_kib: Mapped[int]
    memory_used_kib: Mapped[int | None]
    cpu: Mapped[float | None]
    disk_read: Mapped[float | None]
    disk_write: Mapped[float | None]
    net_rx: Mapped[float | None]
    net_tx: Mapped[float | None]

    __table_args__: Any = {"sqlite_with_rowid": False}
