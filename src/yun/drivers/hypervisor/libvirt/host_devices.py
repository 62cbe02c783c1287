"""PCI and USB devices: what the host has, what it uses itself, and what its running machines have of it.

Libvirt knows which devices there are and their IOMMU groups; what the host does with them is told by the kernel alone.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.host_device import HostDevice, HostDeviceSpec
from yun.drivers.hypervisor.libvirt.domain_xml.devices import host_device_xml

LIVE = 1
PCI_OR_USB = 1 << 1 | 1 << 2
NO_NODE_DEVICE = 53
ALIAS = "ua-"
"""Aliases with this beginning are ours to choose; others are libvirt's own."""
BRIDGES, HUB = "06", "09"
DISK, NETWORK, BRIDGE = "disk", "network", "bridge"


# ── the host ──


def inventory(conn: Any, root: Path = Path("/")) -> list[HostDevice]:
    """What the host has now, by kind and address. Hubs are left out: what is plugged into them is what counts."""
    used = in_use(root)
    found = []
    for node in conn.listAllDevices(PCI_OR_USB):
        try:
            text = node.XMLDesc(0)
        except Exception as error:
            ask = getattr(error, "get_error_code", None)
            if ask is not None and ask() == NO_NODE_DEVICE:
                continue  # it was pulled out in this moment
            raise
        device = read(text, root, used)
        if device is not None:
            found.append(device)
    return sorted(found, key=lambda d: (d.kind, d.address))


def read(text: str, root: Path, used: Collection[tuple[str, str]]) -> HostDevice | None:
    """A device from libvirt's XML of it; None for what nobody can be given. ``used`` are the kernel's paths of disks
    and network cards that the host works with, each with the word for it."""
    element = ET.fromstring(text)
    path = element.findtext("path", "")
    pci, usb = element.find("capability[@type='pci']"), element.find("capability[@type='usb_device']")
    if pci is not None:
        return _pci(element, pci, _use(path, used))
    if usb is None:
        return None
    attributes = root / path.lstrip("/")
    if _word(attributes / "bDeviceClass") == HUB:
        return None
    return HostDevice(
        kind="usb", address=path.rpartition("/")[2], vendor_id=_id(usb, "vendor"), product_id=_id(usb, "product"),
        vendor=_name(usb, "vendor"), product=_name(usb, "product"), serial=_word(attributes / "serial"),
        driver=element.findtext("driver/name", ""), bus=int(usb.findtext("bus", "0")),
        number=int(usb.findtext("device", "0")), host_use=_use(path, used),
    )  # fmt: skip


def _pci(element: ET.Element, pci: ET.Element, used: str) -> HostDevice:
    place = [int(pci.findtext(part, "0")) for part in ("domain", "bus", "slot", "function")]
    group = pci.find("iommuGroup")
    kind = pci.findtext("class", "0x000000").removeprefix("0x")
    return HostDevice(
        kind="pci", address="{:04x}:{:02x}:{:02x}.{:x}".format(*place), vendor_id=_id(pci, "vendor"),
        product_id=_id(pci, "product"), vendor=_name(pci, "vendor"), product=_name(pci, "product"), category=kind,
        driver=element.findtext("driver/name", ""),
        iommu_group=int(group.get("number", "0")) if group is not None else None,
        host_use=BRIDGE if kind.startswith(BRIDGES) else used,
    )  # fmt: skip


def _id(element: ET.Element, name: str) -> str:
    found = element.find(name)
    return found.get("id", "0x0000").removeprefix("0x") if found is not None else "0000"


def _name(element: ET.Element, name: str) -> str:
    return " ".join((element.findtext(name) or "").split())


def _word(path: Path) -> str:
    try:
        return " ".join(path.read_text(errors="replace").split())
    except OSError:
        return ""


def _use(path: str, used: Collection[tuple[str, str]]) -> str:
    """What the host does with a device: by it, or by something that is plugged into it."""
    return next((word for place, word in used if place == path or place.startswith(path + "/")), "")


