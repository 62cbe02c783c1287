"""How much the disks of a running domain may do each second."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.definition import limits_of
from yun.drivers.hypervisor.disk import IoLimits
from yun.drivers.hypervisor.libvirt.disks import LIVE


def limit(domain: Any, slot: str, wanted: IoLimits) -> None:
    """Hold the disk in ``slot``, and all that share its group, to ``wanted``."""
    now = limits(domain).get(slot)
    if now is None:
        raise DriverError(_("The slot {slot} is empty.", slot=slot))
    if now == wanted:
        return
    if now.any and (now.group_name != wanted.group_name or not wanted.any):
        # Free of any limit a disk leaves its group, whose others keep theirs. With new limits and no name it would stay
        # in it, and change it for all.
        domain.setBlockIoTune(slot, IoLimits().rates, LIVE)
    if wanted.any:
        group = {"group_name": wanted.group_name} if wanted.group_name else {}
        domain.setBlockIoTune(slot, {**wanted.rates, **group}, LIVE)


def limits(domain: Any) -> dict[str, IoLimits]:
    """What each disk of the domain is held to, by slot."""
    found = {}
    for disk in ET.fromstring(domain.XMLDesc(0)).iterfind("./devices/disk"):
        target = disk.find("target")
        if target is not None:
            found[target.get("dev", "")] = limits_of(disk)
    return found
