"""A definition that came with its machine, with what has changed since put into it, and everything else untouched.

What we have no word for (a sound card, a passed-through device, a CPU model) is never lost that way, and a machine
that nobody changed starts exactly as it did before it was taken over.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from yun.drivers.hypervisor.definition import DefinedDisk, boot_order, devices_by_name, read_definition
from yun.drivers.hypervisor.libvirt.domain_xml.element import NAMESPACE
from yun.drivers.hypervisor.port import DiskSpec, DomainSpec, Kept, NicSpec

Make = Callable[[ET.Element, DiskSpec], None]
MakeNic = Callable[[ET.Element, NicSpec], None]


def kept_root(spec: DomainSpec, kept: Kept, disk: Make, nic: MakeNic) -> ET.Element:
    """The domain element for ``spec``; ``disk`` and ``nic`` add one of ours. Raises ``ValueError`` for a definition
    that is none."""
    known = read_definition(kept.xml, namespace=NAMESPACE)
    root = ET.fromstring(kept.xml)
    root.attrib.pop("id", None)
    for holder in root.findall("metadata"):
        for ours in holder.findall(f"{{{NAMESPACE}}}domain"):
            holder.remove(ours)
        if not len(holder):
            root.remove(holder)
    if spec.vcpus != known.vcpus:
        _processors(root, spec.vcpus)
    if spec.memory_mib != known.memory_mib:
        _memory(root, spec.memory_mib)
    devices = root.find("devices")
    assert devices is not None
    _disks(devices, spec, kept, known.disks, disk)
    if spec.serial_socket:
        _consoles(devices, spec)
    macs = {card.mac for card in known.cards}
    for card in spec.nics:
        if card.mac.lower() not in macs:
            nic(devices, replace(card, boot_order=None))
    _boot_order(root, devices, spec, {d.slot: d.boot_order for d in known.disks if d.slot in kept.disks})
    return root


def _processors(root: ET.Element, count: int) -> None:
    element = root.find("vcpu")
    if element is None:
        element = ET.SubElement(root, "vcpu")
    element.text = str(count)
    element.attrib.pop("current", None)
    for listed in root.findall("vcpus"):
        root.remove(listed)
    _without(root, "cpu", "topology", "numa")


def _memory(root: ET.Element, memory_mib: int) -> None:
    for name in ("memory", "currentMemory"):
        element = root.find(name)
        if element is not None:
            element.text = str(memory_mib)
            element.set("unit", "MiB")
    for most in root.findall("maxMemory"):
        root.remove(most)
    _without(root, "cpu", "numa")


def _without(root: ET.Element, holder: str, *names: str) -> None:
    for element in root.findall(holder):
        for name in names:
            for child in element.findall(name):
                element.remove(child)


def _disks(
    devices: ET.Element, spec: DomainSpec, kept: Kept, before: Sequence[DefinedDisk], make: Make
) -> None:
    there = {}
    for element in devices.findall("disk"):
        target = element.find("target")
        there[target.get("dev", "") if target is not None else ""] = element
    wanted = {disk.slot: disk for disk in spec.disks}
    known = {disk.slot: disk for disk in before}
    for slot in kept.disks:
        if slot in there and slot not in wanted:
            devices.remove(there.pop(slot))
    for slot, disk in wanted.items():
        if slot in there and slot in kept.disks:
            _same_place(there[slot], disk, known[slot])
        elif slot not in there:
            _controller(devices, disk)
            make(devices, replace(disk, boot_order=None))
            there[slot] = devices[-1]
        else:
            raise ValueError(f"the slot {slot} is the definition's own")


def _same_place(element: ET.Element, disk: DiskSpec, was: DefinedDisk) -> None:
    """The disk is where it was; its file may be another one by now, and so may how it is read and written."""
    source, driver = element.find("source"), element.find("driver")
    if source is not None and source.get("file") != disk.path:
        source.set("file", disk.path)
        for chain in element.findall("backingStore"):
            element.remove(chain)
    if driver is None:
        driver = ET.Element("driver", {"name": "qemu", "type": was.format})
        element.insert(0, driver)
    driver.set("type", disk.format)
    for name, before, now in (
        ("cache", was.cache, disk.cache), ("io", was.io, disk.io or ""),
        ("discard", "unmap" if was.discard else "", "unmap" if disk.discard else ""),
    ):  # fmt: skip
        if before != now:
            driver.attrib.pop(name, None)
            if now:
                driver.set(name, now)
    if was.serial != disk.serial:
        for old in element.findall("serial"):
            element.remove(old)
        if disk.serial:
            ET.SubElement(element, "serial").text = disk.serial
    if was.limits != disk.limits:
        _limits(element, disk)


def _limits(element: ET.Element, disk: DiskSpec) -> None:
    """The disk is held to other limits; what we have no word for (the size of a request) stays."""
    said = element.find("iotune")
    if said is None:
        said = ET.SubElement(element, "iotune")
    for child in list(said):
        if child.tag in disk.limits.rates or child.tag == "group_name":
            said.remove(child)
    for name, value in {**disk.limits.rates, "group_name": disk.limits.group_name}.items():
        if value:
            ET.SubElement(said, name).text = str(value)
    if not len(said) or not disk.limits.any:
        element.remove(said)


def _controller(devices: ET.Element, disk: DiskSpec) -> None:
    """A SCSI disk needs a controller that guests have a driver for; libvirt's own choice is another one."""
    if disk.bus == "scsi" and devices.find("controller[@type='scsi']") is None:
        ET.SubElement(devices, "controller", {"type": "scsi", "index": "0", "model": "virtio-scsi"})


