"""Disks of a running domain: plugging them in, asking for them back, growing them, and what is really there."""

from __future__ import annotations

import contextlib
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from typing import Any

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.libvirt.connect import binding
from yun.drivers.hypervisor.libvirt.domain_xml.devices import disk_xml
from yun.drivers.hypervisor.libvirt.errors import (
    AGENT_COMMAND_FAILED,
    AGENT_COMMAND_TIMEOUT,
    AGENT_UNRESPONSIVE,
    AGENT_UNSYNCED,
    INTERNAL,
    OPERATION_FAILED,
    OPERATION_TIMEOUT,
    lost_connection,
)
from yun.drivers.hypervisor.port import DiskSpec, PluggedDisk

LIVE = 1
RESIZE_BYTES = 1
SECTOR = 512
QUIESCE_SECONDS = 5
NO_REST = (AGENT_UNRESPONSIVE, AGENT_UNSYNCED, AGENT_COMMAND_TIMEOUT, AGENT_COMMAND_FAILED, INTERNAL)
"""What libvirt answers where a guest's agent cannot bring its file systems to rest; nothing was changed then."""


LOCKED = (OPERATION_FAILED, OPERATION_TIMEOUT)
"""What libvirt answers where a guest does not open the tray of its CD drive."""


def find(domain: Any, slot: str) -> ET.Element | None:
    """The live ``<disk>`` in ``slot``."""
    for disk in ET.fromstring(domain.XMLDesc(0)).iterfind("./devices/disk"):
        target = disk.find("target")
        if target is not None and target.get("dev") == slot:
            return disk
    return None


def attach(domain: Any, disk: DiskSpec) -> None:
    """Plug ``disk`` in unless its slot holds its file already."""
    there = find(domain, disk.slot)
    if there is None:
        domain.attachDeviceFlags(disk_xml(disk), LIVE)
        return
    source = there.find("source")
    if source is None or source.get("file") != disk.path:
        raise DriverError(_("The slot {slot} holds another disk.", slot=disk.slot), private=disk.path)


def detach(domain: Any, slot: str) -> bool:
    """Ask the guest for the disk in ``slot``, if it is there; False where the guest says no."""
    there = find(domain, slot)
    if there is None:
        return True
    xml = ET.tostring(there, encoding="unicode")
    try:
        _unless_gone(domain, slot, lambda: domain.detachDeviceFlags(xml, LIVE))
    except binding().libvirtError as error:
        if error.get_error_code() != OPERATION_FAILED or lost_connection(error):
            raise
        return False  # libvirt: "unplug of device was rejected by the guest"
    return True


def resize(domain: Any, slot: str, size: int) -> None:
    """Let the guest see ``size`` bytes. libvirt would shrink a disk without a word, so that is refused here."""
    if find(domain, slot) is None:
        raise DriverError(_("The slot {slot} is empty.", slot=slot))
    now = domain.blockInfo(slot)[0]
    if size % SECTOR or size < now:
        raise DriverError(_("A disk cannot be made smaller."), private=f"{slot}: {now} to {size}")
    if size > now:
        domain.blockResize(slot, size, RESIZE_BYTES)


def freeze(domain: Any, heads: Mapping[str, str], *, quiesce: bool) -> bool:
    """Let the domain write to ``heads`` from one moment on; whether its guest came to rest for it.

    A guest whose agent cannot do that (or not now) is frozen as it stands: libvirt has thawed it by then.
    """
    libvirt = binding()
    for slot in heads:
        if find(domain, slot) is None:
            raise DriverError(_("The slot {slot} is empty.", slot=slot))
    flags = (
        libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT
        | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA
    )  # fmt: skip
    text = freeze_xml(domain, heads)
    if quiesce:
        with contextlib.suppress(libvirt.libvirtError):  # without an answer in time the guest is not waited for
            domain.agentSetResponseTimeout(QUIESCE_SECONDS, 0)
        try:
            domain.snapshotCreateXML(text, flags | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_QUIESCE)
            return True
        except libvirt.libvirtError as error:
            if error.get_error_code() not in NO_REST:
                raise
    domain.snapshotCreateXML(text, flags)
    return False