def in_use(root: Path = Path("/")) -> set[tuple[str, str]]:
    """The kernel's paths of the disks with file systems and swap of the host, below encryption, RAID and LVM too, and
    of its network cards that are the way out or belong to a bridge or bond."""
    disks = (*_mounted(root), *_members(root))
    found = {(path, DISK) for disk in disks for path in _below(root, disk)}
    ways = {line.split()[0] for line in _lines(root / "proc/net/route") if line.split()[1:2] == ["00000000"]}
    ways |= {line.split()[-1] for line in _lines(root / "proc/net/ipv6_route") if line.startswith("0" * 32 + " 00 ")}
    for card in _children(root / "sys/class/net"):
        bound = (card / "master").exists() or any(card.glob("upper_*"))
        if (card.name in ways or bound) and (card / "device").exists():
            found.add((_device_path(root, card), NETWORK))
    return found


def _mounted(root: Path) -> Iterator[Path]:
    """The disks and partitions under mounted file systems and swap, as the kernel lists them."""
    for line in _lines(root / "proc/self/mountinfo"):
        fields = line.split()
        yield root / "sys/dev/block" / fields[2]
        source = fields[fields.index("-") + 2] if "-" in fields else ""
        if source.startswith("/dev/"):  # file systems over several disks name no single number
            yield root / "sys/class/block" / _node(root, source)
    for line in _lines(root / "proc/swaps")[1:]:
        yield root / "sys/class/block" / _node(root, line.split()[0])


def _members(root: Path) -> Iterator[Path]:
    """The disks and partitions that something stands on which names none of them, or only the first: every disk of a
    btrfs, what device-mapper and RAID hold whether it is mounted or not, and the members of ZFS pools."""
    yield from (link for each in _children(root / "sys/fs/btrfs") for link in _children(each / "devices"))
    yield from (disk for disk in _children(root / "sys/class/block") if _children(disk / "holders"))
    if any(pool.is_dir() for pool in _children(root / "proc/spl/kstat/zfs")):
        for known in _children(root / "run/udev/data"):  # b259:1 and so on; only udev says what is on a partition
            if known.name.startswith("b") and "E:ID_FS_TYPE=zfs_member" in _lines(known):
                yield root / "sys/dev/block" / known.name[1:]


def _node(root: Path, source: str) -> str:
    """The kernel's name of a device file, which may be a link such as /dev/mapper/x."""
    return (root / source.lstrip("/")).resolve().name


def _below(root: Path, disk: Path) -> Iterator[str]:
    """The kernel's path of a disk, and of all that it is made of."""
    if not disk.exists():
        return
    yield _device_path(root, disk)
    for part in _children(disk / "slaves"):
        yield from _below(root, part)


def _device_path(root: Path, link: Path) -> str:
    return "/" + str(link.resolve().relative_to(root.resolve()))


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        return []


# ── running machines ──


def attach(domain: Any, device: HostDeviceSpec) -> None:
    """Plug ``device`` in unless it is there."""
    if device.key not in plugged(domain):
        domain.attachDeviceFlags(host_device_xml(device), LIVE)


def detach(domain: Any, key: str) -> None:
    """Ask the guest for the device, if it is there."""
    there = _find(domain, key)
    if there is None:
        return
    try:
        domain.detachDeviceFlags(ET.tostring(there, encoding="unicode"), LIVE)
    except Exception as error:
        if _find(domain, key) is not None:  # it may have gone in this very moment
            raise DriverError(_("The device cannot be taken out now: {reason}", reason=str(error))) from error


def plugged(domain: Any) -> set[str]:
    """Our names of the devices that the running domain really has."""
    return {
        _key(e) for e in ET.fromstring(domain.XMLDesc(0)).iterfind("./devices/hostdev")
        if _key(e) and e.find("source[@missing='yes']") is None
    }  # fmt: skip


def _find(domain: Any, key: str) -> ET.Element | None:
    devices = ET.fromstring(domain.XMLDesc(0)).iterfind("./devices/hostdev")
    return next((e for e in devices if _key(e) == key), None)


def _key(element: ET.Element) -> str:
    alias = element.find("alias")
    name = alias.get("name", "") if alias is not None else ""
    return name.removeprefix(ALIAS) if name.startswith(ALIAS) else ""
