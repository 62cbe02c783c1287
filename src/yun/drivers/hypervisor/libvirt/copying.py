"""Copying a disk of a running domain to another file, and letting the domain go on with the copy."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.libvirt.connect import binding
from yun.drivers.hypervisor.libvirt.disks import find
from yun.drivers.hypervisor.port import BlockCopy

INACTIVE = 2


def begin(domain: Any, slot: str, path: str, format: str) -> None:
    """Start the copy unless one is under way."""
    libvirt = binding()
    there = find(domain, slot)
    if there is None:
        raise DriverError(_("The slot {slot} is empty.", slot=slot))
    if there.find("mirror") is not None:
        return
    target = ET.Element("disk", {"type": "file"})
    ET.SubElement(target, "driver", {"name": "qemu", "type": format})
    ET.SubElement(target, "source", {"file": path})
    flags = libvirt.VIR_DOMAIN_BLOCK_COPY_REUSE_EXT | libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB
    domain.blockCopy(slot, ET.tostring(target, encoding="unicode"), None, flags)


def state(domain: Any, slot: str) -> BlockCopy | None:
    """How far the copy is. Whether it is ready is told by the domain's XML: before the first byte the counters are
    equal, too."""
    there = find(domain, slot)
    mirror = there.find("mirror") if there is not None else None
    if mirror is None:
        return None
    counters = domain.blockJobInfo(slot, 0) or {}
    done, total = int(counters.get("cur", 0)), int(counters.get("end", 0))
    return BlockCopy(done, total, mirror.get("ready") == "yes")


def finish(domain: Any, slot: str) -> None:
    """Let the domain go on with the copy; returns when it does."""
    now = state(domain, slot)
    if now is None:
        raise DriverError(_("No copy of {slot} is under way.", slot=slot))
    if not now.ready:
        raise DriverError(_("The copy of {slot} is not ready yet.", slot=slot), retryable=True)
    domain.blockJobAbort(slot, binding().VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)


def abandon(domain: Any, slot: str) -> None:
    """End the copy, if there is one; returns when nothing writes to the new file any more."""
    if state(domain, slot) is None:
        return
    try:
        domain.blockJobAbort(slot, 0)
    except binding().libvirtError:
        if state(domain, slot) is not None:
            raise


def defined(domain: Any) -> dict[str, str]:
    """The files of the persistent definition by slot."""
    found = {}
    for disk in ET.fromstring(domain.XMLDesc(INACTIVE)).iterfind("./devices/disk"):
        target, source = disk.find("target"), disk.find("source")
        if target is not None and source is not None and source.get("file"):
            found[target.get("dev", "")] = source.get("file", "")
    return found
