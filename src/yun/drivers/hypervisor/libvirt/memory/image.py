"""The file of a memory image: libvirt's header of 92 bytes (``LibvirtQemudSave``, then version, length of what follows,
whether the guest ran, compression, where the cookie begins, as little-endian 32-bit numbers; see ``qemu_saveimage.h``),
the domain XML and a cookie, each ending in a zero byte, and QEMU's migration stream, whose last part tells its length.

What the image itself does not say lies in a file of notes beside it.
"""

from __future__ import annotations

import json
import os
import struct
import xml.etree.ElementTree as ET
from contextlib import suppress
from pathlib import Path
from typing import Any

from yun.drivers.hypervisor.port import MemoryFacts

MAGIC, HEADER = b"LibvirtQemudSave", struct.Struct("<16s5I56s")
DESCRIPTION, END = 0x06, 0x00
TAIL = 4 << 20
"""How far from the end the stream's description of itself may begin."""
NOTES, MADE = ".facts", ".for-"
PAGE = 4096


def seal(memory: str, emulator: str, processor: str) -> None:
    """The image and its notes are on the host's disk, readable by nobody else. Without notes less is compared later."""
    os.chmod(memory, 0o600)
    _sync(memory)
    text = json.dumps({"emulator": emulator, "host_cpu": processor, "length": os.path.getsize(memory)})
    part = Path(memory + NOTES + ".part")
    part.write_text(text)
    part.chmod(0o600)
    _sync(str(part))
    part.rename(memory + NOTES)
    _sync(str(part.parent))


def _sync(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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
            if entry == name or entry.startswith((name + NOTES, name + MADE)):
                with suppress(FileNotFoundError):
                    os.unlink(os.path.join(folder, entry))


# ── reading one ──


def read_xml(memory: str) -> str | None:
    """The domain XML in a finished image, secrets included; None where there is none, or it is cut off."""
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


def header_for(memory: str, xml: str) -> tuple[bytes, int]:
    """A header that says another domain's XML, for the stream that begins at that byte of the image."""
    with open(memory, "rb") as file:
        magic, version, length, ran, compressed, cookie_at, rest = HEADER.unpack(file.read(HEADER.size))
        told = file.read(length)
    cookie = told[cookie_at:].rstrip(b"\0") if cookie_at else b""
    text = xml.encode() + b"\0"
    body = text + (cookie + b"\0" if cookie else b"")
    body += b"\0" * (-(HEADER.size + len(body)) % PAGE)
    numbers = HEADER.pack(magic, version, len(body), ran, compressed, len(text) if cookie else 0, rest)
    return numbers + body, HEADER.size + length