def freeze_xml(domain: Any, heads: Mapping[str, str]) -> str:
    """What libvirt is told to freeze: these slots, and no others."""
    root = ET.Element("domainsnapshot")
    disks = ET.SubElement(root, "disks")
    for disk in ET.fromstring(domain.XMLDesc(0)).iterfind("./devices/disk"):
        target = disk.find("target")
        slot = target.get("dev", "") if target is not None else ""
        head = heads.get(slot)
        entry = ET.SubElement(disks, "disk", {"name": slot, "snapshot": "external" if head else "no"})
        if head:
            entry.set("type", "file")
            ET.SubElement(entry, "driver", {"type": "qcow2"})
            ET.SubElement(entry, "source", {"file": head})
    return ET.tostring(root, encoding="unicode")


def change_medium(domain: Any, slot: str, path: str, *, force: bool) -> bool:
    """Let the CD drive in ``slot`` hold ``path``; False where the guest keeps its tray locked.

    libvirt asks the guest and waits a few seconds for an open tray. What it answers then is held against what really
    lies in the drive.
    """
    libvirt = binding()
    drive = find(domain, slot)
    if drive is None or drive.get("device") != "cdrom":
        raise DriverError(_("The slot {slot} is no CD drive.", slot=slot))
    if _medium(drive) == path:
        return True
    source = drive.find("source")
    if source is not None:
        drive.remove(source)
    driver = drive.find("driver")
    if path:
        ET.SubElement(drive, "source", {"file": path})
        if driver is not None:
            driver.set("type", "qcow2")
    chain = drive.find("backingStore")
    if chain is not None:
        drive.remove(chain)
    target = drive.find("target")
    if target is not None:
        target.attrib.pop("tray", None)
    flags = LIVE | (libvirt.VIR_DOMAIN_DEVICE_MODIFY_FORCE if force else 0)
    try:
        domain.updateDeviceFlags(ET.tostring(drive, encoding="unicode"), flags)
    except libvirt.libvirtError as error:
        if not force and error.get_error_code() in LOCKED:
            return False
        raise
    return True


def media(domain: Any) -> dict[str, str]:
    """The domain's CD drives and the file in each."""
    found = {}
    for disk in ET.fromstring(domain.XMLDesc(0)).iterfind("./devices/disk[@device='cdrom']"):
        target = disk.find("target")
        if target is not None:
            found[target.get("dev", "")] = _medium(disk)
    return found


def _medium(drive: ET.Element) -> str:
    source, target = drive.find("source"), drive.find("target")
    is_open = target is not None and target.get("tray") == "open"
    return "" if source is None or is_open else source.get("file", "")


def plugged(domain: Any) -> dict[str, PluggedDisk]:
    """The files in the domain's slots."""
    found = {}
    for disk in ET.fromstring(domain.XMLDesc(0)).iterfind("./devices/disk"):
        target, source = disk.find("target"), disk.find("source")
        if target is None or source is None or not source.get("file"):
            continue
        slot = target.get("dev", "")
        found[slot] = PluggedDisk(source.get("file", ""), _size(domain, slot))
    return found


def _size(domain: Any, slot: str) -> int:
    try:
        return int(domain.blockInfo(slot)[0])
    except binding().libvirtError as error:
        if lost_connection(error):
            raise
        return 0  # libvirt still lists a disk whose device QEMU is taking apart


def _unless_gone(domain: Any, slot: str, call: Callable[[], Any]) -> Any:
    """What ``call`` gives; None where it fails because the guest let go of the disk in this very moment."""
    try:
        return call()
    except Exception:
        if find(domain, slot) is None:
            return None
        raise
