"""The verbs of host devices: list them, give one to an instance, take it back."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, undefer

from yun.base.context import Context, not_found
from yun.base.errors import Conflict, Invalid
from yun.base.messages import Message, _
from yun.compute.devices.model import USES, HostDevice
from yun.compute.model import DISKS_CHANGE_IN, LIVE, Adoption, FoundMachine, Instance
from yun.compute.service.disks import DETACH_SECONDS
from yun.compute.service.given import bound_with, devices_of, keys_of, names_of, subjects_of
from yun.compute.service.look import must_be
from yun.compute.service.power import keys, subject
from yun.compute.service.room import said_when, takes_now
from yun.hosts import service as hosts
from yun.hosts.model import Host
from yun.operations.intent import Intent

MOST = 16
"""Devices of one instance."""
FREE_DRIVERS = ("", "vfio-pci", "pci-stub")
"""Drivers under which the host does nothing with a device."""


# ── looking ──


def list_devices(ctx: Context, host: str) -> list[HostDevice]:
    """The PCI and USB devices that a host has, and those that its instances miss, by kind and address."""
    ctx.may("host.devices")
    found = hosts.get(ctx, host)
    return devices_on(ctx.session, found.id)


def devices_on(session: Session, host_id: str) -> list[HostDevice]:
    """The same, without asking who wants to know."""
    shown = sa.or_(HostDevice.present, HostDevice.instance_id.is_not(None))
    query = sa.select(HostDevice).where(HostDevice.host_id == host_id, shown)
    return list(session.scalars(query.order_by(HostDevice.kind, HostDevice.address, HostDevice.id)))


def show_devices(ctx: Context, rows: Sequence[HostDevice]) -> list[dict[str, Any]]:
    """Devices of one host as JSON, each with the other members of its group and why it cannot be given away now."""
    if not rows:
        return []
    session = ctx.session
    all_rows = devices_on(session, rows[0].host_id)
    named = sa.select(Instance.id, Instance.name).where(Instance.id.in_({r.instance_id for r in all_rows}))
    owners: dict[str, str] = {found.id: found.name for found in session.execute(named)}
    return [
        {
            "id": row.id, "kind": row.kind, "address": row.address, "name": row.name, "vendor_id": row.vendor_id,
            "product_id": row.product_id, "vendor": row.vendor, "product": row.product, "serial": row.serial,
            "driver": row.driver, "iommu_group": row.iommu_group, "host_use": row.host_use, "present": row.present,
            "group": [r.address for r in group_of(all_rows, row)], "instance_id": row.instance_id,
            "instance_name": owners.get(row.instance_id) if row.instance_id else None,
            "reason": why.render(ctx.locale) if (why := why_never(row)) is not None else "",
        }
        for row in rows
    ]  # fmt: skip


def group_of(rows: Sequence[HostDevice], device: HostDevice) -> list[HostDevice]:
    """The other devices of the same IOMMU group; bridges are passed through by nobody and do not count."""
    if device.iommu_group is None:
        return []
    return [
        row for row in rows
        if row.id != device.id and row.present and row.iommu_group == device.iommu_group and row.host_use != "bridge"
    ]  # fmt: skip


def find_device(session: Session, rows: Sequence[HostDevice], reference: str, host: Host) -> HostDevice:
    """One of ``rows`` by id, address, or ``vendor:product`` where only one is so. Raises `NotFound`, `Conflict`."""
    wanted = reference.strip().lower()
    if wanted.count(":") == 1 and wanted.endswith(tuple(f".{n}" for n in range(8))):
        wanted = f"0000:{wanted}"  # a PCI address without its domain, as lspci writes it
    exact = [row for row in rows if wanted in (row.id, row.address.lower())]
    found = exact or [row for row in rows if wanted == f"{row.vendor_id}:{row.product_id}"]
    if not found:
        raise not_found("host device", reference[:60])
    if len(found) > 1:
        raise Conflict(
            _("The host {host} has several devices {reference}.", host=host.name, reference=reference[:60]),
            hint=_("Name its address: one of {names}.", names=", ".join(row.address for row in found)),
        )
    return found[0]


def why_never(device: HostDevice) -> Message | None:
    """Why the host cannot give a device to anybody as things are; None where it can."""
    if not device.present:
        return _("it is missing")
    if device.host_use:
        return USES.get(device.host_use, Message(device.host_use))
    if _iommu_misses(device):
        return _("the host's IOMMU is off or missing")
    return None


def _iommu_misses(device: HostDevice) -> bool:
    """Whether an IOMMU is all that a device misses to be given away."""
    return device.present and not device.host_use and device.kind == "pci" and device.iommu_group is None


# ── changing ──


def add_host_device(ctx: Context, instance: Instance, reference: str, *, with_group: bool = False) -> Intent:
    """Give an instance a PCI or USB device of its host for itself, at once where it runs.

    ``reference``: id, address, or ``vendor:product``. ``with_group`` gives the other devices of its IOMMU group too.
    Raises `NotFound`, and `Conflict` with the reason where it cannot be given away. Undo takes it back.
    """
    ctx.may("instance.add_host_device")
    must_be(instance, DISKS_CHANGE_IN)
    session = ctx.session
    host = session.get_one(Host, instance.host_id)
    rows = devices_on(session, host.id)
    chosen = find_device(session, rows, reference, host)
    _refuse(session, instance, host, chosen)
    companions = _companions(session, instance, rows, chosen, with_group)
    for device in companions:
        _refuse(session, instance, host, device)
    given = [chosen, *companions]
    if len(devices_of(session, instance.id)) + len(given) > MOST:
        raise Conflict(
            _("The instance {name} has {most} devices of its host, which is the most.", name=instance.name, most=MOST)
        )
    bound = bound_with(session, given)
    return Intent(
        kind="instance.add_host_device",
        title=_("Give {device} to instance {name}", device=chosen.name, name=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={"instance_id": instance.id, "device_ids": [device.id for device in given]},
        keys=(*keys(instance), *keys_of(bound)),
        subjects=subjects_of(bound),
        effects=(
            *(_said(device) for device in given), *_price(given), _comes(session, instance, given),
            _("Clones do not get it, and nobody else can have it, whether the instance runs or not."),
        ),
        back=(_("It is taken from the instance and belongs to the host again."),),
        deadline=600.0,
    )  # fmt: skip


def remove_host_device(
    ctx: Context, instance: Instance, reference: str, *, timeout: int = DETACH_SECONDS
) -> Intent:
    """Take a device back from an instance. A running guest is asked for it and given ``timeout`` seconds (1 to 600);
    one that does not let go keeps it, and the operation fails. What the instance has of the same IOMMU group goes too.
    Undo gives it again, unless somebody else has it by then."""
    ctx.may("instance.remove_host_device")
    must_be(instance, DISKS_CHANGE_IN)
    if not 1 <= timeout <= 600:
        raise Invalid(_("A guest cannot be given that long."), fields={"timeout": _("1 to 600 seconds")})
    host = ctx.session.get_one(Host, instance.host_id)
    had = devices_of(ctx.session, instance.id)
    device = find_device(ctx.session, had, reference, host)
    taken = [device, *group_of(had, device)]
    bound = bound_with(ctx.session, taken)
    return Intent(
        kind="instance.remove_host_device",
        title=_("Take {device} from instance {name}", device=device.name, name=instance.name),
        subject=subject(instance),
        project_id=instance.project_id,
        arguments={"instance_id": instance.id, "device_ids": [d.id for d in taken], "seconds": timeout},
        keys=(*keys(instance), *keys_of(bound)),
        subjects=subjects_of(bound),
        effects=(
            *(_("The instance no longer has {device} at {address}.", device=d.name, address=d.address) for d in taken),
            *((_("The host misses it; it is forgotten."),) if not device.present else ()),
            *((_("Devices of one IOMMU group go back together."),) if len(taken) > 1 else ()),
            *_timing(instance),
        ),
        back=(_("It is given to the instance again, unless another one has it by then."),),
        deadline=600.0 + timeout,
    )  # fmt: skip


# ── parts ──


def _refuse(session: Session, instance: Instance, host: Host, device: HostDevice) -> None:
    if device.instance_id == instance.id:
        raise Conflict(_("Nothing would change: the instance has {device} already.", device=device.name))
    if device.instance_id is not None:
        other = session.get_one(Instance, device.instance_id)
        raise Conflict(
            _("{device} was given to the instance {name}.", device=device.name, name=other.name),
            hint=_("Take it from that one first."),
        )
    why = why_never(device)
    if why is not None:
        raise Conflict(
            _("{host} cannot give {device} away: {reason}.", host=host.name, device=device.name, reason=why),
            hint=_("Switch it on in the host's firmware (VT-d, AMD-Vi) and, on Intel, with intel_iommu=on on its "
                   "kernel's command line.") if _iommu_misses(device) else None,
        )  # fmt: skip
    claimed = _claimed(session, device)
    if claimed:
        raise Conflict(
            _("{device} is in the definition of the machine {name}, which libvirt has.", device=device.name,
              name=claimed)
        )  # fmt: skip


def _companions(
    session: Session, instance: Instance, rows: Sequence[HostDevice], device: HostDevice, with_group: bool
) -> list[HostDevice]:
    """The rest of the group, where it must come along: what the host works with, or another instance has. Raises
    `Conflict` where it must and may not."""
    others = [row for row in group_of(rows, device) if row.instance_id != instance.id]
    taken = [row for row in others if row.instance_id is not None]
    if taken:
        raise Conflict(
            _("{device} shares its IOMMU group {group} with {others}, which another instance has.",
              device=device.name, group=device.iommu_group, others=names_of(taken))
        )  # fmt: skip
    busy = [row for row in others if row.host_use or row.driver not in FREE_DRIVERS]
    if busy and not with_group:
        raise Conflict(
            _("{device} shares its IOMMU group {group} with devices that the host works with: {others}.",
              device=device.name, group=device.iommu_group, others=names_of(busy)),
            hint=_("Devices of one group can only be given away together: --with-group.")
            if not any(row.host_use for row in busy)
            else _("The host cannot do without them. Another slot may have a group of its own."),
        )  # fmt: skip
    return others if with_group else []


def _claimed(session: Session, device: HostDevice) -> str:
    """The name of a machine of libvirt's, found or taken over, whose own definition has the device."""
    found = sa.select(FoundMachine).where(FoundMachine.host_id == device.host_id, FoundMachine.xml.contains("<hostdev"))
    for machine in session.scalars(found.options(undefer(FoundMachine.xml))):
        if _has(machine.xml, device):
            return machine.name
    came = (
        sa.select(Adoption, Instance.name)
        .join(Instance, Instance.id == Adoption.instance_id)
        .where(Instance.host_id == device.host_id, Adoption.xml.contains("<hostdev"))
    )
    for adoption, name in session.execute(came.options(undefer(Adoption.xml))):
        if _has(adoption.xml, device):
            return str(name)
    return ""


