"""The machine around the devices: memory, CPU, firmware, features, what happens when it stops."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from yun.drivers.hypervisor.libvirt.domain_xml import board
from yun.drivers.hypervisor.libvirt.domain_xml.element import add
from yun.drivers.hypervisor.port import DomainSpec

SOCKET_LIMIT = 107
_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")
_SLOT = re.compile(r"(vd|sd|hd)[a-z]")


def check(spec: DomainSpec) -> None:
    """Raise ``ValueError`` for a spec that cannot become a domain."""
    problems = board.problems(spec)
    if not _NAME.fullmatch(spec.name):
        problems.append(f"name {spec.name[:40]!r}")
    if spec.memory_mib < 1 or spec.vcpus < 1:
        problems.append("memory and vcpus must be positive")
    slots = [d.slot for d in spec.disks]
    if len(set(slots)) != len(slots) or not all(_SLOT.fullmatch(s) for s in slots):
        problems.append(f"disk slots {slots}")
    if len(spec.serial_socket.encode()) > SOCKET_LIMIT:
        problems.append("the serial socket's path is longer than a socket address")
    for path in (spec.serial_socket, spec.serial_log, spec.nvram, *(d.path for d in spec.disks if d.path)):
        if path and not path.startswith("/"):
            problems.append(f"path {path!r} is not absolute")
    if problems:
        raise ValueError("; ".join(problems))


def build(root: ET.Element, spec: DomainSpec) -> None:
    """Add everything that is not a device."""
    board.memory(root, spec)
    board.vcpus(root, spec)
    _firmware(root, spec)
    features = add(root, "features")
    add(features, "acpi")
    add(features, "apic")
    if spec.accel == "tcg":
        # The translation cache's default takes up to a gigabyte of each machine's memory; 32 MiB cost no speed.
        add(add(features, "tcg"), "tb-cache", text="32", unit="MiB")
    if spec.firmware == "uefi-secure":
        add(features, "smm", state="on")
    board.cpu(root, spec)
    clock = add(root, "clock", offset=spec.board.clock)
    add(clock, "timer", name="rtc", tickpolicy="catchup")
    if spec.accel == "kvm":
        add(clock, "timer", name="pit", tickpolicy="delay")
        add(clock, "timer", name="hpet", present="no")
    add(root, "on_poweroff", text="destroy")
    add(root, "on_reboot", text="restart")
    add(root, "on_crash", text=spec.on_crash if spec.board.panic == "ignore" else spec.board.panic)


def _firmware(root: ET.Element, spec: DomainSpec) -> None:
    uefi = spec.firmware != "bios"
    os = add(root, "os", firmware="efi" if uefi else None)
    add(os, "type", text="hvm", arch="x86_64", machine=spec.machine)
    if uefi:
        # Without a word about it libvirt chooses the Secure Boot build, which refuses unsigned loaders.
        secure = "yes" if spec.firmware == "uefi-secure" else "no"
        firmware = add(os, "firmware")
        add(firmware, "feature", enabled=secure, name="enrolled-keys")
        add(firmware, "feature", enabled=secure, name="secure-boot")
        if spec.nvram:
            add(os, "nvram", text=spec.nvram)
    if not any(d.boot_order for d in spec.disks) and not any(n.boot_order for n in spec.nics):
        add(os, "boot", dev="hd")

