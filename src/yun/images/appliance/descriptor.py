"""The OVF description of a machine, read as what it may be: a stranger's XML.

Elements are known by their local names, so that versions 1 and 2 and the makers' own name spaces read the same. No
document type, no entities, nothing from outside.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass

import defusedxml
from defusedxml.ElementTree import fromstring

from yun.base.messages import Message, _
from yun.images.appliance.archive import refuse, shown

MOST_DISKS, MOST_NICS = 16, 8
BUSES = ("virtio", "scsi", "sata")
CARDS = ("virtio", "e1000", "e1000e")
VCPU, MEMORY, IDE, SCSI, NIC, DISK, SATA = "3", "4", "5", "6", "10", "17", "20"
CONTROLLERS = (IDE, SCSI, SATA)
_UNITS = {"byte": 1, "bytes": 1, "kilobytes": 1 << 10, "megabytes": 1 << 20, "gigabytes": 1 << 30, "mb": 1 << 20}
_POWER = re.compile(r"bytes?\s*\*\s*2\s*\^\s*(\d{1,2})")
_TIMES = re.compile(r"bytes?\s*\*\s*(\d{1,15})")


@dataclass(frozen=True)
class ApplianceDisk:
    """A disk of an appliance: the member of the tar that holds it (``file`` empty: a disk with nothing on it), how
    large the guest sees it, and the bus it goes to. What lies where and its checksum are found by `read`."""

    file: str
    capacity: int
    bus: str
    gzip: bool = False
    offset: int = 0
    size: int = 0
    algorithm: str = ""
    digest: str = ""


@dataclass(frozen=True)
class Appliance:
    """What an OVA says a machine is. ``nics`` are models of cards, ``warnings`` what a person should know of it."""

    name: str
    os: str
    vcpus: int
    memory_mib: int
    firmware: str
    disks: tuple[ApplianceDisk, ...]
    nics: tuple[str, ...]
    checked: bool = False
    warnings: tuple[Message, ...] = ()


def references(text: bytes) -> list[str]:
    """The names of the files that a description says belong to it. Raises `Invalid` for what is no description."""
    root = _root(text)
    found = [_attribute(e, "href") for section in _all(root, "References") for e in _all(section, "File")]
    return [name.removeprefix("./") for name in found if name]


def parse(text: bytes) -> Appliance:
    """The machine that an OVF describes. Raises `Invalid` naming what is wrong or is not supported."""
    root = _root(text)
    systems = list(_all(root, "VirtualSystem"))
    if len(systems) != 1:
        raise refuse(_("it describes {count} machines; one is taken at a time", count=len(systems)))
    system = systems[0]
    hardware = next(_all(system, "VirtualHardwareSection"), None)
    if hardware is None:
        raise refuse(_("its description names no hardware"))
    items = [_item(e) for e in hardware if _local(e.tag) in ("Item", "StorageItem", "EthernetPortItem")]
    return Appliance(
        name=_name(system),
        os=shown(_text(next(_all(system, "OperatingSystemSection"), system), "Description"))[:80],
        vcpus=_quantity(items, VCPU, 1),
        memory_mib=_memory(items),
        firmware=_firmware(system),
        disks=_disks(root, items),
        nics=_nics(items),
    )


def _root(text: bytes) -> ET.Element:
    try:
        root = fromstring(text, forbid_dtd=True)
    except defusedxml.DefusedXmlException as error:
        raise refuse(_("its description defines entities or a document type of its own")) from error
    except (ET.ParseError, ValueError, LookupError) as error:
        raise refuse(_("its description is no XML that can be read")) from error
    if _local(root.tag) != "Envelope":
        raise refuse(_("its description is no OVF"))
    return root


def _local(tag: object) -> str:
    return str(tag).rpartition("}")[2]


def _all(element: ET.Element, name: str) -> Iterator[ET.Element]:
    return (e for e in element.iter() if _local(e.tag) == name)


def _attribute(element: ET.Element, name: str) -> str:
    return next((value for key, value in element.attrib.items() if _local(key) == name), "")


def _text(element: ET.Element, name: str) -> str:
    found = next((e for e in element if _local(e.tag) == name), None)
    return (found.text or "").strip() if found is not None else ""


def _name(system: ET.Element) -> str:
    return shown(_text(system, "Name") or _attribute(system, "id")).strip()


def _item(element: ET.Element) -> dict[str, str]:
    """An item of hardware by its elements' names; ``config:KEY`` for what makers add in elements ``Config``."""
    found: dict[str, str] = {}
    for child in element:
        name = _local(child.tag)
        if name == "Config":
            found[f"config:{_attribute(child, 'key')}"] = _attribute(child, "value")
        else:
            found.setdefault(name, (child.text or "").strip())
    return found


def _number(text: str, what: str) -> int:
    if not re.fullmatch(r"\d{1,19}", text):
        raise refuse(_("{what} in its description is no number: {said}", what=what, said=shown(text)))
    return int(text)