def _has(xml: str, device: HostDevice) -> bool:
    for source in ET.fromstring(xml).iterfind(f"./devices/hostdev[@type='{device.kind}']/source"):
        place = source.find("address")
        if device.kind == "pci" and place is not None:
            parts = [int(place.get(name, "0"), 16) for name in ("domain", "bus", "slot", "function")]
            if "{:04x}:{:02x}:{:02x}.{:x}".format(*parts) == device.address:
                return True
        ids = [int(e.get("id", "0"), 16) if (e := source.find(n)) is not None else -1 for n in ("vendor", "product")]
        if device.kind == "usb" and ids == [int(device.vendor_id, 16), int(device.product_id, 16)]:
            return True
        now = [device.bus, device.number] if device.kind == "usb" and device.present else None
        if place is not None and now == [_count(place.get(name, "0")) for name in ("bus", "device")]:
            return True
    return False


def _count(text: str) -> int:
    """A number as libvirt writes it (decimal), or as a person may have (``0x``)."""
    return int(text, 16 if text.lower().startswith("0x") else 10)


def _said(device: HostDevice) -> Message:
    return _("The instance gets {device} at {address}; the host's driver lets go of it while the instance runs.",
             device=device.name, address=device.address)  # fmt: skip


def _price(given: Sequence[HostDevice]) -> list[Message]:
    """What having such devices costs."""
    said = [_("While it has it, its memory cannot be saved, nor can it move to another host as it runs.")]
    if any(device.kind == "pci" for device in given):
        said.append(
            _("All of its memory is held on the host while it runs: what its guest gives back stays taken.")
        )
    else:
        said.append(_("Without it the instance starts all the same, and gets it at a later start."))
    return said


def _comes(session: Session, instance: Instance, given: Sequence[HostDevice]) -> Message:
    count = sum(device.kind == "pci" for device in given)
    return said_when(instance, "own", now=takes_now(session, instance, "own", count))


def _timing(instance: Instance) -> tuple[Message, ...]:
    if instance.state in LIVE:
        return (_("It takes effect at once, while the instance runs."),)
    return (_("The instance is off; it takes effect with its next start."),)
