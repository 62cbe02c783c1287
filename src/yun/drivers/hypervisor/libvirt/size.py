"""Processors and memory of a running domain: more vCPUs, more or less memory, other host processors."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.libvirt.domain_xml.board import BLOCK_MIB, pin_of

LIVE = 1
KIB = 1024
UNITS = {"KiB": 1, "MiB": KIB, "GiB": KIB * KIB}


def set_vcpus(domain: Any, count: int) -> None:
    """Plug vCPUs in until there are ``count``."""
    vcpu = ET.fromstring(domain.XMLDesc(0)).find("vcpu")
    most = int(vcpu.text or 1) if vcpu is not None else 1
    now = int(vcpu.get("current", most)) if vcpu is not None else most
    if count > most:
        raise DriverError(_("The machine can have {most} vCPUs at most.", most=most))
    if count > now:  # taking one away lets an emulated machine die
        domain.setVcpusFlags(count, LIVE)


def set_memory(domain: Any, memory_mib: int) -> None:
    """Ask for so much memory: by the memory device where there is one, else by the balloon."""
    root = ET.fromstring(domain.XMLDesc(0))
    device = root.find("./devices/memory[@model='virtio-mem']")
    if device is None:
        most = _kib(root.find("memory"))
        if memory_mib * KIB > most or memory_mib < 1:
            raise DriverError(_("The machine can have {most} MiB of memory at most.", most=most // KIB))
        domain.setMemoryFlags(memory_mib * KIB, LIVE)
        return
    size, base = _kib(device.find("target/size")), _kib(root.find("cpu/numa/cell"), "memory")
    more = memory_mib * KIB - base
    if not 0 <= more <= size or more % (BLOCK_MIB * KIB):
        least, most = base // KIB, (base + size) // KIB
        raise DriverError(_("The machine can have from {least} to {most} MiB of memory.", least=least, most=most))
    requested = device.find("target/requested")
    assert requested is not None
    if _kib(requested) != more:
        requested.text, requested.attrib["unit"] = str(more), "KiB"
        domain.updateDeviceFlags(ET.tostring(device, encoding="unicode"), LIVE)


def pin_vcpus(domain: Any, pins: tuple[str, ...]) -> None:
    """Tie each vCPU to its host processors."""
    cpus = domain.connect().getInfo()[2]
    vcpu = ET.fromstring(domain.XMLDesc(0)).find("vcpu")
    now = int(vcpu.get("current", vcpu.text or 1)) if vcpu is not None else 1
    for number in range(now):
        chosen = numbers(pin_of(pins, number)) if pins else set(range(cpus))
        if not chosen or max(chosen) >= cpus:
            raise DriverError(_("The host has {count} processors.", count=cpus))
        domain.pinVcpuFlags(number, tuple(cpu in chosen for cpu in range(cpus)), LIVE)


def numbers(text: str) -> set[int]:
    """The processors of a set such as ``0-3,8``."""
    found: set[int] = set()
    for part in text.split(","):
        first, _dash, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def _kib(element: ET.Element | None, attribute: str = "") -> int:
    if element is None:
        return 0
    text = element.get(attribute, "0") if attribute else element.text or "0"
    return int(text) * UNITS[element.get("unit", "KiB")]
