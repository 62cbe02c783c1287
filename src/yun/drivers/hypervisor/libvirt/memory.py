"""Images of guests' memory as libvirt writes them: taken with the disks, read, edited, and gone on from.

The file is libvirt's save image: a header of 92 bytes (``LibvirtQemudSave``, then version, length of what follows,
whether the guest ran, compression, where the cookie begins, as little-endian 32-bit numbers; see ``qemu_saveimage.h``),
the domain XML and a cookie, each ending in a zero byte, and QEMU's migration stream, whose last part tells its length.
"""

from __future__ import annotations

import json
import os
import struct
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.libvirt import disks
from yun.drivers.hypervisor.libvirt.connect import binding
from yun.drivers.hypervisor.port import DomainSpec, MemoryFacts

MAGIC, HEADER = b"LibvirtQemudSave", struct.Struct("<16s5I56s")
DESCRIPTION, END = 0x06, 0x00
TAIL = 4 << 20
"""How far from the end the stream's description of itself may begin."""
SUSPENDED, RESUMED = 3, 4
PAUSE_WAIT = 2.0
NOTES = ".facts"


# ── taking one ──


def freeze(domain: Any, heads: Mapping[str, str], memory: str) -> float | None:
    """Disks and memory of one moment, the guest going on as long as can be; milliseconds for which it stood still."""
    libvirt = binding()
    live = ET.fromstring(domain.XMLDesc(0))
    if live.find("devices/hostdev") is not None:
        raise DriverError(_("A device of the host that the machine has cannot be kept."), private=domain.UUIDString())
    for slot in heads:
        if disks.find(domain, slot) is None:
            raise DriverError(_("The slot {slot} is empty.", slot=slot))
    if os.path.exists(memory):
        raise DriverError(_("The hypervisor refused: {reason}", reason=f"{memory} is there"), private=memory)
    root = ET.fromstring(disks.freeze_xml(domain, heads))
    root.insert(0, ET.Element("memory", {"snapshot": "external", "file": memory}))
    flags = (
        libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC
        | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_LIVE
    )  # fmt: skip
    ran = domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING
    if not ran:
        _fresh(domain)
    try:
        with _watched(domain) as moments:
            domain.snapshotCreateXML(ET.tostring(root, encoding="unicode"), flags)
            pause = moments() if ran else None
    except BaseException:
        discard(memory)
        raise
    os.chmod(memory, 0o600)
    _note(domain.connect(), memory)
    return pause


def _fresh(domain: Any) -> None:
    """QEMU keeps a paused guest only once: afterwards it takes it for one that has gone elsewhere, until it has run. So
    one that was kept already since it was paused runs for an instant."""
    import libvirt_qemu  # type: ignore[import-untyped]

    told = json.loads(libvirt_qemu.qemuMonitorCommand(domain, json.dumps({"execute": "query-status"}), 0))
    if told["return"]["status"] == "postmigrate":
        domain.resume()
        domain.suspend()


@contextmanager
def _watched(domain: Any) -> Any:
    """When the guest stood still and went on, as the daemon tells it; ask once all is done."""
    libvirt, told, news = binding(), [], threading.Condition()

    def hear(_conn: Any, _domain: Any, event: int, _detail: int, _opaque: Any) -> None:
        if event in (SUSPENDED, RESUMED):
            with news:
                told.append((event, time.monotonic()))
                news.notify_all()

    def longest() -> float | None:
        with news:
            news.wait_for(lambda: any(event == RESUMED for event, _at in told), PAUSE_WAIT)
            begun, found = None, None
            for event, at in told:
                if event == SUSPENDED:
                    begun = at if begun is None else begun
                elif begun is not None:
                    found, begun = (found or 0.0) + (at - begun) * 1000, None
            return found

    number = domain.connect().domainEventRegisterAny(domain, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, hear, None)
    try:
        yield longest
    finally:
        with suppress(libvirt.libvirtError):
            domain.connect().domainEventDeregisterAny(number)


def _note(conn: Any, memory: str) -> None:
    """What the image itself does not say lies beside it; without that less is compared later."""
    text = json.dumps({"emulator": emulator(conn), "host_cpu": host_cpu(conn), "length": os.path.getsize(memory)})
    part = Path(memory + NOTES + ".part")
    part.write_text(text)
    part.chmod(0o600)
    part.rename(memory + NOTES)


