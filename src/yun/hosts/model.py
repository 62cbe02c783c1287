"""Tables of the hosts: the machine, its services, and what is promised on it to whom."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from yun.base.db import Base, Row
from yun.base.messages import Message, _
from yun.base.permissions import declare

declare("host", "cloud", list="admin", show="admin", update="admin", start_service="admin")

STATES = ("up", "degraded", "down")
SERVICE_STATES = ("running", "stopped", "unresponsive", "missing")


class Host(Row, Base):
    """A machine that carries instances, as it was seen at ``seen_at``.

    ``state`` is ``up`` (all services answer), ``degraded`` (instances run, something else is away) or ``down``
    (libvirt is away: nothing can be started). Memory is in MiB. ``accel_reason`` is the stable word of the driver's
    port. ``reserved_mib`` is kept for the host itself; what instances are promised may reach the rest times
    ``memory_overcommit``, and the processors times ``cpu_overcommit``. A host that does not ``accept`` gets no new
    instances. ``facts`` are the latest readings (load, use, free memory and disk, kernel, uptime),
    and which processor models machines can have.
    """

    __tablename__ = "host"
    PREFIX = "hst"

    name: Mapped[str] = mapped_column(sa.String(64), unique=True)
    description: Mapped[str] = mapped_column(sa.String(500), default="")
    state: Mapped[str] = mapped_column(sa.String(20), default="down")
    accel: Mapped[str] = mapped_column(sa.String(10), default="tcg")
    accel_reason: Mapped[str] = mapped_column(sa.String(30), default="")
    datapath: Mapped[str] = mapped_column(sa.String(10), default="system")
    cpus: Mapped[int] = mapped_column(default=1)
    memory_mib: Mapped[int] = mapped_column(default=0)
    qemu_version: Mapped[str] = mapped_column(sa.String(40), default="")
    libvirt_version: Mapped[str] = mapped_column(sa.String(40), default="")
    boot_id: Mapped[str] = mapped_column(sa.String(40), default="")
    accepts: Mapped[bool] = mapped_column(default=True)
    reserved_mib: Mapped[int] = mapped_column(default=512)
    cpu_overcommit: Mapped[float] = mapped_column(default=8.0)
    memory_overcommit: Mapped[float] = mapped_column(default=1.0)
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    seen_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))


class HostService(Row, Base):
    """A daemon of a host; ``since`` is when it came into its present state."""

    __tablename__ = "host_service"
    PREFIX = "hsv"

    host_id: Mapped[str] = mapped_column(sa.ForeignKey("host.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(40))
    position: Mapped[int] = mapped_column(default=0)
    state: Mapped[str] = mapped_column(sa.String(20))
    version: Mapped[str] = mapped_column(sa.String(40), default="")
    pid: Mapped[int | None]
    detail: Mapped[str] = mapped_column(sa.String(500), default="")
    since: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))

    __table_args__ = (sa.UniqueConstraint("host_id", "name"),)


class Allocation(Row, Base):
    """What is promised to ``owner`` (the id of an instance) on a host, whether it runs or not."""

    __tablename__ = "host_allocation"
    PREFIX = "hal"

    host_id: Mapped[str] = mapped_column(sa.ForeignKey("host.id"), index=True)
    owner: Mapped[str] = mapped_column(sa.String(40), unique=True)
    vcpus: Mapped[int]
    memory_mib: Mapped[int]


ACCEL_REASONS: dict[str, Message] = {
    "setting": _("chosen by the setting accel"),
    "proved": _("code was run under KVM and answered rightly"),
    "no_device": _("this machine has no /dev/kvm"),
    "no_access": _("/dev/kvm cannot be opened"),
    "no_cpu_support": _("the processor shows no virtualisation (vmx or svm)"),
    "no_qemu": _("QEMU is not installed"),
    "too_slow": _("code under KVM did not end in time"),
    "wrong_answer": _("code under KVM answered wrongly"),
}

SERVICE_TITLES: dict[str, Message] = {
    "openvswitch": _("Virtual switch (Open vSwitch)"),
    "ovn-central": _("Network control (OVN databases and northd)"),
    "ovn-controller": _("Network agent (ovn-controller)"),
    "virtlogd": _("Console logs (virtlogd)"),
    "libvirt": _("Virtual machines (libvirt, KVM/QEMU)"),
}


def state_of(services: dict[str, str]) -> str:
    """A host's state from the states of its services by name."""
    if services.get("libvirt") != "running":
        return "down"
    return "up" if all(s == "running" for s in services.values()) else "degraded"
