"""Reading a stranger's domain XML: what it is made of, in our words, and what of it we have no word for. Pure."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field, replace

from yun.drivers.hypervisor.disk import NO_LIMITS, IoLimits

BUSES = ("virtio", "scsi", "sata", "ide")
FORMATS = ("qcow2", "raw")
SIZE = {"b": 1 / 1024, "bytes": 1 / 1024, "k": 1, "kib": 1, "m": 1024, "mib": 1024, "g": 1024**2, "gib": 1024**2}
"""Units of memory as KiB."""
EXPRESSED = {
    "name", "uuid", "genid", "title", "description", "metadata", "memory", "currentMemory", "vcpu", "os", "features",
    "cpu", "clock", "on_poweroff", "on_reboot", "on_crash", "devices", "resource", "pm",
}  # fmt: skip
DEVICES = {
    "emulator", "disk", "controller", "interface", "serial", "console", "channel", "input", "graphics", "video",
    "audio", "sound", "memballoon", "rng",
}  # fmt: skip
"""What every machine of ours has too, whatever its model; the rest is kept and named in the report."""
GENERAL = {"hd": "disk", "cdrom": "cdrom", "network": "network"}
"""What a definition may say in general to boot from."""


@dataclass(frozen=True)
class DefinedDisk:
    """A disk as a definition names it. ``path`` is empty for one that is no file; ``kept`` says why it stays the
    definition's own (``cdrom``, ``floppy``, ``block``, ``network``, ``shared``, ``readonly``, ``bus``, ``format``),
    empty for one that can become a volume."""

    slot: str
    path: str
    format: str
    bus: str
    kept: str = ""
    boot_order: int | None = None
    serial: str = ""
    cache: str = "none"
    io: str = ""
    discard: bool = False
    limits: IoLimits = NO_LIMITS


@dataclass(frozen=True)
class DefinedCard:
    """A network card: ``kind`` is libvirt's (``network``, ``bridge``, ``direct``, ``user``…), ``source`` what it is
    plugged into."""

    mac: str
    kind: str
    source: str
    model: str


@dataclass(frozen=True)
class Definition:
    """A machine as its domain XML tells it; ``serial``, ``agent`` and ``screen`` tell what it has of our
    consoles, ``others`` are the names of parts that we have no word for."""

    name: str
    title: str
    vcpus: int
    memory_mib: int
    machine: str
    firmware: str
    nvram: str
    disks: tuple[DefinedDisk, ...] = ()
    cards: tuple[DefinedCard, ...] = ()
    serial: bool = False
    agent: bool = False
    screen: bool = False
    metadata: bool = False
    others: tuple[str, ...] = field(default=())


def read_definition(xml: str, *, namespace: str) -> Definition:
    """What a domain XML says. ``namespace`` is that of our metadata. Raises ``ValueError`` for what is no domain."""
    try:
        root = ET.fromstring(xml)
    except ET.ParseError as error:
        raise ValueError(str(error)) from error
    devices = root.find("devices")
    if root.tag != "domain" or devices is None:
        raise ValueError("no domain")
    system = root.find("os")
    return Definition(
        name=root.findtext("name", ""),
        title=(root.findtext("title") or "").strip(),
        vcpus=int(root.findtext("vcpu", "1")),
        memory_mib=max(1, round(_kib(root.find("memory")) / 1024)),
        machine=_attribute(root.find("os/type"), "machine"),
        firmware=_firmware(system),
        nvram=(root.findtext("os/nvram") or "").strip(),
        disks=_disks(root, devices),
        cards=tuple(_card(i) for i in devices.findall("interface")),
        serial=devices.find("serial[@type='unix']/source[@mode='bind']") is not None,
        agent=devices.find("channel/target[@name='org.qemu.guest_agent.0']") is not None,
        screen=devices.find("graphics[@type='vnc']") is not None,
        metadata=root.find(f"metadata/{{{namespace}}}domain") is not None,
        others=tuple(sorted({_plain(e.tag) for e in root} - EXPRESSED | {_plain(e.tag) for e in devices} - DEVICES)),
    )


def _plain(tag: str) -> str:
    return tag.rpartition("}")[2]


def _kib(element: ET.Element | None) -> float:
    if element is None:
        return 0
    return int(element.text or 0) * SIZE.get(element.get("unit", "KiB").lower(), 1)


def _attribute(element: ET.Element | None, name: str) -> str:
    return element.get(name, "") if element is not None else ""


def _firmware(system: ET.Element | None) -> str:
    if system is None:
        return "bios"
    loader = system.find("loader")
    if system.get("firmware") != "efi" and _attribute(loader, "type") != "pflash":
        return "bios"
    secure = _attribute(loader, "secure") == "yes" or any(
        f.get("name") == "secure-boot" and f.get("enabled") == "yes" for f in system.findall("firmware/feature")
    )
    return "uefi-secure" if secure else "uefi"


def _disks(root: ET.Element, devices: ET.Element) -> tuple[DefinedDisk, ...]:
    """All disks. Where the definition says in general to boot from a disk, that is the first one."""
    found = [_disk(d) for d in devices.findall("disk")]
    if devices.find("*/boot") is None and root.find("os/boot[@dev='hd']") is not None:
        first = next((i for i, d in enumerate(found) if d.kept not in ("cdrom", "floppy", "lun")), None)
        if first is not None:
            found[first] = replace(found[first], boot_order=1)
    return tuple(found)


def _disk(element: ET.Element) -> DefinedDisk:
    target, source, driver = element.find("target"), element.find("source"), element.find("driver")
    path, bus = _attribute(source, "file"), _attribute(target, "bus")
    form = _attribute(driver, "type") or "raw"
    boot = element.find("boot")
    return DefinedDisk(
        slot=_attribute(target, "dev"), path=path, format=form, bus=bus, kept=_why_kept(element, path, form, bus),
        boot_order=int(_attribute(boot, "order")) if boot is not None else None,
        serial=(element.findtext("serial") or "").strip(),
        cache=_attribute(driver, "cache") or "writeback", io=_attribute(driver, "io"),
        discard=_attribute(driver, "discard") == "unmap", limits=limits_of(element),
    )  # fmt: skip


def limits_of(disk: ET.Element) -> IoLimits:
    """What a ``<disk>`` is held to."""
    said = disk.find("iotune")
    if said is None:
        return NO_LIMITS
    rates = {name: int(said.findtext(name, "0").strip() or 0) for name in NO_LIMITS.rates}
    return IoLimits(**rates, group_name=said.findtext("group_name", "").strip())


def _why_kept(element: ET.Element, path: str, form: str, bus: str) -> str:
    device, kind = element.get("device", "disk"), element.get("type", "file")
    if device != "disk":
        return device
    if kind != "file" or not path:
        return kind if kind != "file" else "empty"
    if element.find("shareable") is not None:
        return "shared"
    if element.find("readonly") is not None or element.find("transient") is not None:
        return "readonly"
    if element.find("encryption") is not None or element.find("source/encryption") is not None:
        return "encrypted"
    if bus not in BUSES:
        return "bus"
    return "" if form in FORMATS else "format"


def _card(element: ET.Element) -> DefinedCard:
    source = element.find("source")
    names = ("network", "bridge", "dev", "path", "address")
    found = next((source.get(n, "") for n in names if source.get(n)), "") if source is not None else ""
    return DefinedCard(
        mac=_attribute(element.find("mac"), "address").lower(), kind=element.get("type", ""), source=found,
        model=_attribute(element.find("model"), "type"),
    )  # fmt: skip


def devices_by_name(root: ET.Element) -> dict[str, ET.Element]:
    """The disks and cards of a domain that can be booted from: by slot, and by MAC."""
    found = {}
    for element in root.iterfind("./devices/*"):
        target = element.find("target")
        if element.tag == "disk" and _attribute(target, "bus") != "fdc":
            found[_attribute(target, "dev")] = element
        elif element.tag == "interface":
            found[_attribute(element.find("mac"), "address").lower()] = element
    return found


def boot_order(root: ET.Element) -> list[str]:
    """What a domain tries, by slot or MAC: as its devices say, or as it says in general, which means the first device
    of each kind."""
    known = devices_by_name(root)
    told = [(int(_attribute(e.find("boot"), "order")), name) for name, e in known.items() if e.find("boot") is not None]
    if told:
        return [name for _turn, name in sorted(told)]
    found: list[str] = []
    for boot in root.findall("os/boot"):
        wanted = GENERAL.get(boot.get("dev", ""))
        found += [name for name, element in known.items() if _general(element) == wanted][:1]
    return found


def _general(element: ET.Element) -> str:
    return "network" if element.tag == "interface" else element.get("device", "disk")