def emulator(conn: Any) -> str:
    """The version of the host's QEMU."""
    number = int(conn.getVersion())
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def host_cpu(conn: Any) -> str:
    """The host's processor as libvirt calls it."""
    return ET.fromstring(conn.getCapabilities()).findtext("host/cpu/model") or ""


def discard(memory: str) -> None:
    """Remove an image and all that was noted or made of it."""
    folder, name = os.path.split(memory)
    with suppress(FileNotFoundError):
        for entry in os.listdir(folder):
            if entry == name or entry.startswith((name + NOTES, name + ".for-")):
                with suppress(FileNotFoundError):
                    os.unlink(os.path.join(folder, entry))


# ── reading one ──


def read_xml(memory: str) -> str | None:
    """The domain XML in a finished image; None where there is none, or it is cut off."""
    try:
        with open(memory, "rb") as file:
            magic, version, length, _ran, compressed, _cookie, _rest = HEADER.unpack(file.read(HEADER.size))
            if magic != MAGIC or version != 2 or compressed or length > 1 << 24:
                return None
            text = file.read(length).split(b"\0", 1)[0]
            return text.decode() if _ends_well(file) else None
    except (OSError, struct.error, UnicodeDecodeError):
        return None


def _ends_well(file: Any) -> bool:
    """Whether QEMU's stream ends with its description of itself, of the length that it says."""
    size = file.seek(0, os.SEEK_END)
    begin = max(size - TAIL, 0)
    file.seek(begin)
    tail = file.read()
    at = tail.find(bytes([END, DESCRIPTION]))
    while at >= 0:
        if at + 6 <= len(tail) and at + 6 + int.from_bytes(tail[at + 2 : at + 6], "big") == len(tail):
            return True
        at = tail.find(bytes([END, DESCRIPTION]), at + 1)
    return False


def facts(memory: str) -> MemoryFacts | None:
    """What an image is of."""
    text = read_xml(memory)
    if text is None:
        return None
    notes = {}
    with suppress(OSError, ValueError):
        notes = json.loads(Path(memory + NOTES).read_text())
    length = os.path.getsize(memory)
    if notes.get("length", length) != length:
        return None
    root = ET.fromstring(text)
    cpu, kind = root.find("cpu"), root.find("os/type")
    mode = cpu.get("mode", "") if cpu is not None else ""
    hosts = mode in ("host-passthrough", "maximum")
    return MemoryFacts(
        uuid=root.findtext("uuid") or "",
        machine=kind.get("machine", "") if kind is not None else "",
        memory_mib=_mib(root),
        vcpus=_vcpus(root),
        file_bytes=length,
        cpu=(cpu.findtext("model") or mode) if cpu is not None else "",
        host_cpu=notes.get("host_cpu", "") if hosts and root.get("type") == "kvm" else "",
        emulator=notes.get("emulator", ""),
        slots=tuple(sorted(d.get("dev", "") for d in root.iterfind("devices/disk/target"))),
        macs=tuple(sorted(m.get("address", "").lower() for m in root.iterfind("devices/interface/mac"))),
    )


def _mib(root: ET.Element) -> int:
    """The memory that the machine began with: all of it but what can be plugged in."""
    total = int(root.findtext("memory") or 0)
    for size in root.iterfind("devices/memory/target/size"):
        total -= int(size.text or 0)
    return total // 1024


def _vcpus(root: ET.Element) -> int:
    told = root.find("vcpu")
    return int(told.get("current") or told.text or 0) if told is not None else 0


# ── going on from one ──


def wake(conn: Any, spec: DomainSpec, memory: str, *, paused: bool) -> None:
    """Let the domain of ``spec`` go on from an image; it must be off. Its definition is the caller's business."""
    libvirt = binding()
    text = read_xml(memory)
    if text is None:
        raise DriverError(_("The image of the memory is missing or damaged."), private=memory)
    own = (ET.fromstring(text).findtext("uuid") or "") == spec.uuid
    told = conn.saveImageGetXMLDesc(memory, libvirt.VIR_DOMAIN_SAVE_IMAGE_XML_SECURE)
    wanted = ET.tostring(_as_wanted(ET.fromstring(told), spec, own=own), encoding="unicode")
    flag = libvirt.VIR_DOMAIN_SAVE_PAUSED if paused else libvirt.VIR_DOMAIN_SAVE_RUNNING
    if own:
        conn.restoreFlags(memory, wanted, flag)
        return
    copy = f"{memory}.for-{spec.uuid}"
    try:
        rewrite(memory, copy, wanted)
        conn.restoreFlags(copy, None, flag)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(copy)


