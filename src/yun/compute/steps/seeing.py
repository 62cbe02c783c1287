"""Looking at the devices that hosts have: what was seen is written down, so that no face asks a driver."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.errors import DriverError
from yun.base.log import logger
from yun.base.messages import _
from yun.compute.devices.model import HostDevice
from yun.compute.model import Instance
from yun.drivers.hypervisor.host_device import HostDevice as Seen
from yun.hosts.model import Host
from yun.operations.events import emit, raise_notice, resolve_notice
from yun.operations.flow import Op, step
from yun.operations.intent import Subject

log = logger(__name__)
KEEP = timedelta(days=30)
"""How long a device that is gone and nobody has is remembered: longer than anything can be undone."""
FACTS = (
    "kind", "address", "vendor_id", "product_id", "vendor", "product", "serial", "category", "driver", "iommu_group",
    "bus", "number", "host_use",
)  # fmt: skip


def notice_key(device_id: str) -> str:
    """What operators are told of a device is kept under this key."""
    return f"host_device:{device_id}"


@step(retries=0)
def find_devices(op: Op) -> int | None:
    """The rows are what each host has now; how many changed."""
    with op.read() as session:
        hosts = list(session.scalars(sa.select(Host.id)))
    changed = 0
    for host_id in hosts:
        try:
            changed += see_devices(op, host_id)
        except DriverError as error:
            log.info("the devices of %s cannot be listed now: %s", host_id, error)
    return changed or None


def see_devices(op: Op, host_id: str) -> int:
    """The rows are what the host has now; how many changed."""
    seen = identities(op.drivers.on(host_id).hypervisor.host_devices())
    now = op.clock.now()
    with op.write() as session:
        session.get_one(Host, host_id, with_for_update=True)
        rows = {r.identity: r for r in session.scalars(sa.select(HostDevice).where(HostDevice.host_id == host_id))}
        changed = 0
        for identity, row in rows.items():
            if identity not in seen:
                changed += row.present
                _miss(session, row, now)
        for identity, device in seen.items():
            changed += _write(session, host_id, identity, device, rows.get(identity), now)
        if changed:
            emit(session, "host.devices_changed", subject=Subject("host", host_id), operation_id=op.id)
    return changed


def identities(devices: Iterable[Seen]) -> dict[str, Seen]:
    """Each device by what tells it from all others, wherever it is plugged in."""
    listed = list(devices)
    serials = [(d.vendor_id, d.product_id, d.serial) for d in listed if d.kind == "usb"]
    found = {}
    for device in listed:
        own = (device.vendor_id, device.product_id, device.serial)
        if device.kind == "pci":
            identity = f"pci {device.address}"
        elif device.serial and serials.count(own) == 1:
            identity = "usb {}:{} {}".format(*own)
        else:
            identity = f"usb {device.vendor_id}:{device.product_id} @{device.address}"
        found[identity[:200]] = device
    return found


def _write(
    session: Session, host_id: str, identity: str, device: Seen, row: HostDevice | None, now: datetime
) -> bool:
    values = {name: _fitting(name, getattr(device, name)) for name in FACTS}
    if row is None:
        session.add(HostDevice(host_id=host_id, identity=identity, present=True, seen_at=now, **values))
        return True
    news = {name: value for name, value in {**values, "present": True}.items() if getattr(row, name) != value}
    for name, value in news.items():
        setattr(row, name, value)
    if "present" in news:
        resolve_notice(session, notice_key(row.id))
    if news or now - row.seen_at > timedelta(days=1):
        row.seen_at = now
    # That it went to the driver of virtual machines and came back is no news.
    return bool(news.keys() - {"driver"})


def _miss(session: Session, row: HostDevice, now: datetime) -> None:
    row.present = False
    if row.instance_id is None:
        if now - row.seen_at > KEEP:
            session.delete(row)
        return
    host, instance = session.get_one(Host, row.host_id), session.get_one(Instance, row.instance_id)
    starts = _("The instance starts without it.") if row.kind == "usb" else _("The instance does not start without it.")
    raise_notice(
        session, notice_key(row.id), subject=Subject("instance", instance.id, instance.name),
        message=_("{host} misses {device} ({address}), which the instance {name} has. {starts}", host=host.name,
                  device=row.name, address=row.address, name=instance.name, starts=starts),
        hint=_("Put it back, or take it from the instance: {command}",
               command=f"yun instance remove-host-device {instance.name} {row.address}"),
    )  # fmt: skip


def _fitting(name: str, value: Any) -> Any:
    """The value as its column takes it: a device may call itself what it wants."""
    if not isinstance(value, str):
        return value
    length = HostDevice.__table__.columns[name].type.length  # type: ignore[attr-defined]
    return "".join(c for c in value if c.isprintable())[:length]