def _consoles(devices: ET.Element, spec: DomainSpec) -> None:
    """The first serial port is ours to listen to, and there is a channel for a guest agent."""
    serial = devices.find("serial")
    if serial is None:
        serial = ET.SubElement(devices, "serial")
    if not (serial.get("type") == "unix" and serial.find("source[@mode='bind']") is not None):
        serial.set("type", "unix")
        serial.attrib.pop("tty", None)
        for old in [*serial.findall("source"), *serial.findall("protocol"), *serial.findall("log")]:
            serial.remove(old)
        serial.insert(0, ET.Element("source", {"mode": "bind", "path": spec.serial_socket}))
        if spec.serial_log:
            serial.insert(1, ET.Element("log", {"file": spec.serial_log, "append": "on"}))
        # The daemon writes a console for the first port itself; an old one would contradict it.
        for console in devices.findall("console"):
            if (target := console.find("target")) is None or target.get("type") == "serial":
                devices.remove(console)
    if devices.find("channel/target[@name='org.qemu.guest_agent.0']") is None:
        channel = ET.SubElement(devices, "channel", {"type": "unix"})
        ET.SubElement(channel, "target", {"type": "virtio", "name": "org.qemu.guest_agent.0"})


def _boot_order(
    root: ET.Element, devices: ET.Element, spec: DomainSpec, before: Mapping[str, int | None]
) -> None:
    """Only an order that was changed is written: the definition's own says it in more ways than ours. What it tries of
    its own beside what the cloud knows of comes after that, in the turn that it had."""
    ours = {d.slot: d.boot_order for d in spec.disks} | {n.mac.lower(): n.boot_order for n in spec.nics}
    was = {name: before.get(name) for name in ours}
    if ours == was:
        return
    known, others = devices_by_name(root), [name for name in boot_order(root) if name not in ours]
    for holder in [*root.findall("os"), *devices]:
        for boot in holder.findall("boot"):
            holder.remove(boot)
    first = sorted((turn, name) for name, turn in ours.items() if turn is not None and name in known)
    for turn, name in enumerate([*(name for _turn, name in first), *others], start=1):
        ET.SubElement(known[name], "boot", {"order": str(turn)})