def _as_wanted(root: ET.Element, spec: DomainSpec, *, own: bool) -> ET.Element:
    """The image's domain with the files, cards and paths of ``spec``; nothing that the guest can see changes, but for
    the generation of one that becomes another domain."""
    if not own:
        for name, value in (("name", spec.name), ("uuid", spec.uuid), ("title", spec.title)):
            found = root.find(name)
            if found is not None:
                found.text = value
        genid = root.find("genid")
        if genid is not None:
            genid.text = spec.genid or spec.uuid
        for entry in root.findall("sysinfo/system/entry[@name='uuid']"):
            entry.text = spec.uuid
    _disks(root, spec)
    _cards(root, spec)
    _paths(root, spec)
    for label in root.findall("seclabel"):
        root.remove(label)
    return root


def _paths(root: ET.Element, spec: DomainSpec) -> None:
    """Sockets are the daemon's to choose anew; log, serial port and firmware variables are where the spec says."""
    for channel in root.iterfind("devices/channel"):
        _without(channel, "source")
    for display in root.iterfind("devices/graphics"):
        display.attrib.pop("socket", None)
        for listen in display.iterfind("listen"):
            listen.attrib.pop("socket", None)
    for port in [*root.iterfind("devices/serial"), *root.iterfind("devices/console")]:
        source, log = port.find("source"), port.find("log")
        if source is not None and source.get("mode") == "bind" and spec.serial_socket:
            source.set("path", spec.serial_socket)
        if log is not None and spec.serial_log:
            log.set("file", spec.serial_log)
    nvram = root.find("os/nvram")
    if nvram is not None and spec.nvram:
        nvram.text = spec.nvram


def _disks(root: ET.Element, spec: DomainSpec) -> None:
    wanted = {disk.slot: disk for disk in spec.disks}
    for disk in root.iterfind("devices/disk"):
        target = disk.find("target")
        mine = wanted.get(target.get("dev", "")) if target is not None else None
        _without(disk, "backingStore")
        source = disk.find("source")
        if mine is None:
            continue
        if not mine.path:
            _without(disk, "source")
            continue
        if source is None:
            source = ET.Element("source")
            disk.insert(1, source)
        source.attrib.pop("index", None)
        disk.set("type", "file")
        source.set("file", mine.path)
        driver = disk.find("driver")
        if driver is not None:
            driver.set("type", mine.format)


def _cards(root: ET.Element, spec: DomainSpec) -> None:
    wanted = {nic.mac.lower(): nic for nic in spec.nics}
    for card in root.iterfind("devices/interface"):
        _without(card, "target")
        mac = card.find("mac")
        mine = wanted.get(mac.get("address", "").lower()) if mac is not None else None
        if mine is None:
            continue
        port = card.find("virtualport/parameters")
        if port is not None:
            port.set("interfaceid", mine.port_uuid)
        _without(card, "link")
        ET.SubElement(card, "link", {"state": "up" if mine.link_up else "down"})


def _without(parent: ET.Element, tag: str) -> None:
    for child in parent.findall(tag):
        parent.remove(child)


def rewrite(source: str, target: str, xml: str) -> None:
    """A copy of an image with another domain XML in its header."""
    with open(source, "rb") as old, open(target, "wb") as new:
        os.chmod(target, 0o600)
        magic, version, length, ran, compressed, cookie_at, rest = HEADER.unpack(old.read(HEADER.size))
        told = old.read(length)
        cookie = told[cookie_at:].rstrip(b"\0") if cookie_at else b""
        text = xml.encode() + b"\0"
        body = text + (cookie + b"\0" if cookie else b"")
        body += b"\0" * (-(HEADER.size + len(body)) % 4096)
        new.write(HEADER.pack(magic, version, len(body), ran, compressed, len(text) if cookie else 0, rest))
        new.write(body)
        new.flush()
        at, size = HEADER.size + length, os.fstat(old.fileno()).st_size
        while at < size:
            done = os.sendfile(new.fileno(), old.fileno(), at, min(size - at, 1 << 28))
            if not done:
                raise DriverError(_("The image of the memory is missing or damaged."), private=source)
            at += done

