"""Places on the board of a running domain: what is in them, and which are free for what is plugged in."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from yun.drivers.hypervisor.definition import devices_by_name
from yun.drivers.hypervisor.port import Places

PORTS = ("pcie-root-port", "pcie-switch-downstream-port")
"""Buses of PCI Express that take one device while the machine runs."""
OLD_BUSES = ("pci-bridge", "pcie-to-pci-bridge")
"""Buses of the old PCI in a machine, besides the root of an old board; the first of their slots is their own."""
ROOT, SLOTS = range(3, 32), range(1, 32)
"""Of an old board, whose own parts and screen have the first; and of a bridge."""


def look(domain: Any) -> Places:
    """What the running domain has and takes."""
    return read(domain.XMLDesc(0))


def read(text: str) -> Places:
    """The same, from its XML. An old board has no PCI Express: there everything goes on the old bus."""
    root = ET.fromstring(text)
    buses = {
        int(c.get("index", "0")): c.get("model", "") for c in root.iterfind("./devices/controller[@type='pci']")
    }
    used = {
        (int(place.get("bus", "0"), 16), int(place.get("slot", "0"), 16))
        for place in root.iterfind("./devices/*/address[@type='pci']")
    }
    new = "pcie-root" in buses.values()
    full = {bus for bus, _slot in used}
    own = sum(model in PORTS and index not in full for index, model in buses.items())
    old = sum(
        (index, slot) not in used
        for index, model in buses.items() if model in OLD_BUSES or model == "pci-root"
        for slot in (ROOT if model == "pci-root" else SLOTS)
    )  # fmt: skip
    return Places(
        taken=frozenset(devices_by_name(root)), own=own if new else old, old=old,
        scsi=root.find("./devices/controller[@type='scsi']") is not None,
    )