def _quantity(items: list[dict[str, str]], kind: str, default: int) -> int:
    for item in items:
        if item.get("ResourceType") == kind:
            return _number(item.get("VirtualQuantity", ""), "VirtualQuantity")
    return default


def _unit(text: str, default: int) -> int:
    word = text.strip().lower()
    if not word:
        return default
    if match := _POWER.fullmatch(word):
        return int(1 << min(int(match[1]), 63))
    if match := _TIMES.fullmatch(word):
        return int(match[1])
    if word not in _UNITS:
        raise refuse(_("its description counts in units that are unknown here: {said}", said=shown(text)))
    return _UNITS[word]


def _memory(items: list[dict[str, str]]) -> int:
    for item in items:
        if item.get("ResourceType") == MEMORY:
            amount = _number(item.get("VirtualQuantity", ""), "VirtualQuantity")
            return amount * _unit(item.get("AllocationUnits", ""), 1 << 20) >> 20
    return 512


def _firmware(system: ET.Element) -> str:
    said = {_attribute(e, "key").lower(): _attribute(e, "value").lower() for e in _all(system, "Config")}
    named = next((_attribute(e, "type").lower() for e in _all(system, "Firmware")), "")
    if said.get("firmware") != "efi" and not named.startswith("efi"):
        return "bios"
    return "uefi-secure" if said.get("bootoptions.efisecurebootenabled") == "true" else "uefi"


def _nics(items: list[dict[str, str]]) -> tuple[str, ...]:
    found = [item for item in items if item.get("ResourceType") == NIC]
    if len(found) > MOST_NICS:
        raise refuse(_("it has {count} network cards; at most {most} are taken", count=len(found), most=MOST_NICS))
    return tuple(_card(item) for item in found)


def _card(item: dict[str, str]) -> str:
    """What stands for the card here: the same where there is one, else the card that every system knows."""
    if (own := item.get("config:model", "")) in CARDS:
        return own
    words = item.get("ResourceSubType", "").lower().split()
    if any(word.startswith("virtio") for word in words):
        return "virtio"
    return "e1000e" if words == ["e1000e"] else "e1000"


def _disks(root: ET.Element, items: list[dict[str, str]]) -> tuple[ApplianceDisk, ...]:
    files = {_attribute(e, "id"): e for section in _all(root, "References") for e in _all(section, "File")}
    known = {_attribute(e, "diskId"): e for section in _all(root, "DiskSection") for e in _all(section, "Disk")}
    buses = {i.get("InstanceID", ""): _bus(i) for i in items if i.get("ResourceType") in CONTROLLERS}
    wanted = [item for item in items if item.get("ResourceType") == DISK]
    if not wanted:
        raise refuse(_("it has no disk"))
    if len(wanted) > MOST_DISKS:
        raise refuse(_("it has {count} disks; at most {most} are taken", count=len(wanted), most=MOST_DISKS))
    found = []
    for item in wanted:
        reference = item.get("HostResource", "").removeprefix("ovf:").removeprefix("/disk/")
        if reference not in known:
            raise refuse(_("its description names a disk that it does not describe: {name}", name=shown(reference)))
        bus = item.get("config:bus", "")
        bus = bus if bus in BUSES else buses.get(item.get("Parent", ""), "sata")
        found.append(_disk(known[reference], files, bus))
    named = [disk.file for disk in found if disk.file]
    if len(named) != len(set(named)):
        raise refuse(_("two of its disks are one file"))
    return tuple(found)


def _bus(controller: dict[str, str]) -> str:
    """SCSI controllers of other makers, and IDE, become SATA: every system that knew those knows it too."""
    subtype = controller.get("ResourceSubType", "").lower()
    if "virtio" in subtype:
        return "scsi" if controller.get("ResourceType") == SCSI else "virtio"
    return "sata"


def _disk(element: ET.Element, files: dict[str, ET.Element], bus: str) -> ApplianceDisk:
    if _attribute(element, "parentRef"):
        raise refuse(_("one of its disks stands on another one; export it as whole disks"))
    unit = _unit(_attribute(element, "capacityAllocationUnits"), 1)
    capacity = _number(_attribute(element, "capacity"), "capacity") * unit
    reference = _attribute(element, "fileRef")
    if not reference:
        return ApplianceDisk("", capacity, bus)
    if reference not in files:
        raise refuse(_("its description names a file that it does not describe: {name}", name=shown(reference)))
    file = files[reference]
    packed = _attribute(file, "compression").lower() or "identity"
    if packed not in ("identity", "gzip"):
        raise refuse(_("one of its files is packed with {kind}; gzip alone is known", kind=shown(packed)))
    if _attribute(file, "chunkSize"):
        raise refuse(_("one of its files is cut into pieces; export it as one file"))
    return ApplianceDisk(_attribute(file, "href").removeprefix("./"), capacity, bus, gzip=packed == "gzip")
